"""Responses onto a transport, no faster than the client reads.

In:   a request and its response.
Out:  bytes written to the transport: a small response in one write, a large one in pieces, a
      stream as chunks, where those made in one turn of the event loop share a write.
By:   `connection`, one per connection; it passes the transport's callbacks on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.lib.http import render

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

    from kybern.lib.http.messages import Request, Response, StreamResponse

SMALL = 64 * 1024
PIECE = 256 * 1024
_BODILESS = frozenset((204, 304))


class Writer:
    """Writes responses to one transport."""

    __slots__ = ("_chunked", "_drained", "_head", "_loop", "_pieces", "_size", "_transport", "lost")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._drained: asyncio.Future[None] | None = None
        self._head = b""  # of a stream, not written yet
        self._pieces: list[bytes] = []  # of a stream, not written yet
        self._size = 0
        self._chunked = False
        self.lost = False

    def pause(self) -> None:
        """Learn that the client reads more slowly than we write."""
        if self._drained is None:
            self._drained = self._loop.create_future()

    def resume(self) -> None:
        """Learn that the client keeps up again."""
        if self._drained is not None:
            if not self._drained.done():
                self._drained.set_result(None)
            self._drained = None

    def connection_lost(self) -> None:
        """Learn that nothing can be written any more; whoever waits goes on."""
        self.lost = True
        self.resume()

    async def drain(self) -> None:
        """Wait until the client keeps up, or is gone."""
        while self._drained is not None:
            await self._drained

    async def respond(self, request: Request | None, response: Response, close: bool) -> None:
        """Write a complete response."""
        body, status = response.body, response.status
        length = len(body) if isinstance(body, bytes) else sum(len(part) for part in body)
        old = request is not None and request.version == "1.0"
        stated = -1 if status in _BODILESS else length
        head = render.head(status, response.content_type, response.headers, stated, close, old)
        if length == 0 or stated < 0 or (request is not None and request.method == "HEAD"):
            self._transport.write(head)
        elif length <= SMALL:
            self._transport.write(head + (body if isinstance(body, bytes) else b"".join(body)))
        else:
            self._transport.write(head)
            for piece in _pieces(body):
                if self._drained is not None:
                    await self.drain()
                if self.lost:
                    return
                self._transport.write(piece)
        if self._drained is not None:
            await self.drain()

    async def stream(self, request: Request, response: StreamResponse, close: bool) -> None:
        """Write a response while it is made, then its end."""
        old = request.version == "1.0"
        self._chunked = not old
        self._head = render.head(
            response.status, response.content_type, response.headers, None, close or old, old
        )
        chunks = response.chunks
        try:
            if request.method == "HEAD":
                self._chunked = False
            else:
                self._loop.call_soon(self._flush)  # the head does not wait for the first chunk
                async for made in chunks:
                    for piece in (made,) if len(made) <= PIECE else _pieces(made):
                        self._add(piece)
                        if self._drained is not None:
                            await self.drain()
                        if self.lost:
                            return
        finally:
            await close_iterator(chunks)
        self.end_stream()

    def _add(self, piece: bytes) -> None:
        if not piece:
            return
        if not self._pieces:
            self._loop.call_soon(self._flush)
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size >= SMALL:
            self._flush()

    def end_stream(self) -> None:
        """Write what is left of a stream, and its end."""
        self._flush()
        if self._chunked and not self.lost:
            self._transport.write(render.LAST_CHUNK)

    def _flush(self) -> None:
        data, self._head = self._head, b""
        if self._pieces:
            pieces, self._pieces = self._pieces, []
            size, self._size = self._size, 0
            data += render.chunk(pieces, size) if self._chunked else b"".join(pieces)
        if data and not self.lost:
            self._transport.write(data)


async def close_iterator(chunks: object) -> None:
    """Close an asynchronous generator, or whatever else wants to be told of the end."""
    close = getattr(chunks, "aclose", None)
    if close is not None:
        await close()


def _pieces(body: bytes | list[bytes]) -> Iterator[bytes]:
    """Cut, or join, a body into pieces of a size that suits a socket."""
    batch: list[bytes] = []
    size = 0
    for part in (body,) if isinstance(body, bytes) else body:
        if batch and size + len(part) > PIECE:
            yield b"".join(batch)
            batch, size = [], 0
        if len(part) > PIECE:
            view = memoryview(part)
            for start in range(0, len(part), PIECE):
                yield view[start : start + PIECE]  # type: ignore[misc]  # transports take views
            continue
        batch.append(part)
        size += len(part)
    if batch:
        yield b"".join(batch)
