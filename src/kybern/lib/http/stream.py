"""Two-way streams of bytes: what an HTTP connection becomes when it is upgraded.

In:   a transport and its callbacks; or nothing, for a pair in memory.
Out:  `Stream`: read, write, drain, close.
By:   the server and the client for upgrades; WebSocket and SPDY run on top.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from kybern.lib.http.pipe import Pipe


class StreamClosed(ConnectionError):
    """The other side is gone, or this side closed the stream."""


class Stream(Protocol):
    """A reliable, ordered, two-way stream of bytes, with one reader and one writer."""

    async def read(self, limit: int = 65536) -> bytes:
        """Return up to `limit` bytes, waiting for at least one; nothing means the end.

        Raises:
            StreamClosed: the connection broke.
        """

    def write(self, data: bytes) -> None:
        """Queue bytes to be sent.

        Raises:
            StreamClosed: they can no longer be sent.
        """

    async def drain(self) -> None:
        """Wait until the other side keeps up.

        Raises:
            StreamClosed: it never will.
        """

    def write_eof(self) -> None:
        """Say that nothing more will be written; where this cannot be said, close."""

    def close(self) -> None:
        """Send what is queued, then end both directions; may be called again."""

    def abort(self) -> None:
        """End both directions now; what is queued is lost."""


class TransportStream:
    """A `Stream` on an asyncio transport; the protocol that owns it passes its callbacks on."""

    __slots__ = ("_closing", "_incoming", "_lost", "_transport", "_writable", "headers")

    def __init__(self, transport: asyncio.Transport) -> None:
        self.headers: dict[str, str] = {}  # the response's, on the client's side
        self._transport = transport
        self._incoming = Pipe(transport)
        self._writable: asyncio.Future[None] | None = None
        self._closing = False
        self._lost = False

    async def read(self, limit: int = 65536) -> bytes:
        """Return up to `limit` bytes, waiting for at least one; nothing means the end."""
        return await self._incoming.read(limit)

    def write(self, data: bytes) -> None:
        """Queue bytes to be sent."""
        if self._lost or self._closing:
            raise StreamClosed("the connection is closed")
        self._transport.write(data)

    async def drain(self) -> None:
        """Wait until the other side keeps up."""
        if self._writable is not None:
            await asyncio.shield(self._writable)
        if self._lost:
            raise StreamClosed("the connection is closed")

    def write_eof(self) -> None:
        """Say that nothing more will be written; TLS cannot say it, and closes."""
        if self._lost or self._closing:
            return
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self.close()

    def close(self) -> None:
        """Send what is queued, then end both directions."""
        self._closing = True
        if not self._lost:
            self._transport.close()

    def abort(self) -> None:
        """End both directions now."""
        self._closing = True
        if not self._lost:
            self._transport.abort()

    # --- from the protocol's callbacks

    def feed(self, data: bytes) -> None:
        """Take bytes which arrived."""
        self._incoming.feed(data)

    def feed_eof(self) -> None:
        """Learn that nothing more will arrive."""
        self._incoming.finish()

    def pause_writing(self) -> None:
        """Learn that too much is queued."""
        if self._writable is None:
            self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """Learn that the queue is short again."""
        if self._writable is not None:
            if not self._writable.done():
                self._writable.set_result(None)
            self._writable = None

    def connection_lost(self, error: BaseException | None) -> None:
        """Learn that the connection is gone."""
        self._lost = True
        self._incoming.finish(StreamClosed(str(error)) if error is not None else None)
        self.resume_writing()
        del self._transport  # which refers to us, through the protocol


class MemoryStream:
    """One end of a pair of streams in this process."""

    __slots__ = ("_writable", "headers", "incoming", "outgoing")

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.outgoing = Pipe(self)
        self.incoming = self.outgoing  # until `memory_pair` connects another
        self._writable: asyncio.Future[None] | None = None

    async def read(self, limit: int = 65536) -> bytes:
        """Return up to `limit` bytes, waiting for at least one; nothing means the end."""
        return await self.incoming.read(limit)

    def write(self, data: bytes) -> None:
        """Hand bytes to the other end."""
        if self.outgoing.ended:
            raise StreamClosed("the stream is closed")
        self.outgoing.feed(bytes(data))

    async def drain(self) -> None:
        """Wait until the other end has read most of what was written."""
        if self._writable is not None:
            await asyncio.shield(self._writable)
        if self.outgoing.ended:
            raise StreamClosed("the stream is closed")

    def write_eof(self) -> None:
        """Say that nothing more will be written."""
        self.outgoing.finish()

    def close(self) -> None:
        """End both directions; the other end can read what was written."""
        self.outgoing.finish()
        self.incoming.discard()
        self.resume_reading()

    def abort(self) -> None:
        """End both directions; the other end sees a broken connection."""
        self.outgoing.finish(StreamClosed("the other end broke off"))
        self.close()

    # --- as the source of its outgoing pipe

    def is_closing(self) -> bool:
        """Whether there is nothing left to pause."""
        return False

    def pause_reading(self) -> None:
        """Learn that the other end lags."""
        self._writable = asyncio.get_running_loop().create_future()

    def resume_reading(self) -> None:
        """Learn that the other end caught up."""
        if self._writable is not None:
            if not self._writable.done():
                self._writable.set_result(None)
            self._writable = None


def memory_pair() -> tuple[MemoryStream, MemoryStream]:
    """Return two connected streams."""
    left, right = MemoryStream(), MemoryStream()
    left.incoming, right.incoming = right.outgoing, left.outgoing
    return left, right
