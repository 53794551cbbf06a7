"""The engine that forgets: everything in this process, nothing on a disk.

In:   writes.
Out:  committed events, at once.
By:   tests, simulations under virtual time, and `kybern up --store memory`.

The reference for what the others must do. A write is done, and told, within the call; nothing
survives the process.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from operator import attrgetter
from typing import TYPE_CHECKING

from kybern.store.interface import FIRST_REVISION, StoreClosed
from kybern.store.kv import mvcc
from kybern.store.kv.interface import Page, Snapshot

if TYPE_CHECKING:
    from kybern.store.interface import Entry, Event, Listing
    from kybern.store.kv.interface import Listener, Replaced

    Events = list[Event]  # inside the class, `list` is the method

_REVISION = attrgetter("revision")


class MemoryEngine:
    """See `kybern.store.kv.interface.Engine`."""

    shared = False

    def __init__(self, first: int = FIRST_REVISION) -> None:
        """Start at the revision `first`.

        A program that is started again, with clients that go on, starts `mvcc.beyond` what it may
        have answered before: so they are told that what they know is gone (410), and do not wait
        for revisions that came to mean something else.
        """
        self._state = mvcc.State(revision=first, compacted=first)
        self._log: list[Event] = []
        self._listener: Listener | None = None
        self._superseded = 0
        self._closed = False

    @property
    def revision(self) -> int:
        """The latest revision."""
        return self._state.revision

    @property
    def compacted(self) -> int:
        """The oldest revision that can be listed."""
        return self._state.compacted

    @property
    def superseded(self) -> int:
        """How many bytes of values are kept only as history."""
        return self._superseded

    def attach(self, listener: Listener, replaced: Replaced | None = None) -> Snapshot:
        """Return the current state and tell the listener of every write from now on."""
        del replaced  # nothing is ever forgotten before it was told
        self._listener = listener
        current = self._state.current
        return Snapshot([current[key] for key in sorted(current)], self._state.revision)

    async def current(self) -> int:
        """Return the latest revision: nobody else writes here."""
        return self.revision

    async def create(self, key: str, data: bytes, expires: float = 0.0) -> Entry:
        """Write a new key."""
        return await self._commit(self._open().create(key, data, expires))

    async def update(self, key: str, data: bytes, expected: int, expires: float = 0.0) -> Entry:
        """Replace the value at the expected revision."""
        return await self._commit(self._open().update(key, data, expected, expires))

    async def delete(self, key: str, expected: int) -> Entry:
        """Delete the key at the expected revision."""
        return await self._commit(self._open().delete(key, expected))

    async def get(self, key: str) -> Entry | None:
        """Return the current entry."""
        return self._open().current.get(key)

    async def list(
        self, prefix: str, start_after: str = "", limit: int = 0, revision: int = 0
    ) -> Listing:
        """List what is or was under the prefix."""
        state = self._open()
        revision = revision or state.revision
        state.check_past(revision)
        past = mvcc.before(self._after(revision))
        return mvcc.listing(state.current, past, revision, prefix, start_after, limit)

    async def history(self, prefix: str, since: int, upto: int, limit: int = 1000) -> Page:
        """Return a page of the past."""
        self._open().check_past(since)
        found: Events = []
        for event in self._after(since):
            if event.revision > upto:
                break
            if event.entry.key.startswith(prefix):
                found.append(event)
                if len(found) == limit:
                    return Page(found, event.revision)
        return Page(found, upto)

    async def compact(self, revision: int) -> None:
        """Forget what was superseded at or before the revision."""
        state = self._open()
        if revision <= state.compacted:
            return
        state.check_past(revision)
        self._log = self._after(revision)
        self._superseded = mvcc.superseded(self._log)
        state.compacted = revision

    async def close(self) -> None:
        """Refuse everything from now on."""
        self._closed = True

    def problem(self) -> str:
        """Return "": what goes wrong is said to the one who writes."""
        return ""

    def statistics(self) -> dict[str, float]:
        """Return figures about what is held."""
        return {
            "keys": len(self._state.current),
            "history": len(self._log),
            "superseded_bytes": self._superseded,
        }

    def _open(self) -> mvcc.State:
        if self._closed:
            raise StoreClosed
        return self._state

    def _after(self, revision: int) -> Events:
        return self._log[bisect_right(self._log, revision, key=_REVISION) :]

    async def _commit(self, event: Event) -> Entry:
        events = [event]
        self._state.committed(events)
        self._log.append(event)
        self._superseded += mvcc.superseded(events)
        if self._listener is not None:
            self._listener(events)
        # As with a real medium, the writer goes on after the others had their turn: a task that
        # writes and writes must not starve the watchers.
        await asyncio.sleep(0)
        return event.entry
