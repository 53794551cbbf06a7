"""Port-forward: a caller's connections to ports of a pod.

In:   an upgrade request, and the URL where the runtime waits for connections.
Out:  the answer to the request, which carries the connections until one side ends.
By:   app.py.

The runtime speaks SPDY/3.1: two streams for each connection, its data and what went wrong. Three
kinds of callers come: old kubectl speaks SPDY too, newer ones carry its bytes in messages of a
WebSocket, and clients in other languages speak a WebSocket with one connection to each of the ports
they name, where the first byte of a message is a channel: twice the port's place for its data, and
the next one for errors.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from kybern.kubelet.server.exec import COPY, VERSION_HEADER, Channels, connect, pass_through
from kybern.lib.http import spdy, websocket
from kybern.lib.http.client import UpgradeRefused
from kybern.lib.http.messages import Response
from kybern.lib.http.stream import StreamClosed

if TYPE_CHECKING:
    from kybern.lib.http.messages import AnyResponse, Request
    from kybern.lib.http.spdy import SpdySession, SpdyStream
    from kybern.lib.http.stream import Stream
    from kybern.lib.http.websocket import WebSocket

PROTOCOL = "portforward.k8s.io"
TUNNEL = "SPDY/3.1+portforward.k8s.io"
CHANNELS = ("v4.channel.k8s.io", "v4.base64.channel.k8s.io")


class BadPorts(ValueError):
    """The ports a caller names make no sense; the text is upstream's."""


async def forward_ports(request: Request, url: str) -> AnyResponse:
    """Answer a port-forward request."""
    if spdy.is_spdy(request):
        return await pass_through(request, url, PROTOCOL)
    if not websocket.is_websocket(request):
        return Response(400, b"Upgrade request required", "text/plain")
    tunnels = TUNNEL in request.headers.get("sec-websocket-protocol", "")
    try:
        ports = [] if tunnels else ports_of(request)
        runtime = await connect(url, {VERSION_HEADER: PROTOCOL})
    except BadPorts as error:
        return Response(400, str(error).encode(), "text/plain")
    except UpgradeRefused as refused:
        return Response(refused.status, refused.body, "text/plain")
    except OSError as error:
        return Response(500, f"the container runtime: {error}".encode(), "text/plain")

    async def run(socket: WebSocket) -> None:
        if socket.protocol == TUNNEL:
            await _tunnel(socket, runtime)
            return
        async with spdy.SpdySession(runtime, client=True) as session:
            await _Connections(socket, ports).run(session)

    try:
        return websocket.accept(request, run, protocols=(TUNNEL, *CHANNELS))
    except websocket.HandshakeError as error:
        runtime.close()
        return Response(400, str(error).encode(), "text/plain")


def ports_of(request: Request) -> list[int]:
    """Return the ports a WebSocket without SPDY is for.

    Raises:
        BadPorts: there is none, or one is not a port.
    """
    named = [word for text in request.params.get("port", ()) for word in text.split(",")]
    if not named:
        raise BadPorts('query parameter "port" is required')
    for word in named:
        if not (word.isascii() and word.isdigit() and 0 < int(word) < 65536):
            raise BadPorts(f'unable to parse "{word}" as a port')
    return [int(word) for word in named]


async def _tunnel(socket: WebSocket, runtime: Stream) -> None:
    """Carry SPDY bytes in messages."""

    async def back() -> None:
        with contextlib.suppress(StreamClosed):
            while data := await runtime.read(COPY):
                await socket.send(data)
        socket.start_closing()

    try:
        async with asyncio.TaskGroup() as group:
            returning = group.create_task(back())
            with contextlib.suppress(StreamClosed):
                async for message in socket:
                    runtime.write(message if isinstance(message, bytes) else message.encode())
                    await runtime.drain()
            returning.cancel()
    finally:
        runtime.close()


class _Connections:
    """One connection to each port, in channels of a WebSocket."""

    def __init__(self, socket: WebSocket, ports: list[int]) -> None:
        self._socket = socket
        self._channels = Channels(socket)
        self._ports = ports

    async def run(self, session: SpdySession) -> None:
        """Carry the connections until all have ended, or the caller has left."""
        data: dict[int, SpdyStream] = {}
        errors: dict[int, SpdyStream] = {}
        for place, port in enumerate(self._ports):
            about = {"port": str(port), "requestid": str(place)}
            errors[place] = await session.open({"streamtype": "error", **about})
            errors[place].write_eof()  # nothing goes that way
            data[place] = await session.open({"streamtype": "data", **about})
            for channel in (2 * place, 2 * place + 1):
                await self._channels.send(channel, port.to_bytes(2, "little"))
        async with asyncio.TaskGroup() as group:
            receiving = group.create_task(self._receive(data))
            finishing = group.create_task(self._finish(data, errors))
            await asyncio.wait((receiving, finishing), return_when=asyncio.FIRST_COMPLETED)
            receiving.cancel()
            finishing.cancel()
        self._socket.start_closing()

    async def _receive(self, data: dict[int, SpdyStream]) -> None:
        async for message in self._socket:
            channel, sent = self._channels.unpack(message)
            stream = None if channel % 2 else data.get(channel // 2)
            if stream is not None:
                with contextlib.suppress(StreamClosed):
                    stream.write(sent)
                    await stream.drain()

    async def _finish(self, data: dict[int, SpdyStream], errors: dict[int, SpdyStream]) -> None:
        async with asyncio.TaskGroup() as group:
            for place in data:
                group.create_task(self._channels.send_all(2 * place, data[place]))
                group.create_task(self._channels.send_all(2 * place + 1, errors[place]))
