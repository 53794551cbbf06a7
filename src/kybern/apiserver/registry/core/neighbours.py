"""Cluster IPs and node ports that other API servers over the same store give out.

In:   the Services of the store, as they are written by whomever.
Out:  allocators that know of them; and which of two servers, that gave out the same number in the
      same moment, was first.
By:   app makes it, services.py asks it. A server which has its store to itself has none.

Before a number is chosen, everything written so far is looked at; so two servers can only collide
while neither has stored its Service. Then the one that is stored later learns of it with the answer
to its own write, since the store tells of writes in order, and is taken back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api import codec
from kybern.api.core.v1 import Service
from kybern.apiserver.registry.core.allocation import Taken
from kybern.apiserver.registry.core.services import addresses_of, ports_of
from kybern.lib import logs
from kybern.store.interface import DELETED, Compacted, WatcherTooSlow

if TYPE_CHECKING:
    from kybern.apiserver.registry.core.allocation import Allocators
    from kybern.apiserver.registry.core.services import ServiceClaim
    from kybern.store.interface import Entry, Event
    from kybern.store.objects import Store

log = logs.get("apiserver")

Number = str | int
"""An address or a port."""


class Neighbours:
    """Follows the Services; knows who has which number."""

    def __init__(self, store: Store, prefix: str, allocators: Allocators) -> None:
        self._store = store
        self._prefix = prefix
        self._allocators = allocators
        self._owners: dict[Number, str] = {}
        self._pending: dict[Number, ServiceClaim] = {}
        self._begin()

    async def run(self) -> None:
        """Follow for ever, so that what is to be looked at stays short."""
        while True:
            try:
                async for batch in self._watcher:
                    for event in batch:
                        self._take(event)
            except (WatcherTooSlow, Compacted):
                self._begin()
            else:
                return

    def catch_up(self) -> None:
        """Look at everything that was written so far."""
        while batch := self._watcher.take():
            for event in batch:
                self._take(event)

    def expect(self, claim: ServiceClaim) -> None:
        """Note that a Service with these numbers is about to be stored."""
        for number in claim.numbers:
            self._pending[number] = claim

    def settled(self, claim: ServiceClaim) -> set[Number]:
        """A Service was stored, or not: return which of its numbers another has."""
        self.catch_up()
        for number in claim.numbers:
            if self._pending.get(number) is claim:
                del self._pending[number]
        return {n for n in claim.numbers if self._owners.get(n, claim.key) != claim.key}

    def _begin(self) -> None:
        listing, self._watcher = self._store.snapshot_and_watch(self._prefix)
        self._owners = {}
        for entry in sorted(listing.entries, key=lambda entry: entry.revision):
            for number in _numbers(entry):
                self._owned(number, entry.key)

    def _take(self, event: Event) -> None:
        key = event.entry.key
        has = set() if event.type == DELETED else _numbers(event.entry)
        had = set() if event.previous is None else _numbers(event.previous)
        for number in had - has:
            if self._owners.get(number) == key:
                del self._owners[number]
                self._pool(number).release(number)
        for number in has - had:
            self._owned(number, key)

    def _owned(self, number: Number, key: str) -> None:
        owner = self._owners.setdefault(number, key)
        if owner != key:
            log.warning("two Services have the same number", number=number, one=owner, other=key)
        elif number not in self._pending:
            try:
                self._pool(number).take(number)
            except Taken:
                return  # it was ours already, or it is outside of the range

    def _pool(self, number: Number) -> Any:
        pools = self._allocators
        return pools.ports if isinstance(number, int) else pools.addresses


def _numbers(entry: Entry) -> set[Number]:
    spec = codec.decode(entry.held, Service).spec
    return {*addresses_of(spec), *ports_of(spec)}
