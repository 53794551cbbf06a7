"""One server connection: bytes in, requests to the application, responses out.

In:   a transport's callbacks.
Out:  responses, in the order of the requests; or an upgraded stream.
By:   `server`, one per accepted connection.

Requests queue up in the `RequestReader`; one task per connection, started with the first
request, takes them out, calls the application and writes the answers. Reading on while the
application works makes pipelining safe and tells when the client leaves.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from kybern.lib import logs
from kybern.lib.http import render, sockets
from kybern.lib.http.messages import (
    BodyTooLarge,
    ClientGone,
    Request,
    Response,
    StreamResponse,
    UpgradeResponse,
)
from kybern.lib.http.pipe import Pipe
from kybern.lib.http.reading import Input, RequestReader
from kybern.lib.http.stream import TransportStream
from kybern.lib.http.writing import Writer, close_iterator

if TYPE_CHECKING:
    from kybern.lib.http.messages import AnyResponse
    from kybern.lib.http.server import Server

log = logs.get("http")

DEEPEST_PIPELINE = 32
LINGER = 1.0  # seconds in which a client that is still sending may read the last answer
_TEXT = "text/plain; charset=utf-8"


class Connection(asyncio.BufferedProtocol):
    """The protocol of one accepted connection."""

    __slots__ = (
        "_app",
        "_buffer",
        "_current",
        "_draining",
        "_ending",
        "_loop",
        "_lost",
        "_reader",
        "_server",
        "_stream",
        "_streaming",
        "_task",
        "_tls",
        "_transport",
        "_waiter",
        "_writer",
        "since",
    )

    _reader: RequestReader
    _transport: asyncio.Transport
    _writer: Writer

    def __init__(self, server: Server) -> None:
        self._server = server
        self._app = server.app
        self._loop = server.loop
        self._buffer = server.buffer
        self._task: asyncio.Task[None] | None = None
        self._waiter: asyncio.Future[None] | None = None  # set while the task has nothing to do
        self._current: Request | None = None
        self._stream: TransportStream | None = None
        self._streaming = False
        self._tls = False
        self._lost = False
        self._draining = False  # no further request is taken
        self._ending = False  # the task was cancelled so that a stream ends
        self.since = self._loop.time()  # when it became idle, or the head of a request began

    # --- the transport's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Learn the transport, and who the client is."""
        self._transport = cast("asyncio.Transport", transport)
        self._writer = Writer(self._transport, self._loop)
        tls = transport.get_extra_info("ssl_object")
        self._tls = tls is not None
        self._reader = RequestReader(
            self._transport,
            self._server.head_limit,
            sockets.peer_address(transport),
            tls.getpeercert(binary_form=True) if tls is not None else None,
        )
        sockets.notice_dead_peer(transport)
        self._server.connections.add(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Say where to put bytes: see `sockets.receive_buffer`."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take bytes: by far most often one whole request."""
        data = bytes(self._buffer[:nbytes])
        if self._stream is not None:
            self._stream.feed(data)
            return
        reader = self._reader
        began = reader.in_head
        reader.feed(data)
        if reader.in_head and not began:
            self.since = self._loop.time()
        if reader.queue:
            if self._waiter is not None:
                if not self._waiter.done():
                    self._waiter.set_result(None)
            elif self._task is None:
                self._task = self._server.tasks.spawn(self._serve(), name="http connection")
            elif len(reader.queue) > DEEPEST_PIPELINE:
                self._transport.pause_reading()

    def eof_received(self) -> bool:
        """Take note that the client sends no more; without TLS it may still read an answer."""
        if self._stream is not None:
            self._stream.feed_eof()
            return not self._tls
        self._reader.stop("the client stopped sending")
        self._draining = True
        task = self._task
        busy = task is not None and not task.done() and self._waiter is None
        return busy and not self._streaming and not self._tls

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everyone concerned that the client is gone."""
        self._lost = True
        self._server.disconnected(self)
        self._reader.stop("the client left")
        self._writer.connection_lost()
        if self._stream is not None:
            self._stream.connection_lost(exc)
        elif self._waiter is not None:
            if not self._waiter.done():
                self._waiter.set_result(None)
        elif self._task is not None and self._is_pointless():
            self._task.cancel()
        if self._task is None or self._task.done():
            self._release()

    def pause_writing(self) -> None:
        """Learn that the client reads more slowly than we write."""
        if self._lost:
            return
        self._writer.pause()
        if self._stream is not None:
            self._stream.pause_writing()

    def resume_writing(self) -> None:
        """Learn that the client keeps up again."""
        if self._lost:
            return
        self._writer.resume()
        if self._stream is not None:
            self._stream.resume_writing()

    # --- from the server

    def shut_down(self) -> None:
        """End once the current answer is given; end a stream now."""
        self._draining = True
        if self._task is None:
            self._transport.close()
        elif self._waiter is not None:
            if not self._waiter.done():
                self._waiter.set_result(None)
        elif self._streaming or self._stream is not None:
            self._ending = True
            self._task.cancel()

    def close_if_stale(self, idle_since: float, head_since: float) -> None:
        """Close a connection which has been idle, or in the middle of a head, for too long."""
        if self._task is None or self._waiter is not None:
            limit = head_since if self._reader.in_head or self._task is None else idle_since
            if self.since < limit:
                self._transport.abort() if self._reader.in_head else self._transport.close()

    def abort(self) -> None:
        """Break the connection off."""
        self._transport.abort()

    # --- the connection's task

    async def _serve(self) -> None:
        """Answer requests until the connection ends."""
        queue = self._reader.queue
        try:
            while not self._lost:
                if queue:
                    item = queue.popleft()
                    if len(queue) == DEEPEST_PIPELINE and not self._transport.is_closing():
                        self._transport.resume_reading()
                    if not await self._answer(item):
                        break
                elif self._draining or self._reader.input is not Input.PARSE:
                    break
                else:
                    self.since = self._loop.time()
                    self._waiter = self._loop.create_future()
                    try:
                        await self._waiter
                    finally:
                        self._waiter = None
        finally:
            self._finish()

    async def _answer(self, item: Request | Response) -> bool:
        """Answer one request and say whether the connection goes on."""
        if type(item) is Response:
            await self._writer.respond(None, item, close=True)
            return False
        request = self._current = cast("Request", item)
        body = request.source
        if type(body) is Pipe and "expect" in request.headers and request.version == "1.1":
            body.before_wait = self._say_continue
        try:
            response = await self._app(request)
        except Exception as error:  # noqa: BLE001  # the application's bugs end here
            response = _failure(error, request)
        except asyncio.CancelledError as error:
            if _is_being_cancelled():
                raise
            # It waited for something that was cancelled, and nobody cancelled us.
            response = _failure(error, request)
        close = (
            self._draining
            or not request.keep_alive
            or (type(body) is Pipe and not body.ended)
            or (self._reader.input is not Input.PARSE and not self._reader.queue)
        )
        if self._lost:
            if type(response) is StreamResponse:
                await close_iterator(response.chunks)
            return False
        try:
            return await self._write(request, response, close) and not close
        except render.BadHeader as error:
            log.exception("bad response", error=error, path=request.path)
            self._transport.abort()
            return False

    async def _write(self, request: Request, response: AnyResponse, close: bool) -> bool:
        """Write an answer and say whether the connection can go on."""
        if type(response) is Response:
            await self._writer.respond(request, response, close)
            return True
        if type(response) is StreamResponse:
            return await self._stream_out(request, response, close)
        await self._upgrade(cast("UpgradeResponse", response))
        return False

    async def _stream_out(self, request: Request, response: StreamResponse, close: bool) -> bool:
        self._streaming = True
        try:
            await self._writer.stream(request, response, close)
        except asyncio.CancelledError:
            if not self._ending:
                raise
            _uncancel()  # the server is closing: give the client a clean end
            self._writer.end_stream()
        except render.BadHeader:
            raise
        except Exception as error:  # the application's bugs end here
            log.exception("response broke off", error=error, path=request.path)
            self._transport.abort()
            return False
        finally:
            self._streaming = False
        return request.version != "1.0" and not self._draining

    async def _upgrade(self, response: UpgradeResponse) -> None:
        if self._reader.input is not Input.HOLD:
            log.error("upgrade of a request which did not ask for it")
            self._transport.abort()
            return
        self._transport.write(render.upgrade_head(response.status, response.headers))
        stream = self._stream = TransportStream(self._transport)
        for data in self._reader.held:
            stream.feed(data)
        self._reader.held = []
        try:
            await response.run(stream)
        except Exception as error:  # the application's bugs end here
            if not self._lost:
                log.exception("upgraded connection failed", error=error)
        finally:
            stream.close()

    def _say_continue(self) -> None:
        if not self._lost:
            self._transport.write(render.CONTINUE)

    def _is_pointless(self) -> bool:
        """Whether nobody gains from finishing the current request.

        A request that changes something is finished, as a client that breaks off half-way
        expects it to be done or not done, not half done.
        """
        return self._streaming or (
            self._current is not None and self._current.method in ("GET", "HEAD")
        )

    def _release(self) -> None:
        """Let go of what refers back to us, once the client is gone and the task is done.

        Else a connection is freed, with its buffers and its TLS state, only when the garbage
        collector comes by: long after the next thousand.
        """
        self._reader.release()
        self._current = self._stream = self._task = None
        del self._writer, self._transport

    def _finish(self) -> None:
        if self._lost:
            self._release()
            return
        reader = self._reader
        still_sending = self._stream is None and reader.sending
        reader.stop("the connection is closing")
        if still_sending:
            # Closing with unread bytes would reset the connection under the client's feet.
            if self._transport.can_write_eof():
                self._transport.write_eof()
            self._loop.call_later(LINGER, self._transport.close)
        else:
            self._transport.close()


# These are functions so that no frame in a CancelledError's traceback refers to the task, which
# refers to the error: see `Connection._release`.


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _uncancel() -> None:
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()


def _failure(error: BaseException, request: Request) -> Response:
    if isinstance(error, BodyTooLarge):
        return Response(413, f"{error}\n".encode(), _TEXT)
    if isinstance(error, ClientGone):
        return Response(400, f"{error}\n".encode(), _TEXT)
    log.exception("request failed", error=error, method=request.method, path=request.path)
    return Response(500, b"internal error\n", _TEXT)
