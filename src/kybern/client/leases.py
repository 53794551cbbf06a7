"""Leader election by a Lease.

In:   the name of a lease, our identity, and what to do while leading.
Out:  that work is run while, and only while, the lease is ours.
By:   cmd, for the scheduler and the controllers where several of them run.

The lease is judged by how long *we* have seen it unchanged, so clocks need not agree. The leader
gives up when it could not renew for `renew` seconds, which is before others may take over.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kybern.api import codec, errors
from kybern.api.coordination.v1 import Lease, LeaseSpec
from kybern.api.meta.v1 import ObjectMeta
from kybern.client.transport import Unreachable
from kybern.lib import logs
from kybern.lib.clock import rfc3339_micro

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from kybern.client.rest import Client

log = logs.get("client.leases")


class LostLease(Exception):
    """We are no longer the leader and have stopped leading."""


@dataclass(frozen=True, slots=True)
class Election:
    """Which lease, and how fast things go.

    Attributes:
        name: the Lease's name.
        identity: ours; different for every candidate.
        namespace: the Lease's namespace.
        duration: seconds after which others may take a lease that is not renewed.
        renew: seconds of failing to renew after which the leader steps down.
        retry: seconds between two attempts.
    """

    name: str
    identity: str
    namespace: str = "kube-system"
    duration: float = 15.0
    renew: float = 10.0
    retry: float = 2.0


class Elector:
    """One candidate."""

    def __init__(self, client: Client, election: Election) -> None:
        self._client = client
        self._clock = client.clock
        self._election = election
        self._observed: tuple[str | None, str | None] = (None, None)
        self._observed_at = 0.0

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Wait to be the leader, then lead until that returns.

        Raises:
            LostLease: the lease could not be renewed; `lead` was cancelled.
        """
        while not await self._try():
            await self._clock.sleep(self._election.retry)
        log.info("leading", lease=self._election.name, identity=self._election.identity)
        try:
            await self._lead(lead)
        except asyncio.CancelledError:
            await self._release()  # the next one need not wait until the lease runs out
            raise
        await self._release()

    async def _lead(self, lead: Callable[[], Awaitable[None]]) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                renewing = group.create_task(self._renew(), name="lease renewal")
                await lead()
                renewing.cancel()
        except* LostLease:
            raise LostLease(self._election.name) from None

    async def _renew(self) -> None:
        last = self._clock.monotonic()
        while True:
            await self._clock.sleep(self._election.retry)
            if await self._try():
                last = self._clock.monotonic()
            elif self._clock.monotonic() - last > self._election.renew:
                raise LostLease(self._election.name)

    async def _try(self) -> bool:
        try:
            async with asyncio.timeout(self._election.renew):
                return await self._take()
        except (errors.ApiError, Unreachable, TimeoutError) as error:
            log.debug("lease not taken", lease=self._election.name, reason=str(error))
            return False

    async def _take(self) -> bool:
        wanted = self._election
        now = rfc3339_micro(self._clock.now())
        try:
            lease = await self._client.get(Lease, wanted.name, wanted.namespace)
        except errors.NotFound:
            metadata = ObjectMeta(name=wanted.name, namespace=wanted.namespace)
            spec = self._spec(now, now, 0)
            await self._client.create(Lease(metadata=metadata, spec=spec))
            return True
        spec = lease.spec or LeaseSpec()
        mine = spec.holderIdentity == wanted.identity
        if not mine and spec.holderIdentity and not self._expired(spec):
            return False
        lease = codec.clone(lease)
        transitions = (spec.leaseTransitions or 0) + (0 if mine else 1)
        acquired = spec.acquireTime if mine and spec.acquireTime else now
        lease.spec = self._spec(acquired, now, transitions)
        await self._client.update(lease)
        return True

    def _expired(self, spec: LeaseSpec) -> bool:
        seen = (spec.holderIdentity, spec.renewTime)
        now = self._clock.monotonic()
        if seen != self._observed:
            self._observed, self._observed_at = seen, now
        patience = spec.leaseDurationSeconds or self._election.duration
        return now - self._observed_at > patience

    def _spec(self, acquired: str, renewed: str, transitions: int) -> LeaseSpec:
        return LeaseSpec(
            holderIdentity=self._election.identity,
            leaseDurationSeconds=int(self._election.duration),
            acquireTime=acquired,
            renewTime=renewed,
            leaseTransitions=transitions,
        )

    async def _release(self) -> None:
        wanted = self._election
        try:
            async with asyncio.timeout(self._election.retry):
                lease = await self._client.get(Lease, wanted.name, wanted.namespace)
                if lease.spec and lease.spec.holderIdentity == wanted.identity:
                    lease.spec.holderIdentity = ""
                    lease.spec.leaseDurationSeconds = 1
                    await self._client.update(lease)
        except (errors.ApiError, Unreachable, TimeoutError) as error:
            log.debug("lease not released", lease=wanted.name, reason=str(error))
