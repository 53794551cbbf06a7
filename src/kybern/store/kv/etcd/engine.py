"""The engine on etcd: transactions out, one watch back.

In:   writes, from this process and, by the watch, from others.
Out:  events in the order of revisions.
By:   `kybern apiserver --etcd-servers`, `kybern up --store etcd://...`.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from kybern.lib import logs
from kybern.lib.backoff import Backoff
from kybern.lib.clock import SYSTEM, Clock
from kybern.lib.tasks import Tasks
from kybern.store.interface import (
    Compacted,
    Entry,
    FutureRevision,
    KeyExists,
    KeyMissing,
    Listing,
    Mismatch,
    StoreClosed,
    StoreError,
)
from kybern.store.kv import mvcc
from kybern.store.kv.etcd import messages as m
from kybern.store.kv.etcd.connection import Connection
from kybern.store.kv.etcd.failures import Reason, Refused
from kybern.store.kv.etcd.flights import Flight, Flights, arrive
from kybern.store.kv.etcd.leases import Leases
from kybern.store.kv.etcd.loading import load
from kybern.store.kv.etcd.mirror import Mirror
from kybern.store.kv.etcd.past import Past
from kybern.store.kv.etcd.reached import Reached
from kybern.store.kv.etcd.swap import swap
from kybern.store.kv.etcd.together import Together
from kybern.store.kv.etcd.values import Keys, read_value, written_value
from kybern.store.kv.etcd.watch import oldest, watch
from kybern.store.kv.interface import Page, Snapshot

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from kybern.store.interface import Event
    from kybern.store.kv.etcd.address import Address
    from kybern.store.kv.interface import Listener, Replaced

    Changes = list[m.Event]  # inside the class, `list` is the method
    Events = list[Event]

log = logs.get("store.etcd")

LAND_SECONDS = 30.0
"""How long a write that is done waits for what was written before it."""
AGAIN = Backoff(initial=0.05, factor=2.0, cap=1.0)


class EtcdEngine:
    """See `kybern.store.kv.interface.Engine`. Made by `open`."""

    shared = True

    def __init__(self, address: Address, clock: Clock, inside: str) -> None:
        self._clock = clock
        self._keys = Keys(inside, f"{address.prefix}/")
        self._connection = Connection(address, clock)
        self._leases = Leases(self._connection, clock)
        self._tasks = Tasks("etcd", clock=clock)
        self._mirror = Mirror()
        self._flights = Flights(self._mirror, self._tell)
        self._past = Past(self._connection, self._keys)
        self._asking = Together(self._revision, self._tasks, "store: ask etcd")
        self._listener: Listener | None = None
        self._replaced: Replaced | None = None
        self._reached = Reached(self._mirror, self.problem)
        self._compacted = 1
        self._writing = 0
        self._idle: asyncio.Future[None] | None = None
        self._problem = ""
        self._heard = clock.monotonic()
        self._closed = False

    @classmethod
    async def open(
        cls, address: Address, *, clock: Clock = SYSTEM, inside: str = "/registry/"
    ) -> EtcdEngine:
        """Read everything there is, and follow what happens from there on.

        Args:
            address: where etcd is.
            clock: for leases and for waiting.
            inside: what our keys begin with, in the place of the address's prefix.

        Raises:
            StoreFailed: etcd does not answer, or refuses us.
            Corrupt: what is stored is not JSON.
        """
        engine = cls(address, clock, inside)
        try:
            await engine._load()
        except BaseException:
            await engine._connection.close()
            raise
        engine._tasks.spawn_forever(engine._follow, "store: follow etcd")
        return engine

    @property
    def revision(self) -> int:
        """The latest revision up to which everything was told."""
        return self._mirror.revision

    @property
    def compacted(self) -> int:
        """The oldest revision that can be listed, as far as we were told."""
        return self._compacted

    @property
    def superseded(self) -> int:
        """How many bytes of values are kept only as history, of what we have seen."""
        return self._mirror.superseded

    def attach(self, listener: Listener, replaced: Replaced | None = None) -> Snapshot:
        """Return the current state and tell the listener of everything from now on."""
        self._listener, self._replaced = listener, replaced
        return self._snapshot()

    async def current(self) -> int:
        """Ask etcd how far it is, and wait until we are as far."""
        self._check_open()
        await self._reached.wait(await self._asking())
        return self._mirror.revision

    # --- writing ---------------------------------------------------------------------------

    async def create(self, key: str, data: bytes, expires: float = 0.0) -> Entry:
        """Write a new key."""
        return await self._write(Flight(key, data, expires), 0)

    async def update(self, key: str, data: bytes, expected: int, expires: float = 0.0) -> Entry:
        """Replace the value at the expected revision."""
        return await self._write(Flight(key, data, expires), expected)

    async def delete(self, key: str, expected: int) -> Entry:
        """Delete the key at the expected revision."""
        return await self._write(Flight(key, None, 0.0), expected)

    async def _write(self, flight: Flight, expected: int) -> Entry:
        self._check_open()
        self._writing += 1
        try:
            await self._flights.begin(flight)
            try:
                answer = await self._swap(flight, self._keys.outside(flight.key), expected)
                if answer.succeeded:
                    return await self._flights.land(flight, answer.header.revision)
            finally:
                self._flights.end(flight)
            raise await self._in_the_way(flight.key, expected, answer)
        finally:
            self._writing -= 1
            if not self._writing and self._idle is not None and not self._idle.done():
                self._idle.set_result(None)

    async def _swap(self, flight: Flight, key: bytes, expected: int) -> m.TxnResponse:
        while True:
            lease = 0
            if flight.expires:
                lease = await self._leases.lease(flight.expires - self._clock.now())
            value = None if flight.data is None else written_value(flight.data)
            request = swap(key, expected, value, lease)
            try:
                answer: m.TxnResponse = await self._connection.call(m.SWAP, request, once=True)
            except Refused as refused:
                if refused.reason is not Reason.NO_LEASE:
                    raise
                self._leases.forget(lease)
            else:
                return answer

    async def _in_the_way(
        self, key: str, expected: int, answer: m.TxnResponse
    ) -> KeyExists | Mismatch:
        await self._reached.wait(answer.header.revision)
        result = answer.responses[0].range if answer.responses else None
        if result is None or not result.kvs:
            return KeyMissing(key)
        entry = self._known(self._entry(key, result.kvs[0]))
        return Mismatch(key, entry) if expected else KeyExists(key, entry)

    # --- reading ---------------------------------------------------------------------------

    async def get(self, key: str) -> Entry | None:
        """Return the current entry."""
        await self.current()
        return self._mirror.current.get(key)

    async def list(
        self, prefix: str, start_after: str = "", limit: int = 0, revision: int = 0
    ) -> Listing:
        """List what is or was under the prefix."""
        if not revision or revision > self.revision:
            current = await self.current()
            if revision > current:
                raise FutureRevision(current)
            revision = revision or current
        self._check_open()
        if revision == self.revision:
            return mvcc.listing(self._mirror.current, {}, revision, prefix, start_after, limit)
        try:
            self._check_past(revision)
            found = await self._past.list(prefix, start_after, limit, revision)
        except Refused:
            raise await self._learn_compacted() from None
        entries = [self._known(entry) for entry in found.entries]
        return Listing(entries, revision, found.remaining)

    async def history(self, prefix: str, since: int, upto: int, limit: int = 1000) -> Page:
        """Return a page of the past."""
        self._check_open()
        if since > self.revision:
            raise FutureRevision(self.revision)
        self._check_past(since)
        try:
            return await self._past.history(prefix, since, min(upto, self.revision), limit)
        except Compacted as error:
            self._compacted = max(self._compacted, error.oldest)
            raise

    # --- the rest --------------------------------------------------------------------------

    async def compact(self, revision: int) -> None:
        """Let etcd forget what was superseded at or before the revision."""
        self._check_open()
        if revision > self.revision:
            raise FutureRevision(self.revision)
        if revision <= self._compacted:
            return
        try:
            await self._connection.call(m.COMPACT, m.CompactionRequest(revision))
            self._compacted = max(self._compacted, revision)
        except Refused:
            await self._learn_compacted()  # somebody else did it, or we did and did not hear
        self._mirror.compacted(self._compacted)

    async def close(self) -> None:
        """Finish the writes under way, then end the watch."""
        if self._closed:
            return
        self._closed = True
        if self._writing:
            self._idle = asyncio.get_running_loop().create_future()
            await self._idle
        await self._tasks.close()
        await self._connection.close()
        self._reached.close()

    def problem(self) -> str:
        """Return why we do not hear from etcd, if so."""
        return self._problem

    def statistics(self) -> dict[str, float]:
        """Return figures about what is held, and about the connection."""
        return {
            "keys": len(self._mirror.current),
            "superseded_bytes": self._mirror.superseded,
            "writing": self._writing,
            "moves": self._connection.moves,
        }

    async def status(self) -> m.Status:
        """Return how the member that is asked at the moment is: version, size, leader."""
        answer: m.Status = await self._connection.call(m.STATUS, m.Empty())
        return answer

    async def snapshot(self) -> AsyncIterator[bytes]:
        """Yield a snapshot of the whole etcd, as `etcdctl snapshot save` writes it to a file."""
        async with aclosing(self._connection.stream(m.SNAPSHOT, m.Empty())) as parts:
            async for part in parts:
                yield part.blob

    # --- following -------------------------------------------------------------------------

    async def _follow(self) -> None:
        failures, behind, again = 0, False, False
        while True:
            member = self._connection.member
            try:
                if behind:
                    await self._begin_anew()
                    behind = False
                async with aclosing(watch(self._connection, self.revision)) as batches:
                    async for events in batches:
                        self._problem, failures = "", 0
                        self._heard = self._clock.monotonic()
                        # Asked when the watch stands: from here on it would break first.
                        if not events and again and await self._was_rewound():
                            behind = True
                            break
                        self._take(events)
            except Compacted as error:
                log.warning("too far behind: begins anew", at=self.revision, oldest=error.oldest)
                behind = True
            except StoreError as error:
                self._problem = str(error)
                log.warning("lost the watch", error=str(error), revision=self.revision)
                self._connection.leave(member)
                if self._clock.monotonic() - self._heard > LAND_SECONDS:
                    self._flights.give_up(self._problem)
            await self._clock.sleep(AGAIN.delay(failures))
            failures, again = failures + 1, True

    def _take(self, changes: Changes) -> None:
        """Apply what the watch brought, and tell it together with our own writes among it."""
        if not changes:
            return
        mirror, flights, told = self._mirror, self._flights, self._mirror.revision
        events: Events = []
        done: list[tuple[Flight, Entry]] = []
        for change in changes:
            kv = change.kv
            revision = kv.mod_revision
            if revision <= told:
                continue  # a write of ours, told when it was answered
            flight = flights.at(revision)
            event = flights.apply(flight, revision) if flight else self._apply(change)
            if event is not None:
                events.append(event)
                if flight is not None:
                    done.append((flight, event.entry))
                else:
                    flights.saw(event)
        mirror.revision = max(mirror.revision, changes[-1].kv.mod_revision)
        flights.following(events, done)
        try:
            if events:
                self._tell(events)
        finally:
            arrive(done)
            self._reached.wake()

    def _apply(self, change: m.Event) -> Event | None:
        kv = change.kv
        key = self._keys.inside(kv.key)
        if key is None:
            return None
        if change.type == m.DELETE:
            return self._mirror.delete(key, kv.mod_revision)
        return self._mirror.put(key, kv.mod_revision, read_value(kv.value))

    def _tell(self, events: Events) -> None:
        if self._listener is not None:
            self._listener(events)
        self._reached.wake()

    async def _was_rewound(self) -> bool:
        """Say whether etcd was put back to an earlier state, from a snapshot."""
        ours = self.revision
        theirs = await self._revision()
        if theirs < ours:
            log.error("etcd has lost revisions: begins anew", had=ours, has=theirs)
            self._flights.give_up("etcd has lost it")
        return theirs < ours

    async def _begin_anew(self) -> None:
        """Read everything again; what happened in between is lost to whoever watches."""
        await self._load()
        if self._replaced is not None:
            self._replaced(self._snapshot())
        arrive(self._flights.overtaken())
        self._reached.wake()

    async def _load(self) -> None:
        found = await load(self._connection, self._keys, self._leases)
        self._mirror.replace(found.made, found.revision)
        try:
            await self._connection.call(m.RANGE, m.RangeRequest(b"\0", revision=1))
        except Refused:
            await self._learn_compacted()

    # --- inside ----------------------------------------------------------------------------

    def _snapshot(self) -> Snapshot:
        current = self._mirror.current
        return Snapshot([current[key] for key in sorted(current)], self.revision)

    async def _revision(self) -> int:
        question = m.RangeRequest(self._keys.outside(""), keys_only=True, limit=1)
        answer: m.RangeResponse = await self._connection.call(m.RANGE, question)
        return answer.header.revision

    async def _learn_compacted(self) -> Compacted:
        self._compacted = max(self._compacted, await oldest(self._connection))
        return Compacted(self._compacted)

    def _check_past(self, revision: int) -> None:
        if revision < self._compacted:
            raise Compacted(self._compacted)

    def _entry(self, key: str, kv: m.KeyValue) -> Entry:
        return Entry(key, kv.mod_revision, kv.create_revision, read_value(kv.value))

    def _known(self, entry: Entry) -> Entry:
        known = self._mirror.current.get(entry.key)
        return known if known is not None and known.revision == entry.revision else entry

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosed
