"""What every `Transport` promises, held against each of them.

The same application answers: once called directly, once behind the real server over TLS.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from kybern.client.config import ClientConfig
from kybern.client.in_process import InProcessTransport
from kybern.client.tls import TlsTransport
from kybern.client.transport import Identity, Transport, Unreachable, UpgradeRefused
from kybern.lib import pki
from kybern.lib.http.messages import Request, Response, StreamResponse, UpgradeResponse
from kybern.lib.http.server import serve
from kybern.lib.tls import server_context


class Application:
    """Answers by path, and remembers what became of its streams."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()
        self.go = asyncio.Event()

    async def __call__(self, request: Request) -> Any:
        path = request.path
        if path == "/echo":
            body = await request.body()
            tree = {
                "method": request.method,
                "query": request.params,
                "type": request.headers.get("content-type"),
                "body": body.decode(),
            }
            return Response(201, [json.dumps(tree).encode()], headers=(("X-Extra", "yes"),))
        if path == "/missing":
            return Response(404, b"{}")
        if path == "/empty":
            return Response(200, b"")
        if path == "/endless":
            return StreamResponse(200, self.endless())
        if path == "/finite":
            return StreamResponse(200, self.finite())
        if path == "/broken":
            return StreamResponse(200, self.broken())
        if path == "/upgrade":
            return UpgradeResponse(self.talk, (("Upgrade", "shout"), ("Connection", "Upgrade")))
        return Response(500, b"")

    async def endless(self) -> AsyncIterator[bytes]:
        try:
            yield b"one\n"
            await self.go.wait()
            yield b"two\n"
            await asyncio.Event().wait()
        finally:
            self.closed.set()

    async def finite(self) -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 10_000
            await asyncio.sleep(0)

    async def broken(self) -> AsyncIterator[bytes]:
        yield b"one\n"
        raise RuntimeError("half way")

    async def talk(self, stream: Any) -> None:
        while data := await stream.read():
            stream.write(data.upper())
            await stream.drain()
        stream.close()


Factory = Callable[[Application], AbstractAsyncContextManager[Transport]]


@asynccontextmanager
async def in_process(app: Application) -> AsyncIterator[Transport]:
    transport = InProcessTransport(app, Identity("me"))
    yield transport
    await transport.close()


@asynccontextmanager
async def over_tcp(app: Application) -> AsyncIterator[Transport]:
    server = await serve(app, "127.0.0.1", 0)
    transport = TlsTransport(ClientConfig(f"http://127.0.0.1:{server.port}", token="secret"))
    try:
        yield transport
    finally:
        await transport.close()
        await server.close()


@asynccontextmanager
async def over_tls(app: Application) -> AsyncIterator[Transport]:
    now = time.time()
    ca = pki.make_ca("test", now=now)
    server_pair = pki.issue(
        ca, pki.Subject("server", ip_addresses=("127.0.0.1",)), now=now, server=True
    )
    client_pair = pki.issue(ca, pki.Subject("jane", ("dev",)), now=now, client=True)
    with tempfile.TemporaryDirectory() as directory:
        certificate, key = Path(directory) / "crt", Path(directory) / "key"
        certificate.write_bytes(server_pair.certificate)
        key.write_bytes(server_pair.key)
        context = server_context(certificate, key, ca.certificate)
    server = await serve(app, "127.0.0.1", 0, ssl=context)
    config = ClientConfig(
        f"https://127.0.0.1:{server.port}",
        ca=ca.certificate,
        certificate=client_pair.certificate,
        key=client_pair.key,
    )
    transport = TlsTransport(config)
    try:
        yield transport
    finally:
        await transport.close()
        await server.close()


@pytest.fixture(params=[in_process, over_tcp, over_tls], ids=["in process", "over TCP", "over TLS"])
def story(request, live):
    factory: Factory = request.param

    def run(main):
        async def wrapped():
            app = Application()
            async with factory(app) as transport:
                await main(transport, app)

        live(wrapped())

    return run


def test_carries_request_and_answer(story):
    async def main(transport: Transport, _):
        response = await transport.request(
            "POST",
            "/echo",
            query="a=1&b=x%20y",
            headers={"content-type": "application/json"},
            body=b'{"k": 1}',
        )
        assert response.status == 201
        assert response.headers["x-extra"] == "yes"
        assert response.headers["content-type"].startswith("application/json")
        told = json.loads(await response.read())
        assert told == {
            "method": "POST",
            "query": {"a": ["1"], "b": ["x y"]},
            "type": "application/json",
            "body": '{"k": 1}',
        }

    story(main)


def test_returns_whatever_the_status(story):
    async def main(transport: Transport, _):
        response = await transport.request("GET", "/missing")
        assert (response.status, await response.read()) == (404, b"{}")
        response = await transport.request("GET", "/empty")
        assert (response.status, await response.read()) == (200, b"")

    story(main)


def test_an_endless_answer_arrives_while_it_is_made(story):
    async def main(transport: Transport, app: Application):
        response = await transport.request("GET", "/endless")
        assert response.status == 200
        pieces = aiter(response)
        assert await anext(pieces) == b"one\n"
        app.go.set()
        assert await anext(pieces) == b"two\n"
        assert not app.closed.is_set()
        await response.close()
        await app.closed.wait()
        await response.close()

    story(main)


def test_a_reader_that_is_cancelled_ends_the_answer(story):
    async def main(transport: Transport, app: Application):
        got = []

        async def read():
            response = await transport.request("GET", "/endless")
            try:
                async for piece in response:
                    got.append(piece)
            finally:
                await response.close()

        task = asyncio.create_task(read())
        while not got:
            await asyncio.sleep(0.01)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await app.closed.wait()

    story(main)


def test_a_long_answer_is_read_whole(story):
    async def main(transport: Transport, _):
        response = await transport.request("GET", "/finite")
        assert len(await response.read()) == 1_000_000
        response = await transport.request("GET", "/finite")
        assert sum([len(piece) async for piece in response]) == 1_000_000

    story(main)


def test_an_answer_that_breaks_off_is_not_an_end(story):
    async def main(transport: Transport, _):
        got = []
        with pytest.raises(Unreachable):  # already by the request, when it breaks that early
            async for piece in await transport.request("GET", "/broken"):
                got.append(piece)
        assert b"".join(got) in (b"one\n", b"")

    story(main)


def test_an_upgrade_is_a_stream_in_both_directions(story):
    async def main(transport: Transport, _):
        stream = await transport.upgrade("/upgrade", "shout")
        stream.write(b"hello")
        await stream.drain()
        assert await stream.read() == b"HELLO"
        stream.write_eof()
        assert await stream.read() == b""
        stream.close()

    story(main)


def test_an_upgrade_can_be_refused(story):
    async def main(transport: Transport, _):
        with pytest.raises(UpgradeRefused) as refused:
            await transport.upgrade("/missing", "shout")
        assert (refused.value.status, refused.value.body) == (404, b"{}")

    story(main)


def test_many_requests_at_once(story):
    async def main(transport: Transport, _):
        async def one(n: int) -> None:
            response = await transport.request("GET", "/echo", query=f"n={n}")
            assert json.loads(await response.read())["query"] == {"n": [str(n)]}

        async with asyncio.TaskGroup() as group:
            for n in range(100):
                group.create_task(one(n))

    story(main)


def test_nobody_listens(live):
    async def main():
        transport = TlsTransport(ClientConfig("http://127.0.0.1:1"))
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1"):
            await transport.request("GET", "/")
        with pytest.raises(Unreachable):
            await transport.upgrade("/", "shout")
        await transport.close()

    live(main())
