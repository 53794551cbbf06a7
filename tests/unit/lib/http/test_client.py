from __future__ import annotations

import asyncio

import pytest

from kybern.lib.channels import Channel
from kybern.lib.http.client import BrokenAnswer, HttpClient, NoAnswer, UpgradeRefused
from kybern.lib.http.messages import Response, StreamResponse, UpgradeResponse
from kybern.lib.http.pipe import TooLarge


async def echo(request):
    text = f"{request.method} {request.target} ".encode()
    return Response(200, text + await request.body(), "text/plain", (("X-A", "1"), ("X-A", "2")))


def client_of(server, path="", **options):
    return HttpClient(f"http://127.0.0.1:{server.port}{path}", **options)


class Scripted:
    """A server that reads a request and answers with given bytes, one list per connection."""

    def __init__(self, *connections):
        self.connections = list(connections)
        self.requests = []

    async def __aenter__(self):
        self.listener = await asyncio.start_server(self.handle, "127.0.0.1", 0)
        self.port = self.listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_exc):
        self.listener.close()
        await self.listener.wait_closed()

    async def handle(self, reader, writer):
        try:
            for answer in self.connections.pop(0) if self.connections else []:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(answer)
                await writer.drain()
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def test_requests_reuse_a_connection(live, served):
    async def main():
        async with served(echo) as (server, _), client_of(server, "/base") as client:
            for n in range(3):
                response = await client.request("POST", f"/x?n={n}", {"A": "b"}, b"body")
                assert (response.status, response.headers["x-a"]) == (200, "1, 2")
                assert await response.read() == f"POST /base/x?n={n} body".encode()
            assert client.statistics() == {"connections": 1, "idle": 1}
            return server.statistics()["connections"]

    assert live(main()) == 1


def test_concurrent_requests_have_their_own_connections(live, served):
    async def app(request):
        await asyncio.sleep(0.02)
        return Response(200, request.path.encode())

    async def main():
        async with served(app) as (server, _), client_of(server, max_idle=4) as client:

            async def one(n):
                return await (await client.request("GET", f"/{n}")).read()

            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(n)) for n in range(10)]
            await asyncio.sleep(0.01)
            return [task.result() for task in tasks], client.statistics()

    assert live(main()) == ([b"/%d" % n for n in range(10)], {"connections": 4, "idle": 4})


def test_a_connection_taken_over_before_the_first_request_woke_up(live, served):
    """Whoever starts a request in the moment an answer comes must get an answer too."""

    async def main():
        async with served(echo) as (server, _), client_of(server) as client:
            keep = client._keep
            followers = []

            def keep_and_ask(connection):
                keep(connection)
                if len(followers) < 20:
                    followers.append(asyncio.ensure_future(client.request("GET", "/again")))

            client._keep = keep_and_ask
            response = await client.request("GET", "/first")
            assert await response.read() == b"GET /first "
            for number in range(20):
                response = await followers[number]
                assert await response.read() == b"GET /again "
            assert client.statistics()["connections"] == 1

    live(main())


def test_head(live, served):
    async def main():
        async with served(echo) as (server, _), client_of(server) as client:
            response = await client.request("HEAD", "/")
            assert response.headers["content-length"] == "7"
            assert await response.read() == b""
            return await (await client.request("GET", "/")).read()

    assert live(main()) == b"GET / "


def test_streamed_request_body(live, served):
    async def pieces():
        yield b"one"
        await asyncio.sleep(0)
        yield b""
        yield b"two"

    async def main():
        async with served(echo) as (server, _), client_of(server) as client:
            return await (await client.request("PUT", "/", body=pieces())).read()

    assert live(main()) == b"PUT / onetwo"


def test_streamed_response(live, served):
    news = Channel(10)

    async def app(request):
        return StreamResponse(200, news)

    async def main():
        async with served(app) as (server, _), client_of(server) as client:
            response = await client.request("GET", "/")
            got = []
            news.try_send(b"1")
            async for piece in response:
                got.append(piece)
                if len(got) == 3:
                    news.close()
                else:
                    news.try_send(b"%d" % (len(got) + 1))
            return got, client.statistics()["idle"]

    assert live(main()) == ([b"1", b"2", b"3"], 1)


