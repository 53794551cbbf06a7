"""What a namespace may use in all.

In:   objects to be created, and Services, claims and pods that change, with the namespace's quotas.
Out:  Forbidden when a quota is used up; else what the object uses is added to the quota's status.
By:   admission.plugins, last of all: what another plugin refuses must not be charged.

The status is written before the object is, so that two servers cannot both give away the last of a
quota. When the object is refused after all, the controller counts again and takes it back. A quota
that was never counted (no `status.hard`) stops nothing. Source: upstream's
`plugin/resourcequota/controller.go`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakValueDictionary

from kybern.api import errors
from kybern.api.core import quotas
from kybern.api.core.v1 import ResourceQuota
from kybern.api.quantity import ZERO, Quantity, parse
from kybern.apiserver.admission.looking import Lookup, named
from kybern.apiserver.registry.review import CREATE, UPDATE
from kybern.store.interface import Mismatch

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from kybern.apiserver.context import Services
    from kybern.apiserver.registry.resource import Resource
    from kybern.apiserver.registry.review import Review
    from kybern.store.interface import Entry

    Amounts = dict[str, Quantity]


class Bill(NamedTuple):
    """A quota that counts an object, and under which names."""

    entry: Entry
    quota: ResourceQuota
    names: set[str]


CHANGED = frozenset((("services", ""), ("persistentvolumeclaims", ""), ("pods", "resize")))
ATTEMPTS = 10
"""How often a quota is read again that somebody else has changed meanwhile."""


class ResourceQuotas:
    """Charges quotas."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._quotas = Lookup(services, ResourceQuota)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def handles(self, group: str, plural: str, subresource: str, operation: str) -> bool:
        """Want everything new, and what may come to use more than it did."""
        if operation == CREATE:
            return not subresource
        return operation == UPDATE and not group and (plural, subresource) in CHANGED

    def validate(self, review: Review) -> Awaitable[None] | None:
        """Charge the quotas that count the object, if there are any."""
        namespace = review.namespace
        if not namespace or not self._quotas.all(namespace):
            return None
        return self._charge(review, namespace)

    async def _charge(self, review: Review, namespace: str) -> None:
        lock = self._locks.get(namespace)
        if lock is None:
            lock = self._locks[namespace] = asyncio.Lock()
        async with lock:
            charged: set[str] = set()
            for _ in range(ATTEMPTS):
                bills = self._bills(review, self._read(namespace, charged))
                if review.ctx.dry_run or await self._pay(bills, charged):
                    return
                await self._services.store.fresh()  # another server was faster
        raise errors.Conflict.of(self._resource.kind, bills[0].quota.metadata.name or "")

    def _read(self, namespace: str, charged: set[str]) -> list[tuple[Entry, ResourceQuota]]:
        entries = self._services.store.list(self._quotas.key("", namespace)).entries
        return [(e, self._resource.decode(e)) for e in entries if e.key not in charged]

    def _bills(self, review: Review, found: list[tuple[Entry, ResourceQuota]]) -> list[Bill]:
        """Return what the quotas that count the object will show; refuse what is too much."""
        kind = review.resource.kind
        meter = quotas.meter(kind.group, kind.plural)
        bills = [
            Bill(entry, quota, names)
            for entry, quota in found
            if (names := meter.names((quota.status.hard or {}).keys()))
            and quotas.counts(meter, quotas.scopes(quota), review.obj)
        ]
        for bill in bills:
            missing = meter.missing(bill.names, review.obj)
            if missing:
                name = bill.quota.metadata.name
                raise _refused(review, f"failed quota: {name}: must specify {missing}")
            unknown = bill.names - (bill.quota.status.used or {}).keys()
            if unknown:
                listed = ",".join(sorted(bill.names))
                name = bill.quota.metadata.name
                raise _refused(review, f"status unknown for quota: {name}, resources: {listed}")
        more = self._more(review, meter) if bills else {}
        return [bill for bill in bills if _add(review, bill, more)]

    def _more(self, review: Review, meter: quotas.Meter) -> Amounts:
        """Return what the object uses, or how much more or less than it did."""
        now = self._services.clock.now()
        usage = meter.usage(review.obj, now)
        if review.operation == UPDATE:
            before = meter.usage(review.old, now)
            usage = {
                name: usage.get(name, ZERO) - before.get(name, ZERO)
                for name in usage.keys() | before.keys()
            }
        return {name: amount for name, amount in usage.items() if amount}

    async def _pay(self, bills: list[Bill], charged: set[str]) -> bool:
        """Write what is used; False when a quota is no longer what it was when it was read."""
        for bill in bills:
            data = self._resource.encode(bill.quota)
            try:
                await self._services.store.update(bill.entry.key, data, bill.entry)
            except Mismatch:
                return False
            charged.add(bill.entry.key)
        return True

    @property
    def _resource(self) -> Resource:
        found: Resource = self._services.resources.find("", "v1", "resourcequotas")
        return found


def _add(review: Review, bill: Bill, more: Amounts) -> bool:
    """Add to what a quota shows as used; False when that changes nothing.

    Raises:
        Forbidden: that would be more than there is.
    """
    status = bill.quota.status
    hard, used = status.hard or {}, status.used or {}
    asked = {name: more[name] for name in bill.names & more.keys()}
    after = {name: parse(used[name]) + amount for name, amount in asked.items()}
    exceeded = [n for n in sorted(asked) if asked[n] > ZERO and after[n] > parse(hard[n])]
    if exceeded:
        shown = (
            ",".join(f"{name}={amounts[name]}" for name in exceeded)
            for amounts in (asked, used, hard)
        )
        text = "exceeded quota: {}, requested: {}, used: {}, limited: {}"
        raise _refused(review, text.format(bill.quota.metadata.name, *shown))
    status.used = {**used, **{name: str(amount) for name, amount in after.items()}}
    return bool(asked)


def _refused(review: Review, why: str) -> errors.Forbidden:
    return errors.Forbidden.of(review.resource.kind, named(review), why)
