from __future__ import annotations

import asyncio
import logging
import socket
import struct

import pytest

from kybern.lib.channels import Channel
from kybern.lib.http.messages import Response, StreamResponse, UpgradeResponse

GET = b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n"


async def echo(request):
    body = await request.body(1 << 20)
    text = f"{request.method} {request.path} {request.query} ".encode()
    return Response(200, text + body, "text/plain")


def test_requests_on_one_connection(live, served):
    async def main():
        async with served(echo) as (_, connect):
            raw = await connect()
            await raw.send(GET % b"/a?b=c")
            status, headers, body = await raw.response()
            assert (status, body) == (200, b"GET /a b=c ")
            assert list(headers) == ["content-type", "date", "content-length"]
            assert headers["date"].endswith(" gmt")
            await raw.send(b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
            assert (await raw.response())[2] == b"POST /p  hello"

    live(main())


def test_pipelined_requests_are_answered_in_order(live, served):
    async def app(request):
        await asyncio.sleep(0.01 if request.path == "/0" else 0)
        return Response(200, request.path.encode())

    async def main():
        async with served(app) as (_, connect):
            raw = await connect()
            await raw.send(b"".join(GET % b"/%d" % n for n in range(100)))
            return [(await raw.response())[2] for _ in range(100)]

    assert live(main()) == [b"/%d" % n for n in range(100)]


def test_byte_by_byte(live, served):
    async def main():
        async with served(echo) as (_, connect):
            raw = await connect()
            message = (
                b"PUT /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"3\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: ignored\r\n\r\n"
            )
            for at in range(len(message)):
                await raw.send(message[at : at + 1])
                await asyncio.sleep(0)
            return (await raw.response())[2]

    assert live(main()) == b"PUT /x  abcde"


def test_headers(live, served):
    seen = []

    async def app(request):
        seen.append((request.headers, request.values("a"), request.remote_ip))
        return Response(200, b"", "", (("X-One", "1"), ("X-Two", "é")))

    async def main():
        async with served(app) as (_, connect):
            raw = await connect()
            await raw.send(b"GET / HTTP/1.1\r\nHost: h\r\nA: 1,2\r\nB: x\r\nA: 3\r\n\r\n")
            return (await raw.response())[1]

    headers = live(main())
    assert seen == [({"host": "h", "a": "1,2, 3", "b": "x"}, ["1,2", "3"], "127.0.0.1")]
    assert headers["x-one"] == "1"
    assert "content-type" not in headers


def test_absolute_form_and_asterisk(live, served):
    async def app(request):
        return Response(200, f"{request.path}|{request.query}".encode())

    async def main():
        async with served(app) as (_, connect):
            raw = await connect()
            await raw.send(b"GET http://h:1/p?q=/ HTTP/1.1\r\nHost: h\r\n\r\n")
            await raw.send(b"GET http://h HTTP/1.1\r\nHost: h\r\n\r\n")
            await raw.send(b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n")
            return [(await raw.response())[2] for _ in range(3)]

    assert live(main()) == [b"/p|q=/", b"/|", b"*|"]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),  # no Host
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 2_000_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"a" * 2_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    ],
)
def test_malformed(live, served, data, status):
    async def main():
        async with served(echo) as (_, connect):
            raw = await connect()
            raw.writer.write(data)
            got, headers, body = await raw.response()
            assert headers["connection"] == "close"
            assert len(body) < 200
            assert b"Traceback" not in body
            assert await raw.rest() == b""
            return got

    assert live(main()) == status


def test_good_requests_before_a_bad_one_are_answered(live, served):
    async def main():
        async with served(echo) as (_, connect):
            raw = await connect()
            await raw.send(GET % b"/1" + GET % b"/2" + b"\0\0\0")
            return [(await raw.response())[0] for _ in range(3)]

    assert live(main()) == [200, 200, 400]


def test_large_head_within_the_limit(live, served):
    async def main():
        async with served(echo) as (_, connect):
            raw = await connect()
            raw.writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 900_000 + b"\r\n\r\n")
            return (await raw.response())[0]

    assert live(main()) == 200


