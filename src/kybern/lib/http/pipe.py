"""A one-way pipe of bytes from callbacks to a task.

In:   bytes as they arrive, from a transport's callbacks.
Out:  the same bytes, to one reading task; the source is paused while the reader lags.
By:   request and response bodies, and upgraded streams.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

HIGH_WATER = 256 * 1024


class Source(Protocol):
    """What fills a pipe, and can be told to wait."""

    def is_closing(self) -> bool:
        """Say whether it is ending, so that there is nothing to pause or resume."""

    def pause_reading(self) -> None:
        """Stop delivering."""

    def resume_reading(self) -> None:
        """Deliver again."""


class TooLarge(Exception):
    """There are more bytes than the reader is willing to take."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is larger than {limit} bytes")
        self.limit = limit


class Pipe:
    """Bytes between a source and one reader, bounded by pausing the source."""

    __slots__ = (
        "_chunks",
        "_collecting",
        "_error",
        "_paused",
        "_source",
        "_waiter",
        "before_wait",
        "ended",
        "received",
        "size",
    )

    def __init__(self, source: Source | None = None) -> None:
        self.size = 0  # bytes waiting to be read
        self.received = 0  # bytes fed so far
        self.ended = False
        self._chunks: deque[bytes] = deque()
        self._error: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._source = source
        self._paused = False
        self._collecting = False
        self.before_wait: Callable[[], None] | None = None  # called once, if the reader waits

    def feed(self, data: bytes) -> None:
        """Add bytes; ignored once the pipe has ended."""
        if self.ended or not data:
            return
        self._chunks.append(data)
        self.size += len(data)
        self.received += len(data)
        if self.size > HIGH_WATER and not self._paused and not self._collecting:
            self._pause()
        self._wake()

    def finish(self, error: BaseException | None = None) -> None:
        """End the pipe; the reader gets what is left and then the error, if any."""
        if self.ended:
            return
        self.ended = True
        self._error = error
        self._resume()  # what comes next from this source is not for this pipe
        self._source = None
        self._wake()

    def discard(self) -> None:
        """Drop what is waiting and end; whatever is fed from now on is ignored."""
        self._chunks.clear()
        self.size = 0
        self.finish()

    async def read(self, limit: int = 65536) -> bytes:
        """Return up to `limit` bytes, waiting for at least one; nothing means the end."""
        while not self._chunks:
            if self.ended:
                return self._end()
            await self._wait()
        chunk = self._chunks.popleft()
        if len(chunk) > limit:
            self._chunks.appendleft(chunk[limit:])
            chunk = chunk[:limit]
        self.size -= len(chunk)
        if self._paused and self.size <= HIGH_WATER // 2:
            self._resume()
        return chunk

    async def read_all(self, limit: int | None = None) -> bytes:
        """Return everything up to the end.

        Raises:
            TooLarge: there are more than `limit` bytes; reading stops there.
        """
        self._collecting = True
        self._resume()
        try:
            while not self.ended:
                if limit is not None and self.size > limit:
                    raise TooLarge(limit)
                await self._wait()
        finally:
            self._collecting = False
        if limit is not None and self.size > limit:
            raise TooLarge(limit)
        if self._error is not None:
            self._end()
        data = b"".join(self._chunks)
        self._chunks.clear()
        self.size = 0
        return data

    def _end(self) -> bytes:
        if self._error is not None:
            raise self._error.with_traceback(None)
        return b""

    async def _wait(self) -> None:
        if self._waiter is not None:
            raise RuntimeError("another task is already reading from this pipe")
        if self.before_wait is not None:
            self.before_wait()
            self.before_wait = None
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _pause(self) -> None:
        if self._source is not None and not self._source.is_closing():
            self._paused = True
            self._source.pause_reading()

    def _resume(self) -> None:
        if self._paused and self._source is not None:
            self._paused = False
            if not self._source.is_closing():
                self._source.resume_reading()
