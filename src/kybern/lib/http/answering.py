"""One client connection: a request out, its response in, one at a time.

In:   the bytes of a request; a transport's callbacks.
Out:  `ClientResponse`, or a `TransportStream` once the server has switched protocols.
By:   `client`, which keeps idle connections for later requests.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import httptools

from kybern.lib.http import sockets
from kybern.lib.http.pipe import Pipe
from kybern.lib.http.stream import TransportStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


class NoAnswer(ConnectionError):
    """The connection ended before the first byte of a response.

    Attributes:
        unsent: it had ended before the request was written: the server has not seen it.
    """

    unsent = False


class BrokenAnswer(ConnectionError):
    """The connection ended within a response, or what came is not HTTP."""


class ClientResponse:
    """A response whose body may still be on the way.

    Read it to the end, or `close` it: only then is its connection free for another request.
    """

    __slots__ = ("_body", "_connection", "headers", "status")

    def __init__(
        self, status: int, headers: dict[str, str], body: Pipe, connection: ClientConnection
    ) -> None:
        self.status = status
        self.headers = headers  # names in lower case; repeated ones are joined with a comma
        self._body = body
        self._connection = connection

    def __repr__(self) -> str:
        return f"<ClientResponse {self.status}>"

    async def read(self, limit: int | None = None) -> bytes:
        """Return the whole body.

        Raises:
            TooLarge: it is larger than `limit`.
            BrokenAnswer: the connection ended before its end.
        """
        try:
            return await self._body.read_all(limit)
        except BaseException:
            self.close()
            raise

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body in pieces as they arrive; leaving early closes the response."""
        try:
            while piece := await self._body.read(1 << 18):
                yield piece
        finally:
            self.close()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.chunks()

    def close(self) -> None:
        """Give up on the rest of the body; breaks the connection unless it was complete."""
        if not self._body.ended:
            self._connection.abort()
        self._body.discard()


