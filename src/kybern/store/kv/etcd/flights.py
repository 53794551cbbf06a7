"""Our own writes on their way.

In:   a write that is sent, its answer, and the same write as the watch brings it.
Out:  the entry it became, whichever of the two came first.
By:   `engine`.

At most one write to a key is under way, the others wait for their turn: they would only stand in
each other's way, and go out in the order in which they came.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kybern.store.interface import Entry, StoreFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kybern.store.interface import Event
    from kybern.store.kv.etcd.mirror import Mirror


class Flight:
    """One write. `data` None: a deletion."""

    __slots__ = ("data", "expires", "key", "landed", "seen", "turn")

    def __init__(self, key: str, data: bytes | None, expires: float) -> None:
        self.key = key
        self.data = data
        self.expires = expires
        self.seen: list[Entry] = []
        """What the watch has brought for the key since this was sent."""
        self.landed: asyncio.Future[Entry] | None = None
        self.turn: asyncio.Future[None] | None = None


class Flights:
    """All writes under way."""

    def __init__(self, mirror: Mirror, tell: Callable[[list[Event]], None]) -> None:
        self._mirror = mirror
        self._tell = tell
        self._by_key: dict[str, Flight] = {}
        self._ahead: dict[int, Flight] = {}  # done, but not told: something before them is not
        self._draining = False

    def __len__(self) -> int:
        return len(self._by_key)

    async def begin(self, flight: Flight) -> None:
        """Wait for the key's turn."""
        while (other := self._by_key.get(flight.key)) is not None:
            if other.turn is None:
                other.turn = asyncio.get_running_loop().create_future()
            await asyncio.shield(other.turn)
        self._by_key[flight.key] = flight

    def end(self, flight: Flight) -> None:
        """Let the next one to the key go."""
        del self._by_key[flight.key]
        if flight.turn is not None:
            flight.turn.set_result(None)

    def land(self, flight: Flight, revision: int) -> asyncio.Future[Entry]:
        """Take the write as done at the revision; the future has its entry once it was told."""
        landed = flight.landed = asyncio.get_running_loop().create_future()
        if revision <= self._mirror.revision:
            landed.set_result(self._told(flight, revision))
        else:
            self._ahead[revision] = flight
            if revision == self._mirror.revision + 1 and not self._draining:
                # After the answers that came together with this one: they are told together.
                self._draining = True
                asyncio.get_running_loop().call_soon(self._drain)
        return landed

    def at(self, revision: int) -> Flight | None:
        """Return our write at the revision, if it is done; it is told with what the watch says."""
        return self._ahead.pop(revision, None)

    def saw(self, event: Event) -> None:
        """Note what the watch brought: it may be a write of ours whose answer is to come."""
        flight = self._by_key.get(event.entry.key)
        if flight is not None:
            flight.seen.append(event.entry)

    def following(self, events: list[Event], done: list[tuple[Flight, Entry]]) -> None:
        """Append our writes that come right after what is in the mirror."""
        mirror, ahead = self._mirror, self._ahead
        while (flight := ahead.pop(mirror.revision + 1, None)) is not None:
            event = self.apply(flight, mirror.revision + 1)
            if event is not None:
                events.append(event)
                done.append((flight, event.entry))

    def apply(self, flight: Flight, revision: int) -> Event | None:
        """Put our write into the mirror."""
        if flight.data is None:
            return self._mirror.delete(flight.key, revision)
        return self._mirror.put(flight.key, revision, flight.data, flight.expires)

    def overtaken(self) -> Iterable[tuple[Flight, Entry]]:
        """Return the writes that the mirror has jumped over, and their entries."""
        for revision in sorted(r for r in self._ahead if r <= self._mirror.revision):
            flight = self._ahead.pop(revision)
            yield flight, self._told(flight, revision)

    def give_up(self, why: str) -> None:
        """Answer the writes that are done, but that cannot be told while we hear of nothing."""
        ahead, self._ahead = self._ahead, {}
        for revision, flight in ahead.items():
            if flight.landed is not None and not flight.landed.done():
                text = f"{flight.key} is written, at revision {revision}, but cannot be read: {why}"
                flight.landed.set_exception(StoreFailed(text))

    def _drain(self) -> None:
        self._draining = False
        events: list[Event] = []
        done: list[tuple[Flight, Entry]] = []
        self.following(events, done)
        try:
            if events:
                self._tell(events)
        finally:
            arrive(done)

    def _told(self, flight: Flight, revision: int) -> Entry:
        for entry in flight.seen:
            if entry.revision == revision:
                entry.expires = flight.expires
                return entry
        current = self._mirror.current.get(flight.key)
        if current is not None and current.revision == revision:
            return current
        created = revision if current is None else current.created
        return Entry(flight.key, revision, created, flight.data or b"", flight.expires)


def arrive(done: Iterable[tuple[Flight, Entry]]) -> None:
    """Answer writes that were told."""
    for flight, entry in done:
        if flight.landed is not None and not flight.landed.done():
            flight.landed.set_result(entry)
