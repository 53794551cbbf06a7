"""What is in etcd, as far as it was told; pure.

In:   everything at one revision, then each write after it.
Out:  events.
By:   `engine`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.store.interface import ADDED, DELETED, MODIFIED, Entry, Event

if TYPE_CHECKING:
    from collections.abc import Iterable

_SPAN = 1000  # revisions whose superseded bytes are counted together


class Mirror:
    """The current entries under our prefix, and the revision up to which that is all."""

    __slots__ = ("_spans", "current", "revision", "superseded")

    def __init__(self) -> None:
        self.current: dict[str, Entry] = {}
        self.revision = 0
        self.superseded = 0
        """How many bytes of values are history."""
        self._spans: list[list[int]] = []

    def replace(self, entries: Iterable[Entry], revision: int) -> None:
        """Take this for all there is; entries we have at the same revision are kept."""
        known = self.current.get
        self.current = {
            entry.key: same
            if (same := known(entry.key)) is not None and same.revision == entry.revision
            else entry
            for entry in entries
        }
        self.revision = revision
        self._forget(len(self._spans))

    def put(self, key: str, revision: int, value: bytes, expires: float = 0.0) -> Event:
        """Take a write; revisions come in order."""
        previous = self.current.get(key)
        self.revision = revision
        if previous is None:
            entry = Entry(key, revision, revision, value, expires)
            self.current[key] = entry
            return Event(ADDED, entry, None)
        entry = Entry(key, revision, previous.created, value, expires)
        self.current[key] = entry
        self._supersede(previous, revision)
        return Event(MODIFIED, entry, previous)

    def delete(self, key: str, revision: int) -> Event | None:
        """Take a deletion; None when there was nothing, as after a put in the same moment."""
        self.revision = revision
        previous = self.current.pop(key, None)
        if previous is None:
            return None
        self._supersede(previous, revision)
        return Event(DELETED, Entry(key, revision, previous.created, previous.data), previous)

    def compacted(self, revision: int) -> None:
        """Take what was superseded up to the revision as gone."""
        everything = revision >= self.revision
        self._forget(sum(1 for upto, _ in self._spans if everything or upto <= revision))

    def _supersede(self, entry: Entry, revision: int) -> None:
        spans = self._spans
        if not spans or spans[-1][0] < revision:
            spans.append([revision + _SPAN, 0])
        spans[-1][1] += entry.size
        self.superseded += entry.size

    def _forget(self, spans: int) -> None:
        self.superseded -= sum(size for _, size in self._spans[:spans])
        del self._spans[:spans]
