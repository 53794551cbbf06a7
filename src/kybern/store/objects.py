"""`Store`: objects by key, with everything current in memory.

In:   writes and questions of the API server; committed events of the engine.
Out:  entries, listings and watchers, as bytes that are ready to be sent.
By:   the API server only.

Writes go to the engine. What it commits comes back through `_apply`, in order of revisions,
before the write is answered: so reading never has to ask the engine, and sees every write that
was answered. Only the past is asked for there, when it is older than what is remembered here.

On a shared engine others write too: then `fresh`, awaited first, makes what follows see every
write that was answered to anybody before. A `Mismatch` or `KeyExists` never needs that: when it
comes, what stood in the way can be read.
"""

from __future__ import annotations

from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Any

from kybern.lib.clock import SYSTEM, Clock
from kybern.store.encryption.engine import EncryptingEngine
from kybern.store.interface import (
    ADDED,
    MODIFIED,
    Compacted,
    Entry,
    FutureRevision,
    Listing,
)
from kybern.store.kv import mvcc
from kybern.store.kv.interface import Page
from kybern.store.retention import KEEP_SECONDS
from kybern.store.sorted_keys import SortedKeys
from kybern.store.upkeep import Upkeep
from kybern.store.watch_cache import Budget, Collection, Window, within
from kybern.store.watcher import BUFFER, Watcher

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kybern.store.encryption.rules import Rules
    from kybern.store.interface import Event
    from kybern.store.kv.interface import Engine, Snapshot
    from kybern.store.watch_cache import Attributes


