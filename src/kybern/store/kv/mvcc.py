"""What a write means; pure.

In:   writes, and what became of them on the medium.
Out:  the event each write is, with its revision, or why it cannot be.
By:   every engine.

A resourceVersion is the revision of the write that made the object: one counter for the whole
store, starting after its first revision, one more for each write, deletions included. The first
is `FIRST_REVISION`, or `beyond` what was answered by a store that this one takes the place of.

Writes are planned before they are durable: `current` is what is committed, `ahead` what will be
when everything planned is. A write goes on top of what is planned, so that writes to one key may
travel together; but it is refused only because of what is committed. When only a plan stands in
its way, that is `Undecided`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.store.interface import (
    ADDED,
    DELETED,
    FIRST_REVISION,
    MODIFIED,
    Compacted,
    Entry,
    Event,
    FutureRevision,
    KeyExists,
    KeyMissing,
    Listing,
    Mismatch,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


_SURROGATES = range(0xD800, 0xE000)  # code points that are no characters and have no UTF-8


class Undecided(Exception):
    """A planned write to the key stands in the way: ask again when it is committed, or failed."""


class State:
    """Everything that is, and what will be when the planned writes are committed."""

    __slots__ = ("ahead", "compacted", "current", "planned_revision", "revision")

    def __init__(
        self,
        current: dict[str, Entry] | None = None,
        revision: int = FIRST_REVISION,
        compacted: int = FIRST_REVISION,
    ) -> None:
        self.current: dict[str, Entry] = {} if current is None else current
        self.revision = revision
        self.compacted = compacted
        self.ahead: dict[str, Event] = {}
        """The latest planned, not yet committed event of each key."""
        self.planned_revision = revision

    def create(self, key: str, data: bytes, expires: float = 0.0) -> Event:
        """Plan a new key; raises KeyExists, Undecided; ValueError for what has no UTF-8."""
        if not key.isascii():
            key.encode()
        if self._latest(key) is not None:
            existing = self.current.get(key)
            if existing is None:
                raise Undecided
            raise KeyExists(key, existing)
        revision = self.planned_revision + 1
        return self._plan(Event(ADDED, Entry(key, revision, revision, data, expires), None))

    def update(self, key: str, data: bytes, expected: int, expires: float = 0.0) -> Event:
        """Plan a new value; raises KeyMissing, Mismatch, Undecided."""
        before = self._expected(key, expected)
        entry = Entry(key, self.planned_revision + 1, before.created, data, expires)
        return self._plan(Event(MODIFIED, entry, before))

    def delete(self, key: str, expected: int) -> Event:
        """Plan a deletion; raises KeyMissing, Mismatch, Undecided."""
        before = self._expected(key, expected)
        entry = Entry(key, self.planned_revision + 1, before.created, before.data)
        return self._plan(Event(DELETED, entry, before))

    def committed(self, events: Iterable[Event]) -> None:
        """Take planned events, in order, as done."""
        current, ahead = self.current, self.ahead
        for event in events:
            entry = event.entry
            key = entry.key
            if event.type == DELETED:
                del current[key]
            else:
                current[key] = entry
            if ahead.get(key) is event:
                del ahead[key]
            self.revision = entry.revision

    def forget_plans(self) -> None:
        """Take everything planned and not committed as not happened."""
        self.ahead.clear()
        self.planned_revision = self.revision

    def check_past(self, revision: int) -> None:
        """Raise Compacted or FutureRevision unless the revision is known."""
        if revision > self.revision:
            raise FutureRevision(self.revision)
        if revision < self.compacted:
            raise Compacted(self.compacted)

    def _plan(self, event: Event) -> Event:
        self.planned_revision = event.entry.revision
        self.ahead[event.entry.key] = event
        return event

    def _latest(self, key: str) -> Entry | None:
        planned = self.ahead.get(key)
        if planned is None:
            return self.current.get(key)
        return None if planned.type == DELETED else planned.entry

    def _expected(self, key: str, expected: int) -> Entry:
        latest = self._latest(key)
        if latest is not None and latest.revision == expected:
            return latest
        current = self.current.get(key)
        if current is None:
            raise KeyMissing(key)
        if current.revision == expected:
            raise Undecided
        raise Mismatch(key, current)


def before(events: Iterable[Event]) -> dict[str, Entry | None]:
    """Return what was there before the events, for each key they touch; oldest event first."""
    was: dict[str, Entry | None] = {}
    for event in events:
        if event.entry.key not in was:
            was[event.entry.key] = event.previous
    return was


def listing(
    current: dict[str, Entry],
    was: dict[str, Entry | None],
    revision: int,
    prefix: str,
    start_after: str = "",
    limit: int = 0,
) -> Listing:
    """List the keys under a prefix as they were before the changes that `was` undoes."""
    keys = sorted(
        key
        for key in (current.keys() - was.keys()).union(k for k, e in was.items() if e is not None)
        if key.startswith(prefix) and key > start_after
    )
    wanted = keys[:limit] if limit else keys
    entries = [was.get(key) or current[key] for key in wanted]
    return Listing(entries, revision, len(keys) - len(wanted))


def beyond(now: float, *known: int) -> int:
    """Return a revision after every one that a store may have answered whose past is lost.

    That is the number of microseconds since 1970: no store writes a million times a second, so
    one that began so is always behind the clock. `known` is for clocks that were put back.
    """
    return max(int(now * 1_000_000), *(revision + 1 for revision in known), FIRST_REVISION)


def superseded(events: Sequence[Event]) -> int:
    """Return how many bytes are only history once the events are committed."""
    return sum(event.previous.size for event in events if event.previous is not None)


def prefix_end(prefix: str) -> str:
    """Return the first key, in order, after all keys with the prefix; "" where there is none.

    Keys are ordered as etcd orders them, by their UTF-8 bytes; for strings that is the order of
    code points.
    """
    stem = prefix.rstrip("\U0010ffff")
    if not stem:
        return ""
    following = ord(stem[-1]) + 1
    if following == _SURROGATES.start:
        following = _SURROGATES.stop
    return stem[:-1] + chr(following)