def test_body_limit(live, served):
    async def main():
        results = []
        async with served(echo) as (_, connect):
            raw = await connect()
            await raw.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n")
            results.append((await raw.response())[::2])
            raw = await connect()
            await raw.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
            for _ in range(20):
                await raw.send(chunk)
            results.append((await raw.response())[::2])
        return results

    assert live(main()) == [(413, b"the body is larger than 1048576 bytes\n")] * 2


def test_large_body_is_read_with_back_pressure(live, served):
    async def app(request):
        total = 0
        async for piece in request.stream():
            total += len(piece)
            await asyncio.sleep(0)
        return Response(200, str(total).encode())

    async def main():
        async with served(app) as (_, connect):
            raw = await connect()
            await raw.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8000000\r\n\r\n")
            for _ in range(80):
                await raw.send(b"x" * 100_000)
            first = (await raw.response())[2]
            await raw.send(GET % b"/next")
            return first, (await raw.response())[2]

    assert live(main()) == (b"8000000", b"0")


def test_expect_continue(live, served):
    async def main():
        async with served(echo) as (_, connect):
            raw = await connect()
            await raw.send(
                b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
            )
            assert (await raw.head())[0] == 100
            await raw.send(b"ok")
            assert (await raw.response())[2] == b"POST /  ok"
            await raw.send(
                b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                b"Content-Length: 2000000\r\n\r\n"
            )
            return (await raw.response())[0]  # refused without asking for the body

    assert live(main()) == 413


def test_an_unread_body_ends_the_connection(live, served):
    async def app(request):
        return Response(401, b"no")

    async def main():
        async with served(app) as (_, connect):
            raw = await connect()
            await raw.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n")
            status, headers, _ = await raw.response()
            await raw.send(b"x" * 500_000)
            return status, headers["connection"], await raw.rest()

    assert live(main()) == (401, "close", b"")


def test_http_1_0(live, served):
    async def app(request):
        if request.path == "/stream":
            return StreamResponse(200, _pieces(b"ab", b"cd"))
        return Response(200, b"x")

    async def main():
        async with served(app) as (_, connect):
            raw = await connect()
            await raw.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            first = await raw.response()
            assert first[1]["connection"] == "keep-alive"
            await raw.send(b"GET / HTTP/1.0\r\n\r\n")
            second = await raw.response()
            assert second[1]["connection"] == "close"
            assert await raw.rest() == b""
            raw = await connect()
            await raw.send(b"GET /stream HTTP/1.0\r\n\r\n")
            _, headers = await raw.head()
            assert "transfer-encoding" not in headers
            return await raw.rest()

    assert live(main()) == b"abcd"


def test_connection_close(live, served):
    async def main():
        async with served(echo) as (_, connect):
            raw = await connect()
            await raw.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" + GET % b"/2")
            assert (await raw.response())[1]["connection"] == "close"
            return await raw.rest()

    assert live(main()) == b""