class ClientConnection(asyncio.BufferedProtocol):
    """The protocol of one connection to a server."""

    __slots__ = (
        "_answer",
        "_bodiless",
        "_body",
        "_buffer",
        "_got_bytes",
        "_headers",
        "_on_idle",
        "_on_lost",
        "_parser",
        "_reusable",
        "_sending",
        "_stream",
        "_transport",
        "_until_end",
        "_writable",
        "idle_since",
        "lost",
    )

    _transport: asyncio.Transport

    def __init__(
        self,
        on_idle: Callable[[ClientConnection], None],
        on_lost: Callable[[ClientConnection], None],
        buffer: memoryview,
    ) -> None:
        self._buffer = buffer
        self.lost = False
        self.idle_since = 0.0
        self._on_idle = on_idle
        self._on_lost = on_lost
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[ClientResponse] | None = None
        self._headers: dict[str, str] = {}
        self._body: Pipe | None = None
        self._bodiless = False  # the request was HEAD
        self._got_bytes = False
        self._reusable = True
        self._sending = False  # the body of a request, piece by piece
        self._until_end = False  # the body ends with the connection
        self._stream: TransportStream | None = None
        self._writable: asyncio.Future[None] | None = None

    @property
    def usable(self) -> bool:
        """Whether a request can be sent."""
        if self.lost or self._sending:
            return False
        return self._reusable and not self._transport.is_closing()

    async def exchange(
        self, head: bytes, body: bytes | AsyncIterator[bytes] | None, *, bodiless: bool = False
    ) -> ClientResponse:
        """Send a request and wait for the head of its response.

        Raises:
            NoAnswer: the connection ended before any byte of a response.
            BrokenAnswer: it ended within the response's head, or that is malformed.
        """
        answer: asyncio.Future[ClientResponse] = asyncio.get_running_loop().create_future()
        self._answer = answer
        self._bodiless = bodiless
        self._got_bytes = False
        try:
            if self.lost:
                error = NoAnswer("the server closed the connection")
                error.unsent = True
                self._fail(error)
            elif body is None or isinstance(body, bytes):
                self._transport.write(head + body if body else head)
            else:
                self._transport.write(head)
                # Until the last piece is sent, nobody else may use the connection, even if the
                # response is complete: their request would be taken for a part of this body.
                self._sending = True
                await self._send_chunks(body)
                self._sending = False
            return await answer
        except BaseException:
            self.abort()
            if answer.done() and not answer.cancelled():
                answer.exception()  # nobody else will look at it
            raise
        finally:
            # A response that was complete at once has made the connection idle, and the next
            # request may be on it before we wake up: then the future is that one's.
            if self._answer is answer:
                self._answer = None

    def take_stream(self) -> TransportStream:
        """Return the raw stream after a response with status 101."""
        assert self._stream is not None
        return self._stream

    def abort(self) -> None:
        """Break the connection off."""
        self._reusable = False
        if not self.lost:
            self._transport.abort()

    def close(self) -> None:
        """Close an idle connection."""
        self._reusable = False
        if not self.lost:
            self._transport.close()

    async def _send_chunks(self, body: AsyncIterator[bytes]) -> None:
        async for piece in body:
            if self.lost or self._got_bytes:
                self._reusable = False
                return  # the server has answered, or left, without waiting for the rest
            if piece:
                self._transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            if self._writable is not None:
                await self._writable
        if not self.lost:
            self._transport.write(b"0\r\n\r\n")

    # --- the transport's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Learn the transport."""
        self._transport = cast("asyncio.Transport", transport)
        sockets.notice_dead_peer(transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Say where to put bytes: see `sockets.receive_buffer`."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take a piece of a response."""
        data = bytes(self._buffer[:nbytes])
        if self._stream is not None:
            self._stream.feed(data)
            return
        if self._answer is None and self._body is None:
            self.abort()  # nothing was asked
            return
        self._got_bytes = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._switched(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._fail(BrokenAnswer(f"malformed response: {error}"))
            self.abort()

    def eof_received(self) -> bool:
        """Take note that nothing more will come."""
        if self._stream is not None:
            self._stream.feed_eof()
            return self._transport.get_extra_info("ssl_object") is None
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        self.lost = True
        self._reusable = False
        self.resume_writing()
        if self._stream is not None:
            self._stream.connection_lost(exc)
        elif self._until_end and exc is None:
            self._end_body()
        else:
            self._fail(
                BrokenAnswer("the connection ended within the response")
                if self._got_bytes
                else NoAnswer(f"the server closed the connection{f': {exc}' if exc else ''}")
            )
        self._on_lost(self)
        del self._parser, self._transport  # which refer to us

    def pause_writing(self) -> None:
        """Learn that the server reads more slowly than we write."""
        if self._stream is not None:
            self._stream.pause_writing()
        elif self._writable is None:
            self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """Learn that the server keeps up again."""
        if self._stream is not None:
            self._stream.resume_writing()
        if self._writable is not None:
            if not self._writable.done():
                self._writable.set_result(None)
            self._writable = None

    # --- the parser's callbacks

    def on_message_begin(self) -> None:
        """Begin a response."""
        self._headers = {}
        if self._answer is None or self._answer.done():
            self.abort()  # a second response, for which nobody has asked

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header; those after the body (trailers) are ignored."""
        if self._body is None:
            key, text = name.decode("latin-1").lower(), value.decode("utf-8", "replace")
            known = self._headers.get(key)
            self._headers[key] = text if known is None else f"{known}, {text}"

    def on_headers_complete(self) -> None:
        """Hand the response to whoever waits; its body may still be on the way."""
        parser, headers, answer = self._parser, self._headers, self._answer
        status = parser.get_status_code()
        if (status < 200 and status != 101) or answer is None:
            return
        body = self._body = Pipe(self._transport)
        self._reusable = parser.should_keep_alive() and not self._bodiless
        stated = "content-length" in headers or "transfer-encoding" in headers
        self._until_end = not stated and status not in (101, 204, 304)
        if status == 101:
            self._reusable = False
            self._stream = TransportStream(self._transport)
            self._stream.headers = headers
        if not answer.done():
            answer.set_result(ClientResponse(status, headers, body, self))
        if self._bodiless:
            # The parser would wait for a body which a HEAD request never gets.
            self._end_body()
            self._transport.close()

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body."""
        if self._body is not None:
            self._body.feed(data)

    def on_message_complete(self) -> None:
        """End the response, and be free for another one."""
        if self._body is None:
            return
        self._end_body()
        if self._stream is not None:
            return
        if self.usable:
            self._on_idle(self)
        else:
            self._transport.close()

    def _switched(self, rest: bytes) -> None:
        if self._stream is not None:
            self._stream.feed(rest)

    def _end_body(self) -> None:
        body, self._body = self._body, None
        self._until_end = False
        if body is not None:
            body.finish()

    def _fail(self, error: ConnectionError) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
        if self._body is not None:
            self._body.finish(error)
            self._body = None
