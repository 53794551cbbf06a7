"""SPDY/3.1 sessions: several streams over one upgraded connection.

In:   a `Stream` that was upgraded to `SPDY/3.1`.
Out:  `SpdyStream`s, which are `Stream`s themselves, each with headers.
By:   exec, attach and port-forward for clients which do not use WebSockets.

Flow control is kept towards those who keep it: what is read is reported, so that the other side
may send more; its own window binds us once it has spoken of windows. Go's spdystream, which
kubectl and container runtimes use, never does and would stall us after 64 KiB. As a client we do
not report to such a server either: it does not read any more once it is done, and the kernel
throws away what is still on its way to us when a connection is closed with reports unread.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from kybern.lib.channels import Channel, ChannelClosed, Overflow
from kybern.lib.http import spdy_frames as f
from kybern.lib.http.messages import UpgradeResponse
from kybern.lib.http.pipe import Pipe
from kybern.lib.http.stream import StreamClosed
from kybern.lib.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from kybern.lib.http.client import HttpClient
    from kybern.lib.http.messages import Headers, Request
    from kybern.lib.http.stream import Stream

PROTOCOL = "SPDY/3.1"
WINDOW = 1 << 16  # what each side may send before it hears of windows
REPORT = WINDOW // 2  # bytes read before the other side is told
MOST_STREAMS = 1000
CLOSING_SECONDS = 2.0


class SpdyStream:
    """One stream of a session; a `Stream`.

    Attributes:
        headers: those of whoever opened it; names in lower case.
    """

    def __init__(self, session: SpdySession, ident: int, headers: dict[str, str]) -> None:
        self.headers = headers
        self.ident = ident
        self.window = session.initial_window
        self.replied: asyncio.Future[None] | None = None  # of a stream we opened
        self._session = session
        self._incoming = Pipe(self)
        self._room: asyncio.Future[None] | None = None  # set while the reader lags
        self._unreported = 0
        self._queue: list[bytes] = []  # waits for the other side's window
        self._sent: asyncio.Future[None] | None = None  # set while the queue is not empty
        self._fin = False  # nothing more can be written
        self._fin_sent = False

    def __repr__(self) -> str:
        return f"<SpdyStream {self.ident} {self.headers}>"

    async def read(self, limit: int = 65536) -> bytes:
        """Return up to `limit` bytes, waiting for at least one; nothing means the end."""
        data = await self._incoming.read(limit)
        self._unreported += len(data)
        if self._unreported >= REPORT:
            self._session.report(self.ident, self._unreported)
            self._unreported = 0
        return data

    def write(self, data: bytes) -> None:
        """Queue bytes to be sent."""
        if self._fin:
            raise StreamClosed("the stream is closed")
        if data:
            self._queue.append(data)
            self.pump()

    async def drain(self) -> None:
        """Wait until the other side keeps up."""
        if self._sent is not None:
            await asyncio.shield(self._sent)
        if self._fin_sent and self._queue:
            raise StreamClosed("the stream was reset")
        await self._session.drain()

    def write_eof(self) -> None:
        """Say that nothing more will be written; reading goes on."""
        if not self._fin:
            self._fin = True
            self.pump()

    def close(self) -> None:
        """Send what is queued, then end both directions."""
        self.write_eof()
        self._incoming.discard()

    def abort(self, status: int = f.CANCEL) -> None:
        """Break the stream off in both directions; nothing queued is sent."""
        if not self.done:
            self._session.send(f.reset(self.ident, status))
        self.broken(StreamClosed("the stream was reset"))

    # --- from the session

    @property
    def done(self) -> bool:
        """Whether both directions have ended."""
        return self._fin_sent and self._incoming.ended

    def pump(self) -> None:
        """Send what the windows allow."""
        session = self._session
        while self._queue and (room := session.room(self.window)) > 0:
            data = self._queue.pop(0)
            if len(data) > room:
                self._queue.insert(0, data[room:])
                data = data[:room]
            self.window -= len(data)
            session.send_data(self.ident, data)
        if self._queue:
            if self._sent is None:
                self._sent = asyncio.get_running_loop().create_future()
            return
        if self._sent is not None:
            self._sent.set_result(None)
            self._sent = None
        if self._fin and not self._fin_sent:
            self._fin_sent = True
            session.send(f.data(self.ident, b"", fin=True))
            session.forget_if_done(self)

    def begin(self, *, has_body: bool, wants_answer: bool) -> None:
        """Learn which directions there are."""
        if not has_body:
            self._incoming.finish()
        if not wants_answer:
            self._fin = self._fin_sent = True

    async def take(self, data: bytes, fin: bool) -> None:
        """Take bytes which arrived, waiting while the reader lags."""
        self._incoming.feed(data)
        if fin:
            self._incoming.finish()
        elif self._room is not None:
            await self._room

    def broken(self, error: StreamClosed) -> None:
        """End both directions with an error."""
        self._fin = self._fin_sent = True
        self._incoming.finish(error)
        if self.replied is not None and not self.replied.done():
            self.replied.set_exception(StreamClosed("the stream was refused"))
        if self._sent is not None:
            self._sent.set_result(None)
            self._sent = None
        self._session.forget_if_done(self)

    # --- as the source of its pipe

    def is_closing(self) -> bool:
        """Whether there is nothing to pause."""
        return False

    def pause_reading(self) -> None:
        """Learn that the reader lags."""
        self._room = asyncio.get_running_loop().create_future()

    def resume_reading(self) -> None:
        """Learn that the reader caught up."""
        if self._room is not None:
            self._room.set_result(None)
            self._room = None


class SpdySession:
    """Streams over one connection; use as `async with SpdySession(stream) as session`.

    Leaving tells the other side and gives it a moment to close first, as ending the connection at
    once could cost it the last bytes.
    """

    def __init__(self, stream: Stream, *, client: bool = False) -> None:
        self.initial_window = WINDOW
        self._stream = stream
        self._client = client
        self._reader = f.FrameReader()
        self._writer = f.FrameWriter()
        self._streams: dict[int, SpdyStream] = {}
        self._incoming: Channel[SpdyStream] = Channel(MOST_STREAMS, Overflow.DROP_NEWEST)
        self._next = 1 if client else 2
        self._last = 0  # the latest stream of the other side
        self._window = WINDOW  # what we may send over the whole connection
        self._windows_matter = False  # the other side has spoken of windows
        self._unreported = 0
        self._gone = False
        self._leaving = False  # the other side opens no more streams
        self._tasks = Tasks("spdy session")

    async def __aenter__(self) -> SpdySession:
        self._read_task = self._tasks.spawn(self._read(), name="spdy reader")
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self.send(f.go_away(self._last))
        for stream in list(self._streams.values()):
            stream.close()
        try:
            if not self._leaving:  # else each would wait for the other
                await asyncio.wait([self._read_task], timeout=CLOSING_SECONDS)
        finally:
            await self._tasks.close()
            self._stream.close()

    async def accept(self) -> SpdyStream | None:
        """Return the next stream the other side opens, or None once it opens no more."""
        try:
            stream = await self._incoming.recv()
        except ChannelClosed:
            return None
        self.send(self._writer.syn_reply(stream.ident, {}))
        return stream

    async def open(self, headers: Mapping[str, str]) -> SpdyStream:
        """Open a stream and wait until the other side has taken it.

        Raises:
            StreamClosed: it did not, or the connection is gone.
        """
        stream = SpdyStream(self, self._next, dict(headers))
        self._next += 2
        if self._gone:
            raise StreamClosed("the connection is closed")
        stream.replied = asyncio.get_running_loop().create_future()
        self._streams[stream.ident] = stream
        self.send(self._writer.syn_stream(f.SynStream(stream.ident, stream.headers)))
        await stream.replied
        return stream

    async def wait_closed(self) -> None:
        """Wait until the other side is gone."""
        await asyncio.wait([self._read_task])

    # --- from streams

    def send(self, frame: bytes) -> None:
        """Queue a frame; once the connection is gone it is lost."""
        if not self._gone:
            with suppress(StreamClosed):
                self._stream.write(frame)

    def send_data(self, ident: int, data: bytes) -> None:
        """Queue bytes of a stream."""
        self._window -= len(data)
        self.send(f.data(ident, data))

    async def drain(self) -> None:
        """Wait until the connection keeps up."""
        await self._stream.drain()

    def room(self, window: int) -> int:
        """Return how much may be sent now."""
        return min(window, self._window) if self._windows_matter else 1 << 30

    def report(self, ident: int, read: int) -> None:
        """Tell the other side that bytes of a stream were read."""
        if ident in self._streams and self._reports:
            self.send(f.window_update(ident, read))

    @property
    def _reports(self) -> bool:
        return self._windows_matter or not self._client

    def forget_if_done(self, stream: SpdyStream) -> None:
        """Forget a stream once both its directions have ended."""
        if stream.done:
            self._streams.pop(stream.ident, None)

    # --- reading

    async def _read(self) -> None:
        error = "the connection is closed"
        try:
            while data := await self._stream.read():
                for frame in self._reader.feed(data):
                    await self._take(frame)
        except (StreamClosed, f.SpdyError) as problem:
            error = str(problem)
            if isinstance(problem, f.SpdyError):
                self.send(f.go_away(self._last, f.PROTOCOL_ERROR))
        finally:
            self._gone = True
            self._incoming.close()
            for stream in list(self._streams.values()):
                stream.broken(StreamClosed(error))

    async def _take(self, frame: f.Frame) -> None:
        if isinstance(frame, f.Data):
            await self._take_data(frame)
        elif isinstance(frame, f.SynStream):
            self._take_stream(frame)
        elif isinstance(frame, f.Ping):
            if frame.ident % 2 != self._client:  # not one of ours
                self.send(f.ping(frame.ident))
                await self._stream.drain()  # they are not answered faster than they are read
        elif isinstance(frame, f.Settings):
            self._resize(frame.values)
        elif isinstance(frame, f.GoAway):
            self._leaving = True
            self._incoming.close()
        elif isinstance(frame, f.WindowUpdate):
            self._widen(frame)
        elif stream := self._streams.get(frame.stream):
            if isinstance(frame, f.Reset):
                stream.broken(StreamClosed("the other side reset the stream"))
                return
            replied = stream.replied
            if isinstance(frame, f.SynReply) and replied is not None and not replied.done():
                replied.set_result(None)
            if frame.fin:
                await stream.take(b"", fin=True)
                self.forget_if_done(stream)

    async def _take_data(self, frame: f.Data) -> None:
        self._unreported += len(frame.data)
        if self._unreported >= REPORT and self._reports:
            self.send(f.window_update(0, self._unreported))
            self._unreported = 0
        stream = self._streams.get(frame.stream)
        if stream is None:
            return  # it has ended here meanwhile
        await stream.take(frame.data, frame.fin)
        self.forget_if_done(stream)

    def _take_stream(self, frame: f.SynStream) -> None:
        if frame.stream % 2 == self._client or frame.stream <= self._last:
            raise f.SpdyError(f"stream {frame.stream} cannot be opened")
        self._last = frame.stream
        stream = SpdyStream(self, frame.stream, frame.headers)
        if len(self._streams) >= MOST_STREAMS or not self._incoming.try_send(stream):
            self.send(f.reset(frame.stream, f.REFUSED_STREAM))
            return
        self._streams[frame.stream] = stream
        stream.begin(has_body=not frame.fin, wants_answer=not frame.unidirectional)

    def _resize(self, values: dict[int, int]) -> None:
        size = values.get(f.INITIAL_WINDOW_SIZE)
        if size is not None:
            self._windows_matter = True
            change, self.initial_window = size - self.initial_window, size
            for stream in list(self._streams.values()):
                stream.window += change
                stream.pump()

    def _widen(self, frame: f.WindowUpdate) -> None:
        self._windows_matter = True
        if frame.stream == 0:
            self._window += frame.delta
            for stream in list(self._streams.values()):
                stream.pump()
        elif (known := self._streams.get(frame.stream)) is not None:
            known.window += frame.delta
            known.pump()


def is_spdy(request: Request) -> bool:
    """Say whether a request asks to speak SPDY/3.1."""
    asks = "upgrade" in request.headers.get("connection", "").lower()
    return asks and request.headers.get("upgrade", "").lower() == PROTOCOL.lower()


def accept(
    handle: Callable[[SpdySession], Awaitable[None]], headers: Headers = ()
) -> UpgradeResponse:
    """Answer a request to speak SPDY/3.1; `handle` is called with the session."""

    async def run(stream: Stream) -> None:
        async with SpdySession(stream) as session:
            await handle(session)

    answer: Headers = (("Upgrade", PROTOCOL), ("Connection", "Upgrade"))
    return UpgradeResponse(run, answer + headers)


async def connect(
    client: HttpClient,
    target: str,
    headers: Mapping[str, str] | None = None,
    *,
    method: str = "POST",
    timeout: float | None = 30.0,  # noqa: ASYNC109  # handed on
) -> SpdySession:
    """Ask a server to speak SPDY/3.1; enter the session to use it.

    Raises:
        UpgradeRefused: the server answered something else.
        OSError: no connection.
    """
    stream = await client.upgrade(target, PROTOCOL, headers, method=method, timeout=timeout)
    return SpdySession(stream, client=True)