def test_head_and_bodiless_statuses(live, served):
    async def app(request):
        if request.path == "/stream":
            return StreamResponse(200, _pieces(b"ab"))
        if request.path == "/204":
            return Response(204, b"", "")
        return Response(200, b"12345")

    async def main():
        async with served(app) as (_, connect):
            raw = await connect()
            heads = []
            for method, path in [("HEAD", "/"), ("HEAD", "/stream"), ("GET", "/204")]:
                await raw.send(f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                status, headers = await raw.head()
                heads.append((status, headers.get("content-length")))
            await raw.send(GET % b"/last")
            return [*heads, (await raw.response())[2]]

    assert live(main()) == [(200, "5"), (200, None), (204, None), b"12345"]


def _reset(raw):
    sock = raw.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raw.writer.transport.abort()


async def _pieces(*pieces):
    for piece in pieces:
        yield piece


def test_stream_coalesces_what_is_made_together(live, served):
    news = Channel(100)

    async def app(request):
        return StreamResponse(200, news)

    async def main():
        async with served(app) as (_, connect):
            raw = await connect()
            await raw.send(GET % b"/")
            assert (await raw.head())[1]["transfer-encoding"] == "chunked"
            for n in range(10):
                news.try_send(b"%d" % n)
            assert await raw.chunk() == b"0123456789"
            news.try_send(b"")
            news.try_send(b"x")
            assert await raw.chunk() == b"x"
            news.close()
            assert await raw.chunk() == b""
            await raw.send(GET % b"/")  # the connection lives on
            assert (await raw.head())[0] == 200

    live(main())


def test_leaving_cancels_the_stream(live, served):
    ended = asyncio.Event()

    async def endless():
        try:
            yield b"first"
            await asyncio.sleep(1e6)
        finally:
            ended.set()

    async def app(request):
        return StreamResponse(200, endless())

    async def main():
        async with served(app) as (server, connect):
            raw = await connect()
            await raw.send(GET % b"/")
            await raw.head()
            raw.writer.transport.abort()
            await ended.wait()
            await asyncio.sleep(0.01)
            return server.statistics()["connections"]

    assert live(main()) == 0


def test_a_slow_reader_pauses_the_stream(live, served):
    made = 0

    async def flood():
        nonlocal made
        while True:
            made += 1
            yield b"x" * 100_000

    async def app(request):
        return StreamResponse(200, flood())

    async def main():
        async with served(app) as (_, connect):
            raw = await connect()
            await raw.send(GET % b"/")
            await raw.head()
            before = -1
            while made != before:  # the buffers on the way fill up, then it stands still
                before = made
                await asyncio.sleep(0.1)
            for _ in range(200):
                assert len(await raw.chunk()) >= 100_000
            raw.writer.transport.abort()
        return made > before

    assert live(main())


def test_leaving_cancels_reading_but_not_changing(live, served):
    done = []

    async def app(request):
        try:
            await asyncio.sleep(0.05)
            done.append(f"{request.method} finished")
        except asyncio.CancelledError:
            done.append(f"{request.method} cancelled")
            raise
        return Response(200)

    async def main():
        async with served(app) as (_, connect):
            for method in (b"GET", b"DELETE"):
                raw = await connect()
                await raw.send(method + b" / HTTP/1.1\r\nHost: x\r\n\r\n")
                await asyncio.sleep(0.02)
                _reset(raw)
            await asyncio.sleep(0.1)
        return sorted(done)

    assert live(main()) == ["DELETE finished", "GET cancelled"]


def test_large_responses(live, served):
    parts = [b"%07d" % n for n in range(300_000)]

    async def app(request):
        return Response(200, parts if request.path == "/list" else b"".join(parts))

    async def main():
        async with served(app) as (_, connect):
            raw = await connect()
            for path in (b"/list", b"/bytes"):
                await raw.send(GET % path)
                await asyncio.sleep(0.05)
                assert (await raw.response())[2] == b"".join(parts)

    live(main())


def test_a_bug_is_a_500_without_a_traceback(live, served, caplog):
    async def app(request):
        raise KeyError("secret")

    async def main():
        async with served(app) as (_, connect):
            raw = await connect()
            await raw.send(GET % b"/" + GET % b"/")
            return [(await raw.response())[::2] for _ in range(2)]

    with caplog.at_level(logging.ERROR):
        assert live(main()) == [(500, b"internal error\n")] * 2
    assert [record.getMessage() for record in caplog.records] == ["request failed"] * 2


def test_waiting_for_something_cancelled_is_a_bug_too(live, served, caplog):
    async def app(request):
        task = asyncio.create_task(asyncio.sleep(10))
        task.cancel()
        await task

    async def main():
        async with served(app) as (_, connect):
            raw = await connect()
            await raw.send(GET % b"/")
            return (await raw.response())[0]

    assert live(main()) == 500
    assert "request failed" in caplog.text


def test_a_bug_within_a_stream_breaks_the_connection(live, served, caplog):
    async def broken():
        yield b"one"
        raise KeyError("secret")

    async def app(request):
        return StreamResponse(200, broken())

    async def main():
        async with served(app) as (_, connect):
            raw = await connect()
            await raw.send(GET % b"/")
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                while await raw.chunk():
                    pass

    live(main())
    assert "response broke off" in caplog.text


def test_header_injection_is_refused(live, served, caplog):
    async def app(request):
        return Response(200, b"x", headers=(("A", "1\r\nSet-Cookie: x"),))

    async def main():
        async with served(app) as (_, connect):
            raw = await connect()
            await raw.send(GET % b"/")
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await raw.response()

    live(main())
    assert "bad response" in caplog.text


def test_upgrade(live, served):
    async def shout(stream):
        while data := await stream.read():
            stream.write(data.upper())
            await stream.drain()

    async def app(request):
        return UpgradeResponse(shout, (("Connection", "Upgrade"), ("Upgrade", "loud")))

    async def main():
        async with served(app) as (_, connect):
            raw = await connect()
            await raw.send(
                b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: loud\r\n\r\nearly"
            )
            status, headers = await raw.head()
            assert (status, headers["upgrade"]) == (101, "loud")
            assert await raw.reader.readexactly(5) == b"EARLY"
            await raw.send(b"more")
            assert await raw.reader.readexactly(4) == b"MORE"
            raw.writer.write_eof()
            return await raw.rest()

    assert live(main()) == b""


def test_a_declined_upgrade_is_a_normal_answer(live, served):
    async def main():
        async with served(echo) as (_, connect):
            raw = await connect()
            await raw.send(
                b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
            )
            status, headers, body = await raw.response()
            return status, headers["connection"], body, await raw.rest()

    assert live(main()) == (200, "close", b"GET /x  ", b"")


def test_upgrade_without_asking_is_broken_off(live, served, caplog):
    async def app(request):
        return UpgradeResponse(lambda stream: asyncio.sleep(0))

    async def main():
        async with served(app) as (_, connect):
            raw = await connect()
            await raw.send(GET % b"/")
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await raw.head()

    live(main())
    assert "did not ask" in caplog.text


def test_graceful_close(live, served):
    news = Channel(1)

    async def app(request):
        if request.path == "/watch":
            return StreamResponse(200, news)
        await asyncio.sleep(0.1)
        return Response(200, b"done")

    async def main():
        async with served(app) as (server, connect):
            idle, busy, watch, fresh = [await connect() for _ in range(4)]
            await idle.send(GET % b"/")
            await idle.response()
            await watch.send(GET % b"/watch")
            await watch.head()
            await busy.send(GET % b"/")
            await asyncio.sleep(0.02)
            async with asyncio.TaskGroup() as group:
                group.create_task(server.close(grace=5))
                status, headers, body = await busy.response()
                assert (status, headers["connection"], body) == (200, "close", b"done")
                assert await watch.chunk() == b""  # a clean end
            assert [await raw.rest() for raw in (idle, busy, watch, fresh)] == [b""] * 4
            with pytest.raises(OSError):
                await connect()

    live(main())


def test_close_breaks_off_after_the_grace(live, served):
    async def app(request):
        await asyncio.sleep(1e6)

    async def main():
        async with served(app) as (server, connect):
            raw = await connect()
            await raw.send(GET % b"/")
            await asyncio.sleep(0.02)
            await server.close(grace=0.05)
            return server.statistics()["connections"]

    assert live(main()) == 0


def test_stale_connections_are_closed(live, served):
    async def main():
        async with served(echo, idle_timeout=0, head_timeout=0) as (server, connect):
            silent, idle, partial = [await connect() for _ in range(3)]
            await idle.send(GET % b"/")
            await idle.response()
            await partial.send(b"GET / HTTP")
            await asyncio.sleep(0.05)
            server._sweep()
            for raw in (silent, idle, partial):
                try:
                    assert await raw.rest() == b""
                except ConnectionError:
                    assert raw is partial

    live(main())


def test_half_closed_client_gets_its_answer(live, served):
    async def app(request):
        await asyncio.sleep(0.02)
        return Response(200, b"late")

    async def main():
        async with served(app) as (_, connect):
            raw = await connect()
            await raw.send(GET % b"/")
            raw.writer.write_eof()
            return (await raw.response())[2]

    assert live(main()) == b"late"


def test_a_body_that_breaks_off(live, served):
    from kybern.lib.http.messages import ClientGone

    seen = []

    async def app(request):
        try:
            await request.body()
        except ClientGone as gone:
            seen.append(str(gone))
        return Response(200)

    async def main():
        async with served(app) as (_, connect):
            raw = await connect()
            await raw.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
            await asyncio.sleep(0.02)
            raw.writer.transport.abort()
            await asyncio.sleep(0.02)

    live(main())
    assert len(seen) == 1
