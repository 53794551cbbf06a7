"""An engine whose medium holds what is encrypted, and whose caller sees none of it.

In:   any engine, and rules.
Out:  the same engine with plain values.
By:   store.objects, when there are rules.

What cannot be opened is not hidden and ends nothing: the entry is there, and whoever reads it is
told the key and the reason, each time, until it can be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.lib import logs
from kybern.store.encryption.ciphers import ENCRYPTED, IDENTITY, CannotOpen, Cipher
from kybern.store.interface import (
    DELETED,
    Corrupt,
    Entry,
    Event,
    KeyExists,
    KeyMissing,
    Listing,
    Mismatch,
)
from kybern.store.kv.interface import Page, Snapshot

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from kybern.store.encryption.rules import Rules
    from kybern.store.kv.interface import Engine, Listener, Replaced

log = logs.get("store")


class Sealed(Entry):
    """An entry that could not be opened. That is tried again whenever somebody asks for content."""

    engine: Any = None
    stored: bytes = b""

    @property
    def weight(self) -> int:
        """How many bytes are held."""
        return len(self.stored) or super().weight

    def __getattribute__(self, name: str) -> Any:
        """Refuse what everything about the content is read from, and nothing else.

        Raises:
            Corrupt: the value still cannot be opened.
        """
        if name == "held" and self.stored:
            self.held = self.engine.opened(self)
            self.stored = b""
        return super().__getattribute__(name)


class EncryptingEngine:
    """See `kybern.store.kv.interface.Engine`."""

    def __init__(self, engine: Engine, rules: Rules) -> None:
        self.rules = rules
        """May be replaced at any time: what is written then is written by the new ones."""
        self._engine = engine
        self._listener: Listener | None = None
        self._replaced: Replaced | None = None
        self._plain: dict[str, Entry] = {}
        """The entries, as the caller has them, of keys whose stored value is encrypted."""
        self._writers: dict[str, Cipher] = {}
        """What those were written with."""

    # --- what encryption changes ------------------------------------------------------------

    def attach(self, listener: Listener, replaced: Replaced | None = None) -> Snapshot:
        """Return the current state, opened; tell the listener of what comes, opened."""
        self._listener, self._replaced = listener, replaced
        return self._take(self._engine.attach(self._committed, self._forgotten))

    async def create(self, key: str, data: bytes, expires: float = 0.0) -> Entry:
        """Write a new key."""
        sealed = self.rules.seal(key, data)
        return await self._written(self._engine.create(key, sealed, expires))

    async def update(self, key: str, data: bytes, expected: int, expires: float = 0.0) -> Entry:
        """Replace the value at the expected revision."""
        sealed = self.rules.seal(key, data)
        return await self._written(self._engine.update(key, sealed, expected, expires))

    async def delete(self, key: str, expected: int) -> Entry:
        """Delete the key at the expected revision."""
        return await self._written(self._engine.delete(key, expected))

    async def get(self, key: str) -> Entry | None:
        """Return the current entry."""
        entry = await self._engine.get(key)
        return None if entry is None else self._known(entry)

    async def list(
        self, prefix: str, start_after: str = "", limit: int = 0, revision: int = 0
    ) -> Listing:
        """List what is or was under the prefix."""
        found = await self._engine.list(prefix, start_after, limit, revision)
        return Listing(
            [self._known(each) for each in found.entries], found.revision, found.remaining
        )

    async def history(self, prefix: str, since: int, upto: int, limit: int = 1000) -> Page:
        """Return a page of the past."""
        page = await self._engine.history(prefix, since, upto, limit)
        return Page([self._event(event) for event in page.events], page.upto)

    def stale(self, key: str) -> bool:
        """Say whether what is stored is not what would be written now."""
        return self._writers.get(key, IDENTITY) != self.rules.writer(key)

    def opened(self, entry: Sealed) -> bytes:
        """Return the value of an entry that could not be opened before.

        Raises:
            Corrupt: it still cannot.
        """
        try:
            data, cipher = self.rules.open(entry.key, entry.stored)
        except CannotOpen as error:
            raise Corrupt(f'unable to transform key "{entry.key}": {error}') from None
        if self._plain.get(entry.key) is entry:
            self._writers[entry.key] = cipher
        return data

    # --- what it does not -------------------------------------------------------------------

    @property
    def shared(self) -> bool:
        """Whether others write to the same medium."""
        return self._engine.shared

    @property
    def revision(self) -> int:
        """The latest revision that was told to the listener."""
        return self._engine.revision

    @property
    def compacted(self) -> int:
        """The oldest revision that can be listed."""
        return self._engine.compacted

    @property
    def superseded(self) -> int:
        """How many bytes of values are kept only as history."""
        return self._engine.superseded

    async def current(self) -> int:
        """Tell the listener of everything that was committed before this call."""
        return await self._engine.current()

    async def compact(self, revision: int) -> None:
        """Forget what was superseded at or before the revision."""
        await self._engine.compact(revision)

    async def close(self) -> None:
        """Finish the writes under way, then let go of the medium."""
        await self._engine.close()

    def problem(self) -> str:
        """Return what is wrong with the medium."""
        return self._engine.problem()

    def statistics(self) -> dict[str, float]:
        """Return figures about the medium."""
        return {**self._engine.statistics(), "encrypted": len(self._plain)}

    # --- inside -----------------------------------------------------------------------------

    def _take(self, snapshot: Snapshot) -> Snapshot:
        self._plain.clear()
        self._writers.clear()
        entries = [self._current(entry) for entry in snapshot.entries]
        sealed = [entry.key for entry in entries if isinstance(entry, Sealed)]
        if sealed:
            log.error("values cannot be decrypted", count=len(sealed), first=sealed[0])
        return Snapshot(entries, snapshot.revision)

    def _forgotten(self, snapshot: Snapshot) -> None:
        assert self._replaced is not None
        self._replaced(self._take(snapshot))

    def _committed(self, events: Sequence[Event]) -> None:
        assert self._listener is not None
        self._listener([self._happened(event) for event in events])

    def _happened(self, event: Event) -> Event:
        """Return an event of now, and remember what is current."""
        key, previous = event.entry.key, event.previous
        known = self._plain.pop(key, None)
        self._writers.pop(key, None)
        if known is None and not event.entry.held.startswith(ENCRYPTED):
            return event
        if previous is not None and known is not None and known.revision == previous.revision:
            previous = known
        elif previous is not None:
            previous = self._open(previous)[0]
        if event.type == DELETED:
            return Event(event.type, self._open(event.entry)[0], previous)
        return Event(event.type, self._current(event.entry), previous)

    def _current(self, entry: Entry) -> Entry:
        if not entry.held.startswith(ENCRYPTED):
            return entry
        mine, cipher = self._open(entry)
        self._plain[entry.key] = mine
        self._writers[entry.key] = cipher
        return mine

    def _event(self, event: Event) -> Event:
        """Return an event of the past."""
        entry, previous = event.entry, event.previous
        mine = self._open(entry)[0]
        was = None if previous is None else self._open(previous)[0]
        return event if mine is entry and was is previous else Event(event.type, mine, was)

    def _known(self, entry: Entry) -> Entry:
        known = self._plain.get(entry.key)
        if known is not None and known.revision == entry.revision:
            return known
        return self._open(entry)[0]

    def _open(self, entry: Entry) -> tuple[Entry, Cipher]:
        stored = entry.held
        if not stored.startswith(ENCRYPTED):
            return entry, IDENTITY
        key, revision, created, expires = entry.key, entry.revision, entry.created, entry.expires
        try:
            data, cipher = self.rules.open(key, stored)
        except CannotOpen:
            sealed = Sealed(key, revision, created, b"", expires)
            sealed.engine, sealed.stored = self, stored
            return sealed, IDENTITY
        return Entry(key, revision, created, data, expires), cipher

    async def _written(self, write: Awaitable[Entry]) -> Entry:
        """Wait for a write; what stood in its way is opened too."""
        try:
            return self._known(await write)
        except KeyMissing:
            raise
        except KeyExists as error:
            raise KeyExists(error.key, self._known(error.current)) from None
        except Mismatch as error:
            current = None if error.current is None else self._known(error.current)
            raise Mismatch(error.key, current) from None
