"""Exec and attach: streams between a caller and the runtime.

In:   an upgrade request, and the URL where the runtime has prepared the streams.
Out:  the answer to the request, which carries the streams until one side ends.
By:   app.py; `ports` shares the ways to the runtime.

The runtime speaks SPDY/3.1. A caller which does so too gets the runtime's bytes as they are. One
which speaks WebSocket has its messages translated: the first byte of each is a channel.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from kybern.lib.http import spdy, websocket
from kybern.lib.http.client import HttpClient, UpgradeRefused
from kybern.lib.http.messages import Response, UpgradeResponse
from kybern.lib.http.stream import StreamClosed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kybern.lib.http.messages import AnyResponse, Request
    from kybern.lib.http.spdy import SpdySession, SpdyStream
    from kybern.lib.http.stream import Stream
    from kybern.lib.http.websocket import WebSocket

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
VERSION_HEADER = "x-stream-protocol-version"
RUNTIME_PROTOCOL = "v4.channel.k8s.io"
CHANNELS = (
    "v5.channel.k8s.io", "v4.channel.k8s.io", "v4.base64.channel.k8s.io", "channel.k8s.io",
    "base64.channel.k8s.io",
)  # fmt: skip
COPY = 64 << 10


class Streams(NamedTuple):
    """Which streams the caller wants."""

    stdin: bool
    stdout: bool
    stderr: bool
    tty: bool


async def into_container(request: Request, url: str, streams: Streams) -> AnyResponse:
    """Answer an exec or attach request."""
    if spdy.is_spdy(request):
        return await pass_through(request, url, RUNTIME_PROTOCOL)
    if not websocket.is_websocket(request):
        return Response(400, b"Upgrade request required", "text/plain")

    async def run(socket: WebSocket) -> None:
        await _translate(socket, url, streams)

    try:
        return websocket.accept(request, run, protocols=CHANNELS)
    except websocket.HandshakeError as error:
        return Response(400, str(error).encode(), "text/plain")


async def connect(url: str, headers: Mapping[str, str]) -> Stream:
    """Return a connection to the runtime that speaks SPDY."""
    parts = urlsplit(url)
    client = HttpClient(f"{parts.scheme}://{parts.netloc}")
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    return await client.upgrade(target, spdy.PROTOCOL, headers, method="POST", timeout=30.0)


async def pass_through(request: Request, url: str, default: str) -> AnyResponse:
    """Answer a caller that speaks SPDY with the runtime's bytes."""
    wanted = ", ".join(request.values(VERSION_HEADER)) or default
    if default == RUNTIME_PROTOCOL and RUNTIME_PROTOCOL in wanted:
        wanted = RUNTIME_PROTOCOL
    try:
        runtime = await connect(url, {VERSION_HEADER: wanted})
    except UpgradeRefused as refused:
        return Response(refused.status, refused.body, "text/plain")
    except OSError as error:
        return Response(500, f"the container runtime: {error}".encode(), "text/plain")

    async def run(caller: Stream) -> None:
        await _join(caller, runtime)

    chosen = getattr(runtime, "headers", {}).get(VERSION_HEADER, wanted)
    headers = (("Upgrade", spdy.PROTOCOL), ("Connection", "Upgrade"), (VERSION_HEADER, chosen))
    return UpgradeResponse(run, headers)


async def _join(one: Stream, other: Stream) -> None:
    """Copy both ways until either side ends."""
    try:
        async with asyncio.TaskGroup() as group:
            there = group.create_task(_copy(one, other))
            back = group.create_task(_copy(other, one))
            await asyncio.wait((there, back), return_when=asyncio.FIRST_COMPLETED)
            if back.done():
                there.cancel()
    finally:
        one.close()
        other.close()


async def _copy(source: Stream, sink: Stream) -> None:
    with contextlib.suppress(StreamClosed):
        while data := await source.read(COPY):
            sink.write(data)
            await sink.drain()
        sink.write_eof()