def test_leaving_a_stream_early_closes_its_connection(live, served):
    left = asyncio.Event()

    async def endless():
        try:
            while True:
                yield b"x" * 1000
                await asyncio.sleep(0)
        finally:
            left.set()

    async def app(request):
        return StreamResponse(200, endless())

    async def main():
        async with served(app) as (server, _), client_of(server) as client:
            response = await client.request("GET", "/")
            chunks = response.chunks()
            await anext(chunks)
            await chunks.aclose()
            await left.wait()
            return client.statistics()["idle"]

    assert live(main()) == 0


def test_large_response_with_a_slow_reader(live, served):
    async def app(request):
        return Response(200, b"x" * 5_000_000)

    async def main():
        async with served(app) as (server, _), client_of(server) as client:
            response = await client.request("GET", "/")
            await asyncio.sleep(0.05)
            assert response._body.size < 2_000_000  # the server is held back
            total = 0
            async for piece in response:
                total += len(piece)
            again = await client.request("GET", "/")
            with pytest.raises(TooLarge):
                await again.read(limit=1000)
            return total

    assert live(main()) == 5_000_000


def test_an_old_connection_closed_by_the_server_is_replaced(live):
    async def main():
        async with Scripted([OK], [OK]) as server, client_of(server) as client:
            bodies = []
            for _ in range(2):
                bodies.append(await (await client.request("PUT", "/", body=b"")).read())
                # The server has closed; the client finds out when it tries.
            return bodies, len(server.requests)

    assert live(main()) == ([b"ok", b"ok"], 2)


def test_safe_requests_are_tried_twice_and_others_once(live):
    async def main():
        async with Scripted([b""], [OK], [b""]) as server, client_of(server) as client:
            first = await (await client.request("GET", "/")).read()
            client._idle.clear()
            with pytest.raises(NoAnswer):
                await client.request("POST", "/", body=b"")
            return first, len(server.requests)

    assert live(main()) == (b"ok", 3)


def test_no_third_try(live):
    async def main():
        async with Scripted([b""], [b""]) as server, client_of(server) as client:
            with pytest.raises(NoAnswer):
                await client.request("GET", "/")
            return len(server.requests)

    assert live(main()) == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ],
)
def test_broken_answers(live, answer):
    async def main():
        async with Scripted([answer]) as server, client_of(server) as client:
            with pytest.raises(BrokenAnswer):
                await (await client.request("GET", "/")).read()
            return client.statistics()["idle"], len(server.requests)

    assert live(main()) == (0, 1)


def test_body_up_to_the_end_of_the_connection(live):
    async def main():
        answer = b"HTTP/1.1 200 OK\r\n\r\nall of it"
        async with Scripted([answer]) as server, client_of(server) as client:
            return await (await client.request("GET", "/")).read()

    assert live(main()) == b"all of it"


def test_interim_answers_are_skipped(live):
    async def main():
        answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK
        async with Scripted([answer]) as server, client_of(server) as client:
            response = await client.request("GET", "/")
            return response.status, "link" in response.headers, await response.read()

    assert live(main()) == (200, False, b"ok")


def test_no_body_statuses(live):
    async def main():
        answer = b"HTTP/1.1 204 No Content\r\n\r\n"
        async with Scripted([answer, OK]) as server, client_of(server) as client:
            first = await client.request("DELETE", "/")
            return await first.read(), await (await client.request("GET", "/")).read()

    assert live(main()) == (b"", b"ok")


def test_timeout_and_cancellation_break_the_connection(live, served):
    async def app(request):
        await asyncio.sleep(10)

    async def main():
        async with served(app) as (server, _), client_of(server) as client:
            with pytest.raises(TimeoutError):
                await client.request("GET", "/", timeout=0.02)
            task = asyncio.create_task(client.request("GET", "/"))
            await asyncio.sleep(0.02)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.sleep(0.02)
            return client.statistics()

    assert live(main()) == {"connections": 0, "idle": 0}


