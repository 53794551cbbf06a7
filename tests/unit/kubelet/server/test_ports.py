"""Port-forward as each kind of caller speaks it, with a runtime made for the test."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from kybern.kubelet.server import ports
from kybern.lib.http import spdy, websocket
from kybern.lib.http.client import HttpClient, UpgradeRefused
from kybern.lib.http.messages import Request, Response
from kybern.lib.http.server import serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from kybern.lib.http.spdy import SpdySession, SpdyStream

CLOSED = b"failed to connect to localhost:9"


async def _runtime(session: SpdySession) -> None:
    """Answer what comes to a port in capitals; nobody listens on port 9."""
    async with asyncio.TaskGroup() as group:
        errors: dict[str, SpdyStream] = {}
        while (stream := await session.accept()) is not None:
            if stream.headers["streamtype"] == "error":
                errors[stream.headers["requestid"]] = stream
            else:
                group.create_task(_port(stream, errors[stream.headers["requestid"]]))


async def _port(data: SpdyStream, error: SpdyStream) -> None:
    if data.headers["port"] == "9":
        error.write(CLOSED)
    else:
        sent = await data.read()
        data.write(data.headers["port"].encode() + b" " + sent.upper())
    for stream in (data, error):
        stream.write_eof()
        await stream.drain()


@contextlib.asynccontextmanager
async def _kubelet() -> AsyncIterator[HttpClient]:
    async def runtime(request: Request) -> Any:
        if request.path == "/gone":
            return Response(404, b"no such sandbox", "text/plain")
        return spdy.accept(_runtime)

    listening = await serve(runtime, "127.0.0.1", 0)

    async def kubelet(request: Request) -> Any:
        return await ports.forward_ports(
            request, f"http://127.0.0.1:{listening.port}{request.path}"
        )

    front = await serve(kubelet, "127.0.0.1", 0)
    async with HttpClient(f"http://127.0.0.1:{front.port}") as client:
        yield client
    await front.close()
    await listening.close()


async def _conversation(session: SpdySession) -> dict[str, tuple[bytes, bytes]]:
    """Speak with three ports over one connection, as kubectl does."""
    heard = {}
    for number, port in enumerate(("80", "9", "81")):
        about = {"port": port, "requestid": str(number)}
        error = await session.open({"streamtype": "error", **about})
        error.write_eof()
        data = await session.open({"streamtype": "data", **about})
        data.write(b"hello")
        heard[port] = (await data.read(), await error.read())
    return heard


HEARD = {"80": (b"80 HELLO", b""), "9": (b"", CLOSED), "81": (b"81 HELLO", b"")}


def test_over_spdy(live) -> None:
    async def story() -> None:
        async with _kubelet() as client, await spdy.connect(client, "/") as session:
            assert await _conversation(session) == HEARD

    live(story())


def test_over_messages(live) -> None:
    async def story() -> None:
        async with _kubelet() as client:
            socket = await websocket.connect(client, "/", protocols=(ports.TUNNEL,))
            tunnel = Tunnel(socket)
            sending = asyncio.ensure_future(tunnel.send())
            async with spdy.SpdySession(tunnel, client=True) as session:
                assert await _conversation(session) == HEARD
            await sending
            await socket.close()

    live(story())


class Tunnel:
    """A stream in the messages of a WebSocket, as kubectl has since 1.30."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._messages = aiter(socket)
        self._rest = b""
        self._queue: asyncio.Queue[bytes] = asyncio.Queue()

    async def send(self) -> None:
        while data := await self._queue.get():
            await self._socket.send(data)

    async def read(self, limit: int = 65536) -> bytes:
        if not self._rest:
            self._rest = await anext(self._messages, b"")
        data, self._rest = self._rest[:limit], self._rest[limit:]
        return data

    def write(self, data: bytes) -> None:
        self._queue.put_nowait(data)

    async def drain(self) -> None:
        return

    def close(self) -> None:
        self._queue.put_nowait(b"")
        self._socket.start_closing()


@pytest.mark.parametrize("protocol", ports.CHANNELS)
def test_over_channels(live, protocol: str) -> None:
    async def story() -> None:
        async with _kubelet() as client:
            socket = await websocket.connect(client, "/?port=80&port=9,81", protocols=(protocol,))
            assert socket.protocol == protocol
            for channel in (0, 2, 4):
                word = f"{channel}{base64.b64encode(b'hello').decode()}"
                await socket.send(word if "base64" in protocol else bytes((channel,)) + b"hello")
            heard = dict.fromkeys(range(6), b"")
            async for message in socket:
                if "base64" in protocol:
                    heard[int(message[0])] += base64.b64decode(message[1:])
                else:
                    heard[message[0]] += message[1:]
            await socket.close()
            assert heard == {
                0: b"\x50\0" + b"80 HELLO", 1: b"\x50\0", 2: b"\x09\0", 3: b"\x09\0" + CLOSED,
                4: b"\x51\0" + b"81 HELLO", 5: b"\x51\0",
            }  # fmt: skip

    live(story())


@pytest.mark.parametrize(
    ("path", "protocol", "status", "text"),
    [
        ("/", "v4.channel.k8s.io", 400, b'query parameter "port" is required'),
        ("/?port=x", "v4.channel.k8s.io", 400, b'unable to parse "x" as a port'),
        ("/?port=0", "v4.channel.k8s.io", 400, b'unable to parse "0" as a port'),
        ("/?port=80", "v9.channel.k8s.io", 400, b"protocol"),
        ("/gone?port=80", "v4.channel.k8s.io", 404, b"no such sandbox"),
        ("/gone", ports.TUNNEL, 404, b"no such sandbox"),
    ],
)
def test_refusals(live, path: str, protocol: str, status: int, text: bytes) -> None:
    async def story() -> None:
        async with _kubelet() as client:
            with pytest.raises(UpgradeRefused) as refused:
                await websocket.connect(client, path, protocols=(protocol,))
            assert refused.value.status == status
            assert text in refused.value.body
            plain = await client.request("POST", path)
            assert (plain.status, await plain.read()) == (400, b"Upgrade request required")

    live(story())
