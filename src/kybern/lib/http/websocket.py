"""WebSocket (RFC 6455): messages over an upgraded connection.

In:   a request to upgrade, or a client and a target.
Out:  a `WebSocket` which sends and receives whole messages.
By:   exec, attach, port-forward and logs, on both of their ends.

`wsproto` does the framing; the handshake is the few headers checked and made here. Which
subprotocols there are, and what their messages mean, is for the application to say.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hashlib
import os
from typing import TYPE_CHECKING

from kybern.lib.http.messages import UpgradeResponse
from kybern.lib.http.stream import StreamClosed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from wsproto.events import Event

    from kybern.lib.http.client import HttpClient
    from kybern.lib.http.messages import Headers, Request
    from kybern.lib.http.stream import Stream

MESSAGE_LIMIT = 16 << 20
CLOSING_SECONDS = 2.0
NORMAL, GOING_AWAY, TOO_BIG, INTERNAL_ERROR = 1000, 1001, 1009, 1011
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class HandshakeError(ValueError):
    """The two sides do not agree to speak WebSocket; the text says why."""


class WebSocket:
    """One connection; one task receives, any number of tasks send.

    Attributes:
        protocol: the subprotocol agreed on; empty when none was asked for.
        close_code: why the other side closed; 1006 when it broke off, 0 while it is open.
    """

    def __init__(
        self,
        stream: Stream,
        protocol: str = "",
        *,
        client: bool = False,
        message_limit: int = MESSAGE_LIMIT,
    ) -> None:
        from wsproto.connection import Connection, ConnectionType

        self.protocol = protocol
        self.close_code = 0
        self._stream = stream
        self._frames = Connection(ConnectionType.CLIENT if client else ConnectionType.SERVER)
        self._limit = message_limit
        self._parts: list[bytes | str] = []
        self._size = 0
        self._pending: list[bytes | str] = []
        self._close_sent = False
        self._answered_ping = False

    async def receive(self) -> bytes | str | None:
        """Return the next message, or None once the other side has closed or is gone.

        Pings are answered meanwhile, so somebody should be receiving at all times.
        """
        while not self._pending:
            if self.close_code:
                return None
            try:
                data = await self._stream.read()
            except StreamClosed:
                data = b""
            if not data:
                self.close_code = self.close_code or 1006
                return None
            self._frames.receive_data(data)
            for event in self._frames.events():
                self._take(event)
            if self._answered_ping:
                self._answered_ping = False
                with contextlib.suppress(StreamClosed):
                    await self._stream.drain()  # pongs are not sent faster than they are read
        return self._pending.pop(0)

    def __aiter__(self) -> AsyncIterator[bytes | str]:
        return self._iterate()

    async def send(self, message: bytes | str) -> None:
        """Send a message, waiting while the other side lags.

        Raises:
            StreamClosed: the connection is closed.
        """
        self.write(message)
        await self._stream.drain()

    def write(self, message: bytes | str) -> None:
        """Queue a message to be sent, without waiting.

        Raises:
            StreamClosed: the connection is closed.
        """
        from wsproto.events import BytesMessage, TextMessage

        if self._close_sent or self.close_code:
            raise StreamClosed("the WebSocket is closed")
        if isinstance(message, str):
            data = self._frames.send(TextMessage(data=message))
        else:
            data = self._frames.send(BytesMessage(data=message))
        self._stream.write(data)

    async def drain(self) -> None:
        """Wait while the other side lags.

        Raises:
            StreamClosed: the connection is closed.
        """
        await self._stream.drain()

    def start_closing(self, code: int = NORMAL, reason: str = "") -> None:
        """Say that we are done, without waiting for the other side; nothing can be sent after."""
        self._send_close(code, reason)

    def abort(self) -> None:
        """End the connection now."""
        self._stream.abort()

    async def ping(self, payload: bytes = b"") -> None:
        """Send a ping; the answer is not waited for."""
        from wsproto.events import Ping

        if not self._close_sent and not self.close_code:
            self._stream.write(self._frames.send(Ping(payload=payload)))
            await self._stream.drain()

    async def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Say that we are done, and give the other side a moment to read it and to close too.

        No other task may be receiving. Ending the connection at once could cost the other side
        the last messages.
        """
        self._send_close(code, reason)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSING_SECONDS):
                while await self.receive() is not None:
                    pass
        self._stream.close()

    async def _iterate(self) -> AsyncIterator[bytes | str]:
        while (message := await self.receive()) is not None:
            yield message

    def _take(self, event: Event) -> None:
        from wsproto.events import CloseConnection, Message, Ping

        if isinstance(event, Message):
            self._size += len(event.data)
            if self._size > self._limit:
                self._send_close(TOO_BIG, "the message is too big")
                self.close_code = TOO_BIG
                return
            self._parts.append(event.data)
            if event.message_finished:
                self._pending.append(_join(self._parts))
                self._parts, self._size = [], 0
        elif isinstance(event, Ping):
            self._answered_ping = True
            with contextlib.suppress(StreamClosed):
                self._stream.write(self._frames.send(event.response()))
        elif isinstance(event, CloseConnection):
            self.close_code = event.code
            self._send_close(event.code if event.code not in (1005, 1006) else NORMAL, "")

    def _send_close(self, code: int, reason: str) -> None:
        from wsproto.events import CloseConnection
        from wsproto.utilities import LocalProtocolError

        if self._close_sent:
            return
        self._close_sent = True
        with contextlib.suppress(StreamClosed, LocalProtocolError):
            reason = reason.encode()[:120].decode(errors="ignore")
            self._stream.write(self._frames.send(CloseConnection(code=code, reason=reason)))


