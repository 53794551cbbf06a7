"""When an object has had its time, and how far back the past is kept; pure.

In:   entries with a deadline; revisions, and how much is superseded by them.
Out:  which keys are due, and up to which revision to compact.
By:   `upkeep`, which does it.

The past is kept for five minutes, as upstream keeps it, so that interrupted watches and paged
lists go on; unless there is much more of it than there is to remember. A thousand objects that
change all the time would fill a disk with old versions otherwise; and what was just now is also in
memory, with each collection (`watch_cache`).
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.store.interface import Entry

KEEP_SECONDS = 300.0
KEEP_SHARE = 0.4
"""How many bytes of history may be kept for each byte that is current: what a file needs besides,
for rows that do not fill their page and pages that nobody uses, makes it at most three times as
large as what is current …"""
KEEP_LEAST = 128 << 10
"""… unless there is very little …"""
KEEP_MOST = 256 << 20
"""… and never more than this: when a file is opened, all of it is read."""


class Due(NamedTuple):
    """A key whose time has come, if it is still at that revision."""

    at: float
    key: str
    revision: int


class Deadlines:
    """Which entries are to be deleted when."""

    __slots__ = ("_heap",)

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._heap = [Due(e.expires, e.key, e.revision) for e in entries if e.expires]
        heapify(self._heap)

    def add(self, entry: Entry) -> None:
        """Note an entry that has a deadline."""
        heappush(self._heap, Due(entry.expires, entry.key, entry.revision))

    def put_off(self, due: Due, at: float) -> None:
        """Note it again, for later."""
        heappush(self._heap, due._replace(at=at))

    def next(self) -> float | None:
        """Return the earliest deadline."""
        return self._heap[0].at if self._heap else None

    def take(self, now: float, limit: int) -> list[Due]:
        """Return what is due, at most `limit`, and forget it."""
        due: list[Due] = []
        while self._heap and len(due) < limit and self._heap[0].at <= now:
            due.append(heappop(self._heap))
        return due


class Forgetting:
    """Up to which revision the past may be forgotten."""

    __slots__ = ("_half", "_marked", "_revision")

    def __init__(self, revision: int) -> None:
        self._half = self._marked = self._revision = revision

    def wrote(self, revision: int, superseded: int, live: int) -> bool:
        """Note a commit; say whether there is too much history now.

        `superseded` bytes are only history then, `live` ones are current.
        """
        self._revision = revision
        keep = min(max(live * KEEP_SHARE, KEEP_LEAST), KEEP_MOST)
        if superseded < keep / 2:
            self._half = revision
        return superseded > keep

    def too_much(self) -> int:
        """Return what to compact to because there is too much: the older half goes."""
        target, self._half = self._half, self._revision
        return target

    def tick(self) -> int:
        """Return what to compact to because time has passed: the revision of the last tick."""
        target, self._marked = self._marked, self._revision
        return target
