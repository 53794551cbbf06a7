"""An engine whose revisions are counted on from those of another medium.

In:   an engine that counts by itself, and by how much its callers count further.
Out:  the same engine with those revisions.
By:   `kybern.store.etcd_note`, for an etcd to which a store was moved.

A medium like etcd begins at 1 and cannot be told otherwise. Clients, which hold revisions of the
store that it takes the place of, would take its small numbers for old ones that they know.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from kybern.store.interface import (
    DELETED,
    Compacted,
    Entry,
    Event,
    FutureRevision,
    KeyExists,
    KeyMissing,
    Listing,
    Mismatch,
)
from kybern.store.kv.interface import Page, Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kybern.store.kv.interface import Engine, Listener, Replaced

    Events = list[Event]  # inside the class, `list` is the method


class ShiftedEngine:
    """See `kybern.store.kv.interface.Engine`."""

    def __init__(self, engine: Engine, shift: int) -> None:
        """Add `shift` to every revision of the engine."""
        self._engine = engine
        self._shift = shift
        self._current: dict[str, Entry] = {}
        """The entries as the caller has them, so that there is one of each."""
        self._listener: Listener | None = None
        self._replaced: Replaced | None = None

    # --- what counting changes --------------------------------------------------------------

    @property
    def revision(self) -> int:
        """The latest revision that was told."""
        return self._engine.revision + self._shift

    @property
    def compacted(self) -> int:
        """The oldest revision that can be listed."""
        return self._engine.compacted + self._shift

    def attach(self, listener: Listener, replaced: Replaced | None = None) -> Snapshot:
        """Return the current state; tell the listener of what comes."""
        self._listener, self._replaced = listener, replaced
        return self._take(self._engine.attach(self._committed, self._forgotten))

    async def current(self) -> int:
        """Tell everything that was committed before this call."""
        return await self._engine.current() + self._shift

    async def create(self, key: str, data: bytes, expires: float = 0.0) -> Entry:
        """Write a new key."""
        with self._counted():
            return self._known(await self._engine.create(key, data, expires))

    async def update(self, key: str, data: bytes, expected: int, expires: float = 0.0) -> Entry:
        """Replace the value at the expected revision."""
        with self._counted():
            known = expected - self._shift
            return self._known(await self._engine.update(key, data, known, expires))

    async def delete(self, key: str, expected: int) -> Entry:
        """Delete the key at the expected revision."""
        with self._counted():
            return self._known(await self._engine.delete(key, expected - self._shift))

    async def get(self, key: str) -> Entry | None:
        """Return the current entry."""
        entry = await self._engine.get(key)
        return None if entry is None else self._known(entry)

    async def list(
        self, prefix: str, start_after: str = "", limit: int = 0, revision: int = 0
    ) -> Listing:
        """List what is or was under the prefix."""
        with self._counted():
            wanted = self._past(revision) if revision else 0
            found = await self._engine.list(prefix, start_after, limit, wanted)
        entries = [self._known(entry) for entry in found.entries]
        return Listing(entries, found.revision + self._shift, found.remaining)

    async def history(self, prefix: str, since: int, upto: int, limit: int = 1000) -> Page:
        """Return a page of the past."""
        with self._counted():
            page = await self._engine.history(prefix, self._past(since), self._past(upto), limit)
        return Page([self._event(event) for event in page.events], page.upto + self._shift)

    async def compact(self, revision: int) -> None:
        """Forget what was superseded at or before the revision."""
        with self._counted():
            await self._engine.compact(revision - self._shift)

    # --- what it does not -------------------------------------------------------------------

    @property
    def shared(self) -> bool:
        """Whether others write to the same medium."""
        return self._engine.shared

    @property
    def superseded(self) -> int:
        """How many bytes of values are kept only as history."""
        return self._engine.superseded

    async def close(self) -> None:
        """Let go of the medium."""
        await self._engine.close()

    def problem(self) -> str:
        """Return what is wrong with the medium at the moment."""
        return self._engine.problem()

    def statistics(self) -> dict[str, float]:
        """Return figures about the medium."""
        return {**self._engine.statistics(), "shift": self._shift}

    # --- inside -----------------------------------------------------------------------------

    def _past(self, revision: int) -> int:
        """Return the medium's revision.

        Raises:
            Compacted: it has none, the revision is of the store that this one takes the place of.
        """
        if revision < self.compacted:
            raise Compacted(self._engine.compacted)
        return revision - self._shift

    def _take(self, snapshot: Snapshot) -> Snapshot:
        entries = [self._entry(entry) for entry in snapshot.entries]
        self._current = {entry.key: entry for entry in entries}
        return Snapshot(entries, snapshot.revision + self._shift)

    def _forgotten(self, snapshot: Snapshot) -> None:
        taken = self._take(snapshot)
        if self._replaced is not None:
            self._replaced(taken)

    def _committed(self, events: Sequence[Event]) -> None:
        shifted: Events = []
        for event in events:
            key = event.entry.key
            entry, before = self._entry(event.entry), self._current.pop(key, None)
            if event.type != DELETED:
                self._current[key] = entry
            shifted.append(Event(event.type, entry, before if event.previous else None))
        if self._listener is not None:
            self._listener(shifted)

    def _event(self, event: Event) -> Event:
        before = None if event.previous is None else self._known(event.previous)
        return Event(event.type, self._known(event.entry), before)

    def _known(self, entry: Entry) -> Entry:
        known = self._current.get(entry.key)
        if known is not None and known.revision == entry.revision + self._shift:
            return known
        return self._entry(entry)

    def _entry(self, entry: Entry) -> Entry:
        revision, created = entry.revision + self._shift, entry.created + self._shift
        return Entry(entry.key, revision, created, entry.data, entry.expires)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Raise the engine's bad news with our revisions."""
        try:
            yield
        except KeyMissing:
            raise
        except (KeyExists, Mismatch) as error:
            current = None if error.current is None else self._known(error.current)
            if isinstance(error, KeyExists):
                assert current is not None
                raise KeyExists(error.key, current) from None
            raise Mismatch(error.key, current) from None
        except Compacted as error:
            raise Compacted(error.oldest + self._shift) from None
        except FutureRevision as error:
            raise FutureRevision(error.current + self._shift) from None