class Store:
    """The promises are in `kybern.store.interface`.

    A *prefix* ends with "/": a collection (`/registry/pods/`) or a namespace of one
    (`/registry/pods/default/`). A *scope*, for watching, is a prefix or a single key.

    For one event loop. Background work (expiry, compaction) happens while `run` runs.
    """

    def __init__(
        self,
        engine: Engine,
        clock: Clock = SYSTEM,
        window: Window | None = None,
        *,
        compact_every: float = KEEP_SECONDS,
        encryption: Rules | None = None,
    ) -> None:
        """Read everything from an open engine, and be its listener from now on.

        The past is forgotten every `compact_every` seconds, up to where it was the time before;
        0 leaves that to somebody else. With `encryption` the medium gets to see only what these
        rules make of the values.
        """
        self._sealing = EncryptingEngine(engine, encryption) if encryption is not None else None
        self._engine = engine = self._sealing or engine
        self._clock = clock
        self._window = window or Window()
        self._budget = Budget(self._window.weight)
        self._collections: dict[str, Collection] = {}
        self._routes: dict[str, tuple[Collection, ...]] = {}
        snapshot = engine.attach(self._apply, self._replace)
        self._entries = {entry.key: entry for entry in snapshot.entries}
        self._keys = SortedKeys(self._entries)
        self._live = sum(entry.weight for entry in snapshot.entries)
        self._upkeep = Upkeep(engine, clock, snapshot.entries, compact_every)

    @property
    def revision(self) -> int:
        """The latest revision; everything up to here can be read."""
        return self._engine.revision

    @property
    def shared(self) -> bool:
        """Whether others write to the same medium: then `fresh` is worth calling."""
        return self._engine.shared

    # --- writing ---------------------------------------------------------------------------

    async def create(self, key: str, data: bytes, ttl: float | None = None) -> Entry:
        """Write a new object; with `ttl` it is deleted after that many seconds.

        Raises:
            KeyExists: there is one.
        """
        return await self._engine.create(key, data, self._deadline(ttl))

    async def update(
        self, key: str, data: bytes, expected: Entry, ttl: float | None = None
    ) -> Entry:
        """Replace `expected`, if that is still what is there; `ttl` starts anew, or ends.

        Raises:
            Mismatch: it is not; `error.current` is what is there (None, as KeyMissing: nothing).
        """
        return await self._engine.update(key, data, expected.revision, self._deadline(ttl))

    async def delete(self, key: str, expected: Entry) -> Entry:
        """Delete `expected`, if it is still there; return the last state.

        The returned entry carries the revision of the deletion.

        Raises:
            Mismatch: as `update`.
        """
        return await self._engine.delete(key, expected.revision)

    # --- reading ---------------------------------------------------------------------------

    async def fresh(self) -> None:
        """Catch up with everything that was answered to anybody before this call.

        Raises:
            StoreFailed: the medium does not say how far it is.
        """
        await self._engine.current()

    def get(self, key: str) -> Entry | None:
        """Return the object, or None."""
        return self._entries.get(key)

    def list(
        self, prefix: str, *, start_after: str = "", limit: int = 0, revision: int = 0
    ) -> Listing:
        """List what is under the prefix, after the key `start_after`, at most `limit` entries.

        With `revision`, as it was then, if that is remembered in memory; `list_at` also asks the
        engine.

        Raises:
            Compacted: the revision is forgotten (or only the engine still knows it).
            FutureRevision: it does not exist yet.
        """
        if not revision or revision == self.revision:
            if limit:
                self._collection_of(prefix)  # remembers from now on, for the pages to come
            return self._list_now(prefix, start_after, limit)
        self._check_past(revision)
        collection = self._collection_of(prefix)
        if revision < collection.floor:
            raise Compacted(collection.floor)
        was = mvcc.before(collection.since(revision, prefix))
        return self._list_past(prefix, start_after, limit, revision, was)

    async def list_at(
        self, prefix: str, revision: int, *, start_after: str = "", limit: int = 0
    ) -> Listing:
        """List what was under the prefix at the revision.

        Raises:
            Compacted: the revision is forgotten.
            FutureRevision: it does not exist yet.
        """
        self._check_past(revision)
        collection = self._collection_of(prefix)
        was: dict[str, Entry | None] = {}
        known = revision
        while known < collection.floor:
            page = await self._engine.history(prefix, known, collection.floor)
            was = mvcc.before(page.events) | was
            known = page.upto
        was = mvcc.before(collection.since(known, prefix)) | was
        return self._list_past(prefix, start_after, limit, revision, was)

    def watch(self, scope: str, since: int, *, buffer: int = BUFFER) -> Watcher:
        """Watch what happens in the scope after the revision `since`.

        Raises:
            Compacted: what happened right after it is forgotten.
            FutureRevision: it does not exist yet.
        """
        if since > self.revision:
            raise FutureRevision(self.revision)
        collection = self._collection_of(scope)
        backlog = collection.since(since, scope) if since >= collection.floor else []

        def leave(watcher: Watcher) -> None:
            collection.leave(watcher, scope)

        watcher = Watcher(since, lambda: self.revision, leave, buffer + len(backlog))
        if backlog:
            watcher.push(backlog)
        if since < collection.floor:
            if since < self._engine.compacted:
                raise Compacted(self._engine.compacted)
            self._read_first(watcher, scope)
        collection.join(watcher, scope)
        return watcher

    def snapshot_and_watch(self, scope: str, *, buffer: int = BUFFER) -> tuple[Listing, Watcher]:
        """List everything in the scope, and watch what happens from there on."""
        if scope.endswith("/"):
            listing = self._list_now(scope, "", 0)
        else:
            entry = self._entries.get(scope)
            listing = Listing([] if entry is None else [entry], self.revision)
        return listing, self.watch(scope, self.revision, buffer=buffer)

    def collection(self, prefix: str, attributes: Attributes | None = None) -> Collection:
        """Register a collection, with a function that computes `Entry.attributes` from its JSON.

        The function gets the bytes with or without resourceVersion, whichever are at hand.
        Collections which are not registered work too, without attributes.
        """
        if not prefix.endswith("/"):
            raise ValueError(f'a collection\'s prefix ends with "/": {prefix!r}')
        collection = self._collections.get(prefix)
        if collection is None:
            collection = Collection(prefix, self.revision, self._window, attributes, self._budget)
            self._collections[prefix] = collection
            self._routes.clear()
        collection.attributes = attributes
        for key in self._keys.between(prefix, mvcc.prefix_end(prefix)):
            if self._route(key)[-1] is collection:
                self._entries[key].derive = attributes
        return collection

    # --- at rest ---------------------------------------------------------------------------

    def encrypt(self, rules: Rules) -> None:
        """Write by other rules from now on; only for a store that was made with some."""
        assert self._sealing is not None
        self._sealing.rules = rules

    def stale(self, key: str) -> bool:
        """Say whether an object is worth writing though it is unchanged: its form is an old one."""
        return self._sealing is not None and self._sealing.stale(key)

    # --- by itself -------------------------------------------------------------------------

    async def run(self) -> None:
        """Expire and compact, until cancelled."""
        await self._upkeep.run(self._trim)

    async def compact(self, revision: int) -> None:
        """Forget what was superseded at or before the revision.

        Raises:
            FutureRevision: it does not exist yet.
        """
        await self._engine.compact(revision)

    async def close(self) -> None:
        """Finish the writes under way, end all watchers, let go of the medium; idempotent."""
        await self._engine.close()
        for collection in self._collections.values():
            for watcher in collection.watchers():
                watcher.close()

    def statistics(self) -> dict[str, Any]:
        """Return figures: about the medium, and of each collection that somebody uses."""
        return {
            "revision": self.revision,
            "compacted": self._engine.compacted,
            "keys": len(self._entries),
            "bytes": self._live,
            "past_bytes": self._budget.used,
            "engine": self._engine.statistics(),
            "collections": {p: c.statistics() for p, c in self._collections.items()},
        }

    def problem(self) -> str:
        """Return what is wrong with the medium at the moment; "" for nothing."""
        return self._engine.problem()

    def count(self, prefix: str) -> int:
        """Return how many objects are under the prefix."""
        return self._keys.count(prefix, mvcc.prefix_end(prefix))

    def changed(self, prefix: str) -> int:
        """Return a revision since which nothing under the prefix of a collection has changed."""
        collection = self._collections.get(prefix)
        return self.revision if collection is None else collection.changed

    # --- inside ----------------------------------------------------------------------------

    def _trim(self) -> None:
        now = self._clock.monotonic()
        for collection in self._collections.values():
            collection.trim(now)

    def _apply(self, events: Sequence[Event]) -> None:
        """Take what the engine committed."""
        entries, keys, routes = self._entries, self._keys, self._routes
        touched: list[Collection] = []
        live = self._live
        for event in events:
            entry = event.entry
            entry.prepare()
            key = entry.key
            before = entries.get(key)
            if before is not None:
                live -= before.weight
            if event.type == ADDED:
                entries[key] = entry
                keys.add(key)
                live += entry.weight
            elif event.type == MODIFIED:
                entries[key] = entry
                live += entry.weight
            else:
                del entries[key]
                keys.remove(key)
            route = routes.get(key[: key.rfind("/")])
            if route is None:
                route = self._route(key)
            for collection in route:
                if not collection.pending:
                    touched.append(collection)
                collection.pending.append(event)
            if route:
                entry.derive = route[-1].attributes
            if entry.expires:
                self._upkeep.expect(entry)
        self._live = live
        self._upkeep.wrote(events[-1].revision, live)
        now = self._clock.monotonic()
        for collection in touched:
            collection.publish(now)

    def _replace(self, snapshot: Snapshot) -> None:
        """Begin anew from what is current: what happened on the way there cannot be had."""
        self._entries = {entry.key: entry for entry in snapshot.entries}
        self._keys = SortedKeys(self._entries)
        self._live = sum(entry.weight for entry in snapshot.entries)
        for prefix, collection in tuple(self._collections.items()):
            collection.forget(snapshot.revision)
            self.collection(prefix, collection.attributes)

    def _route(self, key: str) -> tuple[Collection, ...]:
        """Return the collections the key is in, the narrowest last."""
        parent = key[: key.rfind("/")]
        route = self._routes.get(parent)
        if route is None:
            cuts = (at + 1 for at, char in enumerate(key) if char == "/")
            found = (self._collections.get(key[:cut]) for cut in cuts)
            route = tuple(collection for collection in found if collection is not None)
            if len(self._routes) > 100_000:
                self._routes.clear()
            self._routes[parent] = route
        return route

    def _collection_of(self, scope: str) -> Collection:
        route = self._route(scope)
        return route[-1] if route else self.collection(scope[: scope.rfind("/") + 1])

    def _list_now(self, prefix: str, start_after: str, limit: int) -> Listing:
        end = mvcc.prefix_end(prefix)
        keys = self._keys.between(max(prefix, start_after), end)
        wanted = list(islice(keys, limit) if limit else keys)
        left = self._keys.count(wanted[-1], end) if limit and len(wanted) == limit else 0
        return Listing(list(map(self._entries.__getitem__, wanted)), self.revision, left)

    def _list_past(
        self,
        prefix: str,
        start_after: str,
        limit: int,
        revision: int,
        was: dict[str, Entry | None],
    ) -> Listing:
        after, end = max(prefix, start_after), mvcc.prefix_end(prefix)
        gone = sorted(key for key, entry in was.items() if entry is not None and key > after)
        same = (key for key in self._keys.between(after, end) if key not in was)
        keys = merge(same, gone)
        wanted = list(islice(keys, limit) if limit else keys)
        left = sum(1 for _ in keys)
        return Listing([was.get(key) or self._entries[key] for key in wanted], revision, left)

    def _check_past(self, revision: int) -> None:
        if revision > self.revision:
            raise FutureRevision(self.revision)
        if revision < self._engine.compacted:
            raise Compacted(self._engine.compacted)

    def _read_first(self, watcher: Watcher, scope: str) -> None:
        upto = self.revision

        async def past(since: int) -> Page:
            page = await self._engine.history(scope, since, upto)
            return Page([e for e in page.events if within(e.entry.key, scope)], page.upto)

        watcher.read_first(past, upto)

    def _deadline(self, ttl: float | None) -> float:
        return 0.0 if ttl is None else self._clock.now() + ttl
