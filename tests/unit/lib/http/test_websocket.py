from __future__ import annotations

import asyncio

import aiohttp
import pytest

from kybern.lib.http.client import HttpClient, UpgradeRefused
from kybern.lib.http.messages import Request, Response
from kybern.lib.http.stream import StreamClosed, memory_pair
from kybern.lib.http.websocket import (
    HandshakeError,
    WebSocket,
    WebSocketStream,
    accept,
    connect,
    is_websocket,
)


async def echo(socket):
    async for message in socket:
        await socket.send(message)


def app_of(handle, **options):
    async def app(request):
        try:
            return accept(request, handle, **options)
        except HandshakeError as error:
            return Response(400, str(error).encode(), "text/plain")

    return app


def test_messages_both_ways(live, served):
    async def main():
        async with (
            served(app_of(echo, protocols=("v2", "v1"))) as (server, _),
            HttpClient(f"http://127.0.0.1:{server.port}") as client,
        ):
            socket = await connect(client, "/", protocols=("v3", "v1", "v2"))
            assert socket.protocol == "v1"
            got = []
            for message in ("text", b"bytes", b"", b"x" * 200_000):
                await socket.send(message)
                got.append(await socket.receive())
            await socket.ping(b"1")
            await socket.close()
            assert socket.close_code == 1000
            with pytest.raises(StreamClosed):
                await socket.send("late")
            return got

    assert live(main()) == ["text", b"bytes", b"", b"x" * 200_000]


def test_the_last_messages_arrive_before_the_close(live, served):
    async def handle(socket):
        for n in range(50):
            await socket.send(b"%d" % n)

    async def main():
        async with (
            served(app_of(handle)) as (server, _),
            HttpClient(f"http://127.0.0.1:{server.port}") as client,
        ):
            socket = await connect(client, "/")
            await socket.send(b"which nobody reads" * 100)
            got = [message async for message in socket]
            return len(got), socket.close_code, await socket.receive()

    assert live(main()) == (50, 1000, None)


def test_an_independent_client(live, served):
    async def main():
        async with served(app_of(echo, protocols=("b",))) as (server, _):
            url = f"http://127.0.0.1:{server.port}/"
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(url, protocols=("a", "b")) as socket,
            ):
                assert socket.protocol == "b"
                await socket.ping()
                await socket.send_str("hi")
                await socket.send_bytes(b"there")
                return await socket.receive_str(), await socket.receive_bytes()

    assert live(main()) == ("hi", b"there")


def test_no_common_protocol_is_refused(live, served):
    async def main():
        async with (
            served(app_of(echo, protocols=("b",))) as (server, _),
            HttpClient(f"http://127.0.0.1:{server.port}") as client,
        ):
            with pytest.raises(UpgradeRefused) as caught:
                await connect(client, "/", protocols=("a",))
            return caught.value.status, b"unsupported subprotocols" in caught.value.body

    assert live(main()) == (400, True)


def test_a_failing_handler_closes_with_an_error(live, served, caplog):
    async def handle(socket):
        raise KeyError("secret")

    async def main():
        async with (
            served(app_of(handle)) as (server, _),
            HttpClient(f"http://127.0.0.1:{server.port}") as client,
        ):
            socket = await connect(client, "/")
            assert await socket.receive() is None
            return socket.close_code

    assert live(main()) == 1011
    assert "upgraded connection failed" in caplog.text


def test_shutting_down_says_so(live, served):
    async def main():
        async with (
            served(app_of(echo)) as (server, _),
            HttpClient(f"http://127.0.0.1:{server.port}") as client,
        ):
            socket = await connect(client, "/")
            await socket.send("x")
            await socket.receive()
            async with asyncio.TaskGroup() as group:
                group.create_task(server.close(grace=1))
                assert await socket.receive() is None
            return socket.close_code

    assert live(main()) == 1001


def test_breaking_off_is_noticed(virtual):
    async def main():
        left, right = memory_pair()
        socket = WebSocket(left)
        right.abort()
        assert await socket.receive() is None
        return socket.close_code

    assert virtual(main()) == 1006


def test_messages_have_a_limit(virtual):
    async def main():
        left, right = memory_pair()
        server, client = WebSocket(left, message_limit=1000), WebSocket(right, client=True)
        await client.send(b"x" * 1001)
        assert await server.receive() is None
        assert await client.receive() is None
        return client.close_code

    assert virtual(main()) == 1009


def test_rubbish_is_a_protocol_error(virtual):
    async def main():
        left, right = memory_pair()
        socket = WebSocket(left)
        right.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await socket.receive() is None
        return socket.close_code

    assert virtual(main()) == 1002


def test_bytes_inside_messages(virtual):
    async def main():
        left, right = memory_pair()
        server, client = WebSocket(left), WebSocket(right, client=True)
        here, there = WebSocketStream(server), WebSocketStream(client)
        here.write(b"hello")
        here.write(b" there")
        await here.drain()
        got = [await there.read(3), await there.read(), await there.read()]
        there.write(b"bye")
        there.close()
        return got, await here.read(), await here.read()

    assert virtual(main()) == ([b"hel", b"lo", b" there"], b"bye", b"")


GOOD = {
    "host": "x",
    "connection": "keep-alive, Upgrade",
    "upgrade": "WebSocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def test_handshake_of_the_specification():
    response = accept(Request("GET", "/", headers=GOOD), echo)
    assert dict(response.headers)["Sec-WebSocket-Accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize(
    ("method", "change"),
    [
        ("POST", {}),
        ("GET", {"upgrade": "spdy"}),
        ("GET", {"sec-websocket-version": "8"}),
        ("GET", {"sec-websocket-key": "short"}),
        ("GET", {"sec-websocket-key": ""}),
    ],
)
def test_bad_handshakes(method, change):
    request = Request(method, "/", headers={**GOOD, **change})
    with pytest.raises(HandshakeError):
        accept(request, echo)
    assert is_websocket(request) == ("upgrade" not in change)
