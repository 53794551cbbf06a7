"""An etcd to be copied, or to become a copy.

In:   an address.
Out:  its entries; or an etcd with the same keys and values, whose revisions count on.
By:   `migrate`, and `kybern.cmd.snapshots`.

Etcd gives every write a revision of its own, and begins at 1. So the note beside the keys
(`etcd_note`) says how much is to be added: as much as the source had counted. Whatever a client
knows from before is less than anything it will see, and is answered with 410 Gone.
"""

from __future__ import annotations

import asyncio
from operator import attrgetter
from typing import TYPE_CHECKING

from kybern.lib.clock import SYSTEM
from kybern.store import etcd_note
from kybern.store.checksum import Checksum
from kybern.store.etcd_note import Note
from kybern.store.interface import Entry, Event, KeyExists, StoreFailed
from kybern.store.kv.etcd.engine import EtcdEngine
from kybern.store.migrate import BATCH, Plan, not_empty

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Sequence

    from kybern.store.kv.etcd.address import Address
    from kybern.store.kv.interface import Engine

_AT_ONCE = 100
"""So many writes are under way together."""
_TIME_LEFT = 60.0
"""What has expired, and nobody has deleted yet, lasts so long: for etcd no time is no end."""


class EtcdSource:
    """See `kybern.store.migrate.Source`. Made by `open`."""

    def __init__(self, address: Address, engine: Engine, *, frozen: bool) -> None:
        """Take what is current now; `frozen`, it is an error when somebody writes meanwhile."""
        self._engine = engine
        self._frozen = frozen
        self._name = f"etcd://{address}"
        self._changed = False
        entries, revision = engine.attach(self._note)
        self._entries = sorted(entries, key=attrgetter("revision"))
        self.plan = Plan(self._name, revision, len(entries))

    @classmethod
    async def open(cls, address: Address, *, frozen: bool = True) -> EtcdSource:
        """Read everything there is.

        Raises:
            StoreFailed: etcd does not answer, or what is in it is not complete.
        """
        return cls(address, await etcd_note.opened(address), frozen=frozen)

    async def batches(self) -> AsyncIterator[Sequence[Entry]]:
        """Yield the entries of the moment at which it was opened."""
        for start in range(0, len(self._entries), BATCH):
            yield [
                Entry(entry.key, entry.revision, entry.created, entry.data, entry.expires)
                for entry in self._entries[start : start + BATCH]
            ]

    async def check_unchanged(self) -> None:
        """See that etcd has not gone on, or only with what is not ours."""
        await self._engine.current()
        if self._frozen and self._changed:
            raise StoreFailed(
                f"somebody wrote to {self._name} meanwhile: stop its API servers and begin anew"
            )

    async def close(self) -> None:
        """Leave etcd."""
        await self._engine.close()

    def _note(self, _events: Sequence[Event]) -> None:
        self._changed = True


class EtcdTarget:
    """See `kybern.store.migrate.Target`. Made by `open`."""

    def __init__(self, address: Address, engine: EtcdEngine, *, first: int, replace: bool) -> None:
        """Write to an open etcd.

        Args:
            address: where it is.
            engine: the same, open.
            first: no revision may be before this one; nor before those of the source.
            replace: whether what is there may go.
        """
        self._address = address
        self._engine = engine
        self._first = first
        self._replace = replace
        self._note = Note()

    @classmethod
    async def open(cls, address: Address, *, first: int = 0, replace: bool = False) -> EtcdTarget:
        """Read what is there.

        Raises:
            StoreFailed: etcd does not answer.
        """
        return cls(address, await EtcdEngine.open(address), first=first, replace=replace)

    async def begin(self, plan: Plan) -> int:
        """Note the plan; make place, if that is wanted."""
        note = await etcd_note.read(self._address)
        current = (await self._engine.list("/")).entries
        if note.becoming == plan:
            self._note = note
            return len(current)
        if not self._replace:
            if note.becoming is not None:
                raise not_empty(f"etcd at {self._address}", note.becoming)
            if current:
                raise not_empty(f"etcd at {self._address}")
        counted = self._engine.revision + note.shift
        self._note = Note(max(plan.revision, self._first, counted), plan)
        await etcd_note.write(self._address, self._note)
        for start in range(0, len(current), _AT_ONCE):
            await self._together(current[start : start + _AT_ONCE], self._delete)
        return 0

    async def write(self, entries: Sequence[Entry]) -> None:
        """Write what is not there yet."""
        for start in range(0, len(entries), _AT_ONCE):
            await self._together(entries[start : start + _AT_ONCE], self._create)

    async def checksum(self) -> Checksum:
        """Read everything anew, on a connection of its own."""
        found = Checksum()
        engine = await EtcdEngine.open(self._address)
        try:
            for entry in (await engine.list("/")).entries:
                found.add(entry.key, entry.data)
        finally:
            await engine.close()
        return found

    async def finish(self) -> None:
        """Let servers open it."""
        await etcd_note.write(self._address, Note(self._note.shift))

    async def close(self) -> None:
        """Leave etcd."""
        await self._engine.close()

    async def _create(self, entry: Entry) -> None:
        expires = entry.expires and max(entry.expires, SYSTEM.now() + _TIME_LEFT)
        try:
            await self._engine.create(entry.key, entry.data, expires)
        except KeyExists as error:
            if error.current.data != entry.data:
                raise StoreFailed(
                    f"{entry.key} is in etcd at {self._address} already, with another value:"
                    " remove what is there and begin anew"
                ) from None

    async def _delete(self, entry: Entry) -> None:
        await self._engine.delete(entry.key, entry.revision)

    async def _together(
        self, entries: Sequence[Entry], work: Callable[[Entry], Coroutine[None, None, None]]
    ) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for entry in entries:
                    group.create_task(work(entry), name=f"migrate: {entry.key}")
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None  # one reason is enough