class WebSocketStream:
    """A `Stream` of bytes inside the binary messages of a WebSocket.

    So another protocol, such as SPDY, can pass where only WebSockets do.
    """

    __slots__ = ("_rest", "_socket")

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._rest = b""

    async def read(self, limit: int = 65536) -> bytes:
        """Return up to `limit` bytes, waiting for at least one; nothing means the end."""
        while not self._rest:
            message = await self._socket.receive()
            if message is None:
                return b""
            self._rest = message if isinstance(message, bytes) else message.encode()
        data, self._rest = self._rest[:limit], self._rest[limit:]
        return data

    def write(self, data: bytes) -> None:
        """Queue bytes to be sent."""
        self._socket.write(data)

    async def drain(self) -> None:
        """Wait until the other side keeps up."""
        await self._socket.drain()

    def write_eof(self) -> None:
        """Close: a WebSocket cannot end in one direction only."""
        self._socket.start_closing()

    def close(self) -> None:
        """Say that we are done; whoever holds the WebSocket ends the connection."""
        self._socket.start_closing()

    def abort(self) -> None:
        """End both directions now."""
        self._socket.abort()


def is_websocket(request: Request) -> bool:
    """Say whether a request asks to speak WebSocket."""
    connection = request.headers.get("connection", "").lower()
    upgrade = request.headers.get("upgrade", "").lower()
    return "upgrade" in connection and upgrade == "websocket"


def accept(
    request: Request,
    handle: Callable[[WebSocket], Awaitable[None]],
    *,
    protocols: Sequence[str] = (),
    headers: Headers = (),
    message_limit: int = MESSAGE_LIMIT,
) -> UpgradeResponse:
    """Answer a request to speak WebSocket; `handle` is called with the connection.

    Of the subprotocols the client asks for, the first that is among `protocols` is taken; a client
    that asks for none gets none. When `handle` returns the connection is closed properly; when it
    raises, with an error code.

    Raises:
        HandshakeError: the request is not one, or no subprotocol is common.
    """
    if not is_websocket(request) or request.method != "GET":
        raise HandshakeError("not a request to upgrade to websocket")
    if request.headers.get("sec-websocket-version") != "13":
        raise HandshakeError("only version 13 of the WebSocket protocol is supported")
    key = request.headers.get("sec-websocket-key", "")
    if not _is_key(key):
        raise HandshakeError("the header Sec-WebSocket-Key is missing or malformed")
    protocol = _choose(request.headers.get("sec-websocket-protocol", ""), protocols)

    async def run(stream: Stream) -> None:
        socket = WebSocket(stream, protocol, message_limit=message_limit)
        try:
            await handle(socket)
        except BaseException as error:
            code = INTERNAL_ERROR if isinstance(error, Exception) else GOING_AWAY
            socket.start_closing(code)
            raise
        await socket.close()

    answer: Headers = (
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", _answer_to(key)),
    )
    if protocol:
        answer += (("Sec-WebSocket-Protocol", protocol),)
    return UpgradeResponse(run, answer + headers)


async def connect(
    client: HttpClient,
    target: str,
    *,
    protocols: Sequence[str] = (),
    headers: Mapping[str, str] | None = None,
    timeout: float | None = 30.0,  # noqa: ASYNC109  # handed on
    message_limit: int = MESSAGE_LIMIT,
) -> WebSocket:
    """Ask a server to speak WebSocket.

    Raises:
        UpgradeRefused: the server answered something else.
        HandshakeError: the server's answer does not fit the request.
        OSError: no connection.
    """
    key = base64.b64encode(os.urandom(16)).decode()
    asked = {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key, **(headers or {})}
    if protocols:
        asked["Sec-WebSocket-Protocol"] = ", ".join(protocols)
    stream = await client.upgrade(target, "websocket", asked, timeout=timeout)
    protocol = stream.headers.get("sec-websocket-protocol", "")
    fits = stream.headers.get("sec-websocket-accept") == _answer_to(key)
    if not fits or (protocol and protocol not in protocols):
        stream.abort()
        raise HandshakeError("the server's handshake does not fit the request")
    return WebSocket(stream, protocol, client=True, message_limit=message_limit)


def _choose(asked: str, supported: Sequence[str]) -> str:
    wanted = [name.strip() for name in asked.split(",") if name.strip()]
    if not wanted:
        return ""
    for name in wanted:
        if name in supported:
            return name
    raise HandshakeError(f"unsupported subprotocols {wanted}; supported are {list(supported)}")


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        return False


def _answer_to(key: str) -> str:
    digest = hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


def _join(parts: list[bytes | str]) -> bytes | str:
    if isinstance(parts[0], str):
        return "".join(part for part in parts if isinstance(part, str))
    return b"".join(bytes(part) for part in parts if not isinstance(part, str))