async def _translate(socket: WebSocket, url: str, streams: Streams) -> None:
    runtime = await connect(url, {VERSION_HEADER: RUNTIME_PROTOCOL})
    async with spdy.SpdySession(runtime, client=True) as session:
        await _Translation(socket, streams).run(session)


class Channels:
    """Messages of a WebSocket whose first byte, or digit, is a channel."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._base64 = "base64" in socket.protocol

    async def send_all(self, channel: int, stream: SpdyStream) -> None:
        """Pass on a stream until it ends."""
        with contextlib.suppress(StreamClosed):
            while data := await stream.read(COPY):
                await self.send(channel, data)

    async def send(self, channel: int, data: bytes) -> None:
        """Send bytes to a caller, who may have left."""
        with contextlib.suppress(StreamClosed):
            if self._base64:
                await self._socket.send(str(channel) + base64.b64encode(data).decode("ascii"))
            else:
                await self._socket.send(bytes((channel,)) + data)

    def unpack(self, message: bytes | str) -> tuple[int, bytes]:
        """Return channel and bytes of a message."""
        if self._base64:
            text = message if isinstance(message, str) else message.decode("ascii")
            return int(text[:1] or "0"), base64.b64decode(text[1:])
        data = message if isinstance(message, bytes) else message.encode()
        return (data[0], data[1:]) if data else (STDIN, b"")


class _Translation:
    """One conversation: messages of a WebSocket to and from streams of a SPDY session."""

    def __init__(self, socket: WebSocket, streams: Streams) -> None:
        self._socket = socket
        self._streams = streams
        self._channels = Channels(socket)
        self._plain_errors = not socket.protocol.startswith("v")

    async def run(self, session: SpdySession) -> None:
        """Carry the streams until the process has ended, or the caller has left."""
        wanted = self._streams
        # The order is that of upstream's clients; runtimes wait until all have been opened.
        error = await session.open({"streamtype": "error"})
        incoming: dict[int, SpdyStream] = {}
        if wanted.stdin:
            incoming[STDIN] = await session.open({"streamtype": "stdin"})
        outgoing = {}
        if wanted.stdout:
            outgoing[STDOUT] = await session.open({"streamtype": "stdout"})
        if wanted.stderr and not wanted.tty:
            outgoing[STDERR] = await session.open({"streamtype": "stderr"})
        if wanted.tty:
            incoming[RESIZE] = await session.open({"streamtype": "resize"})
        async with asyncio.TaskGroup() as group:
            receiving = group.create_task(self._receive(incoming))
            finishing = group.create_task(self._finish(outgoing, error))
            await asyncio.wait((receiving, finishing), return_when=asyncio.FIRST_COMPLETED)
            receiving.cancel()
            if not finishing.done():
                finishing.cancel()

    async def _receive(self, incoming: Mapping[int, SpdyStream]) -> None:
        """Pass on what the caller sends; ends when the caller leaves."""
        async for message in self._socket:
            channel, data = self._channels.unpack(message)
            if channel == CLOSE and data:
                channel, data = data[0], b""
                if channel in incoming:
                    incoming[channel].write_eof()
            elif channel in incoming:
                with contextlib.suppress(StreamClosed):
                    incoming[channel].write(data)
                    await incoming[channel].drain()

    async def _finish(self, outgoing: Mapping[int, SpdyStream], error: SpdyStream) -> None:
        """Pass on what the process writes, and how it ended, and say good-bye."""
        async with asyncio.TaskGroup() as group:
            for channel, stream in outgoing.items():
                group.create_task(self._channels.send_all(channel, stream))
        status = b""
        with contextlib.suppress(StreamClosed):
            while data := await error.read(COPY):
                status += data
        if status and not (self._plain_errors and b'"Success"' in status):
            await self._channels.send(ERROR, status)
        self._socket.start_closing()
