"""A watcher's fold: what one gets by applying events to a list is what a list would have said.

In:   a store and a scope; connections that are given up and taken up again at random.
Out:  an AssertionError where an event does not fit, or a list differs from the fold.
By:   the tests of watches, and every workload.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kybern.store.interface import ADDED, DELETED, Compacted, StoreFailed, WatcherTooSlow
from kybern.store.watch_cache import within

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable, Iterable

    from kybern.store.interface import Entry, Event, Listing
    from kybern.store.objects import Store

    ListAt = Callable[[str, int], Awaitable[Listing]]

State = dict[str, tuple[int, int, bytes]]


class Fold:
    """Follows a scope of a store, and remembers how it got to where it is."""

    def __init__(self, store: Store, scope: str, rng: random.Random, stay: float = 40) -> None:
        """`stay`: after so many batches, on average, the watch is given up and begun again."""
        self._store, self._scope, self._rng, self._stay = store, scope, rng, stay
        self._prefix = scope[: scope.rfind("/") + 1]
        self._state: State = {}
        self.revision = 0
        """Everything up to here is in the fold."""
        self.base = 0
        """The fold knows what was at every revision from here on."""
        self._base_state: State = {}
        self.events: list[Event] = []
        self.connections = 0
        self._lists: list[Listing] = []
        self._list()

    async def follow(self) -> None:
        """Watch for ever, with interruptions."""
        while True:
            self.connections += 1
            try:
                buffer = self._rng.choice([20, 10_000])
                watcher = self._store.watch(self._scope, self.revision, buffer=buffer)
                try:
                    async for batch in watcher:
                        self._take(batch)
                        # A bookmark: nothing up to there is still to come.
                        self.revision = max(self.revision, watcher.revision)
                        if self._rng.random() < 1 / self._stay:
                            break
                finally:
                    watcher.close()
            except WatcherTooSlow as error:
                self.revision = max(self.revision, error.revision)
            except Compacted:
                self._list()
            except StoreFailed:
                await asyncio.sleep(0.05)
            if self._rng.random() < 0.5:
                await asyncio.sleep(self._rng.random() * 0.02)
            self._note()

    async def catch_up(self, revision: int) -> None:
        """Read what is left up to the revision, when nobody else follows."""
        while self.revision < revision:
            try:
                watcher = self._store.watch(self._scope, self.revision)
            except Compacted:
                self._list()
                continue
            more = asyncio.ensure_future(anext(watcher))
            while watcher.revision < revision or more.done():
                await asyncio.wait({more}, timeout=0.01)
                if more.done():
                    self._take(more.result())
                    more = asyncio.ensure_future(anext(watcher))
                    await asyncio.sleep(0)
            more.cancel()
            watcher.close()
            self.revision = max(self.revision, revision)

    async def check(self, list_at: ListAt, revisions: Iterable[int]) -> int:
        """Compare with lists from somewhere; return with how many."""
        states = self._states()
        for listing in self._lists:
            if listing.revision >= self.base:
                assert self._keyed(listing) == state_at(states, listing.revision)
        compared = len(self._lists)
        for revision in revisions:
            if revision < self.base:
                continue
            try:
                listing = await list_at(self._prefix, revision)
            except Compacted:
                continue
            assert self._keyed(listing) == state_at(states, revision), f"at {revision}"
            compared += 1
        return compared

    def _take(self, batch: Iterable[Event]) -> None:
        for event in batch:
            entry, previous = event.entry, event.previous
            assert event.revision > self.revision, "an event again, or too late"
            before = self._state.get(entry.key)
            assert (event.type == ADDED) == (before is None), f"{event} after {before}"
            if before is not None:
                assert previous is not None
                assert versioned(previous) == before, f"{event} after {before}"
            if event.type == DELETED:
                assert before is not None
                assert entry.data == before[2], "the last state is another"
                del self._state[entry.key]
            else:
                self._state[entry.key] = versioned(entry)
            self.events.append(event)
            self.revision = event.revision

    def _list(self) -> None:
        listing, watcher = self._store.snapshot_and_watch(self._scope)
        watcher.close()
        self._lists.append(listing)
        self.base = self.revision = listing.revision
        self._state = self._keyed(listing)
        self._base_state = dict(self._state)
        self.events = []

    def _note(self) -> None:
        """Remember a list of this moment, to compare it with the fold when that is so far."""
        self._lists.append(self._store.list(self._prefix))

    def _states(self) -> list[tuple[int, State]]:
        """Return every state there was, with the revision from which on it was."""
        state = dict(self._base_state)
        states = [(self.base, dict(state))]
        for event in self.events:
            if event.type == DELETED:
                del state[event.entry.key]
            else:
                state[event.entry.key] = versioned(event.entry)
            states.append((event.revision, dict(state)))
        return states

    def _keyed(self, listing: Listing) -> State:
        entries = (entry for entry in listing.entries if within(entry.key, self._scope))
        return {entry.key: versioned(entry) for entry in entries}


def versioned(entry: Entry) -> tuple[int, int, bytes]:
    return entry.revision, entry.created, entry.data


def state_at(states: list[tuple[int, State]], revision: int) -> State:
    """Return the last state that began at or before the revision."""
    return next(state for since, state in reversed(states) if since <= revision)