def test_connection_refused(live):
    async def main():
        async with HttpClient("http://127.0.0.1:1") as client:
            with pytest.raises(OSError):
                await client.request("GET", "/")

    live(main())


def test_idle_connections_are_dropped(live, served):
    async def main():
        async with served(echo) as (server, _), client_of(server, idle_timeout=0.03) as client:
            await (await client.request("GET", "/")).read()
            assert client.statistics()["idle"] == 1
            await asyncio.sleep(0.1)
            return client.statistics()

    assert live(main()) == {"connections": 0, "idle": 0}


def test_upgrade(live, served):
    async def shout(stream):
        stream.write(b"hello ")
        while data := await stream.read():
            stream.write(data.upper())
            await stream.drain()
        stream.write(b"BYE")

    async def app(request):
        assert request.headers["upgrade"] == "loud"
        return UpgradeResponse(
            shout, (("Connection", "Upgrade"), ("Upgrade", "loud"), ("X-A", "1"))
        )

    async def main():
        async with served(app) as (server, _), client_of(server) as client:
            stream = await client.upgrade("/", "loud", method="POST")
            assert stream.headers["x-a"] == "1"
            stream.write(b"abc")
            got = b""
            while len(got) < 9:
                got += await stream.read()
            stream.write_eof()
            while piece := await stream.read():
                got += piece
            stream.close()
            return got

    assert live(main()) == b"hello ABCBYE"


def test_upgrade_refused(live, served):
    async def app(request):
        return Response(403, b"no", headers=(("X-Why", "because"),))

    async def main():
        async with served(app) as (server, _), client_of(server) as client:
            with pytest.raises(UpgradeRefused) as caught:
                await client.upgrade("/", "websocket")
            refusal = caught.value
            return refusal.status, refusal.headers["x-why"], refusal.body

    assert live(main()) == (403, "because", b"no")


@pytest.mark.parametrize(
    ("method", "target", "headers"),
    [
        ("GET", "/a b", None),
        ("GET", "/a\r\nX: y", None),
        ("GE T", "/", None),
        ("GET", "/", {"A": "b\r\nC: d"}),
    ],
)
def test_injection_is_refused(live, method, target, headers):
    async def main():
        async with HttpClient("http://127.0.0.1:1") as client:
            with pytest.raises(ValueError):
                await client.request(method, target, headers)

    live(main())


@pytest.mark.parametrize("url", ["ftp://x", "http://", "https://x"])
def test_bad_urls(url):
    with pytest.raises(ValueError):
        HttpClient(url)


def test_closed_client(live, served):
    async def main():
        async with served(echo) as (server, _):
            client = client_of(server)
            await client.close()
            with pytest.raises(RuntimeError, match="closed"):
                await client.request("GET", "/")

    live(main())


def test_a_connection_still_sending_a_body_is_not_given_to_another_request(live):
    """The server answers before it has read the body, and keeps the connection."""
    release = asyncio.Event()

    async def body():
        yield b"first"
        await release.wait()
        yield b"second"

    async def main():
        async with Scripted([OK, OK], [OK, OK]) as server, client_of(server) as client:
            slow = asyncio.create_task(client.request("POST", "/slow", None, body()))
            while not server.requests:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)  # its answer has arrived
            other = await client.request("GET", "/other")
            assert await other.read() == b"ok"
            release.set()
            assert await (await slow).read() == b"ok"
            return [request.split(b"\r\n")[0] for request in server.requests]

    assert live(main()) == [b"POST /slow HTTP/1.1", b"GET /other HTTP/1.1"]


def test_a_second_answer_for_which_nobody_asked_breaks_the_connection(live):
    async def main():
        async with Scripted([OK + OK], [OK]) as server, client_of(server) as client:
            assert await (await client.request("GET", "/1")).read() == b"ok"
            assert await (await client.request("GET", "/2")).read() == b"ok"
            return len(server.requests), server.connections

    assert live(main()) == (2, [])
