"""From the bytes of an endless answer to events.

In:   chunks of newline-delimited JSON frames, cut anywhere.
Out:  `WatchEvent`s, one by one or as many as arrived together.
By:   client.rest (`Client.watch`), client.informer.

An ERROR frame is raised as the ApiError in it. The end of the stream is the end of the iteration:
what that means is the reader's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

import msgspec

from kybern.api import codec, errors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from kybern.client.transport import TransportResponse

T = TypeVar("T")

ADDED, MODIFIED, DELETED, BOOKMARK, ERROR = "ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"
INITIAL_EVENTS_END = "k8s.io/initial-events-end"


class WatchEvent(NamedTuple, Generic[T]):
    """One change: ADDED, MODIFIED, DELETED (with the last state), or BOOKMARK."""

    type: str
    object: T


class Frame(msgspec.Struct, gc=False):
    """One line of a watch, its object still encoded."""

    type: str
    object: msgspec.Raw


class Owners(msgspec.Struct, gc=False):
    """The part of an object's metadata that says who set which field, still encoded."""

    managedFields: msgspec.Raw = msgspec.Raw()  # noqa: N815


class OwnedObject(msgspec.Struct, gc=False):
    """An object, of which only its owners matter."""

    metadata: Owners = msgspec.field(default_factory=Owners)


class OwnedFrame(msgspec.Struct, gc=False):
    """One line of a watch, of which only the owners matter."""

    object: OwnedObject


_FRAME = msgspec.json.Decoder(Frame)
_OWNED = msgspec.json.Decoder(OwnedFrame)
_OWNERS: Final = b'"managedFields":'
_whole: dict[type[Any], msgspec.json.Decoder[Any]] = {}


class Lines:
    """Cuts a stream of chunks into lines; pure."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take a chunk and return the lines that are complete now."""
        if self._rest:
            chunk = self._rest + chunk
        lines = chunk.split(b"\n")
        self._rest = lines.pop()
        return [line for line in lines if line]


class Watch(Generic[T]):
    """A running watch; it begins with the first iteration, or on entering `async with`."""

    def __init__(self, start: Callable[[], Awaitable[TransportResponse]], type_: type[T]) -> None:
        self._start = start
        self._type = type_
        self._response: TransportResponse | None = None
        self._events: AsyncIterator[WatchEvent[T]] | None = None

    async def __aenter__(self) -> Watch[T]:
        await self._open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __aiter__(self) -> Watch[T]:
        return self

    async def __anext__(self) -> WatchEvent[T]:
        if self._events is None:
            self._events = self._one_by_one()
        return await anext(self._events)

    async def lines(self) -> AsyncIterator[list[bytes]]:
        """Yield the frames that arrived together, still encoded; see `decode_frame`."""
        response = await self._open()
        lines = Lines()
        async for chunk in response:
            if complete := lines.feed(chunk):
                yield complete

    def decode(self, line: bytes, *, owners: bool = True) -> WatchEvent[T]:
        """Decode one frame; an ERROR is raised. Without `owners`, managedFields may be missing."""
        return decode_frame(line if owners else without_owners(line), self._type)

    async def aclose(self) -> None:
        """End the watch."""
        response, self._response = self._response, None
        if response is not None:
            await response.close()

    async def _open(self) -> TransportResponse:
        if self._response is None:
            self._response = await self._start()
        return self._response

    async def _one_by_one(self) -> AsyncIterator[WatchEvent[T]]:
        async for batch in self.lines():
            for line in batch:
                yield self.decode(line)


def decode_frame(line: bytes, type_: type[T]) -> WatchEvent[T]:
    """Decode one frame of a watch of `type_`.

    Raises:
        ApiError: the frame is an ERROR; the server will say nothing more on this watch.
    """
    decoder = _whole.get(type_)
    if decoder is None:
        whole = msgspec.defstruct("Whole", [("type", str), ("object", type_)], gc=False)
        decoder = _whole[type_] = msgspec.json.Decoder(whole)
    try:
        frame = decoder.decode(line)
    except msgspec.ValidationError:
        return _look_closer(line, type_)
    return (
        _look_closer(line, type_) if frame.type == ERROR else WatchEvent(frame.type, frame.object)
    )


def _look_closer(line: bytes, type_: type[T]) -> WatchEvent[T]:
    """Decode a frame that is not an object as we know them: an error, or from a newer server."""
    frame = _FRAME.decode(line)
    if frame.type == ERROR:
        status: dict[str, Any] = msgspec.json.decode(frame.object)
        raise errors.from_status(status, int(status.get("code") or 500))
    return WatchEvent(frame.type, codec.decode(frame.object, type_))


def without_owners(line: bytes) -> bytes:
    """Return a frame without its object's managedFields, where that takes no more than a cut.

    They are half of the bytes, and would be most of the trees, of an object nobody has touched
    since it was made by a controller.
    """
    key = line.find(_OWNERS)
    if key < 0:
        return line
    owners = bytes(_OWNED.decode(line).object.metadata.managedFields)
    start = key + len(_OWNERS)
    end = start + len(owners)
    if not owners or not line.startswith(owners, start) or line[end : end + 1] != b",":
        return line  # what looks like them is something else, or they are written in another style
    return line[:key] + line[end + 1 :]
