"""Leader election by a Lease.

In:   the name of a lease, our identity, and what to do while leading.
Out:  that work is run while, and only while, the lease is ours.
By:   cmd, for the scheduler and the controllers where several of them run.

The lease is judged by how long *we* have seen it unchanged, so clocks need not agree. The leader
gives up when it could not renew for `renew` seconds, which is before others may take over. Who
waits watches the lease: one that is given back is taken at once, one that runs out to the moment.
"""

from __future__ import annotations

import asyncio
import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kybern.api import codec, errors
from kybern.api.coordination.v1 import Lease, LeaseSpec
from kybern.api.meta.v1 import ObjectMeta
from kybern.client.transport import Unreachable
from kybern.client.watch import DELETED
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


class Turn(enum.Enum):
    """Whose turn it is, as far as we know."""

    OURS = "ours"
    THEIRS = "theirs"
    UNKNOWN = "unknown"  # the server does not answer, or somebody else wrote at the same time


class Elector:
    """One candidate."""

    def __init__(self, client: Client, election: Election) -> None:
        self._client = client
        self._clock = client.clock
        self._election = election
        self._lease: Lease | None = None
        """As we last saw or wrote it."""
        self._seen: tuple[str | None, str | None] = (None, None)
        self._seen_at = 0.0

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Wait to be the leader, then lead until that returns.

        Raises:
            LostLease: the lease could not be renewed; `lead` was cancelled.
        """
        while (turn := await self._try()) is not Turn.OURS:
            await self._wait(turn)
        log.info("leading", lease=self._election.name, identity=self._election.identity)
        try:
            await self._lead(lead)
        except LostLease:
            raise
        except BaseException:
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
            began = self._clock.monotonic()
            left = last + self._election.renew - began
            turn = await self._try(left) if left > 0 else Turn.UNKNOWN
            if turn is Turn.OURS:
                last = began
            elif turn is Turn.THEIRS or self._clock.monotonic() - last >= self._election.renew:
                raise LostLease(self._election.name)

    async def _wait(self, turn: Turn) -> None:
        """Wait until there may be something to take: not long, where we cannot know."""
        if turn is Turn.THEIRS and self._lease is not None and await self._watch(self._lease):
            return
        await self._clock.sleep(self._election.retry)

    async def _watch(self, lease: Lease) -> bool:
        """Wait until the lease is given back or has run out; False when it cannot be watched."""
        now = asyncio.get_running_loop().time
        try:
            async with (
                asyncio.timeout_at(now() + self._left(lease)) as limit,
                self._client.watch(
                    Lease, self._election.namespace, lease.metadata.resourceVersion or "",
                    field_selector=f"metadata.name={self._election.name}", bookmarks=False,
                ) as watch,
            ):  # fmt: skip
                async for event in watch:
                    self._lease = None if event.type == DELETED else event.object
                    if self._lease is None or self._is_free(self._lease):
                        return True
                    limit.reschedule(now() + self._left(self._lease))
        except TimeoutError:
            return True
        except (errors.ApiError, Unreachable) as error:
            log.debug("lease not watched", lease=self._election.name, reason=str(error))
            return False
        return False

    async def _try(self, patience: float = 0.0) -> Turn:
        try:
            async with asyncio.timeout(patience or self._election.renew):
                return await self._take()
        except (errors.ApiError, Unreachable, TimeoutError) as error:
            log.debug("lease not taken", lease=self._election.name, reason=str(error))
            self._lease = None  # it may have changed: ask again
            return Turn.UNKNOWN

    async def _take(self) -> Turn:
        wanted = self._election
        now = rfc3339_micro(self._clock.now())
        if self._lease is None or not self._is_ours(self._lease):
            try:
                self._lease = await self._client.get(Lease, wanted.name, wanted.namespace)
            except errors.NotFound:
                metadata = ObjectMeta(name=wanted.name, namespace=wanted.namespace)
                spec = self._spec(now, now, 0)
                self._lease = await self._client.create(Lease(metadata=metadata, spec=spec))
                return Turn.OURS
        spec = self._lease.spec or LeaseSpec()
        mine = self._is_ours(self._lease)
        if not mine and not self._is_free(self._lease):
            return Turn.THEIRS
        lease = codec.clone(self._lease)
        transitions = (spec.leaseTransitions or 0) + (0 if mine else 1)
        acquired = spec.acquireTime if mine and spec.acquireTime else now
        lease.spec = self._spec(acquired, now, transitions)
        self._lease = await self._client.update(lease)
        return Turn.OURS

    def _is_ours(self, lease: Lease) -> bool:
        return lease.spec is not None and lease.spec.holderIdentity == self._election.identity

    def _is_free(self, lease: Lease) -> bool:
        return not (lease.spec and lease.spec.holderIdentity) or self._left(lease) <= 0

    def _left(self, lease: Lease) -> float:
        """Return for how long others have to be patient with the holder."""
        spec = lease.spec or LeaseSpec()
        seen = (spec.holderIdentity, spec.renewTime)
        now = self._clock.monotonic()
        if seen != self._seen:
            self._seen, self._seen_at = seen, now
        patience = spec.leaseDurationSeconds or self._election.duration
        return self._seen_at + patience - now

    def _spec(self, acquired: str, renewed: str, transitions: int) -> LeaseSpec:
        return LeaseSpec(
            holderIdentity=self._election.identity,
            leaseDurationSeconds=max(1, int(self._election.duration)),
            acquireTime=acquired,
            renewTime=renewed,
            leaseTransitions=transitions,
        )

    async def _release(self) -> None:
        wanted = self._election
        try:
            async with asyncio.timeout(wanted.retry):
                lease = await self._client.get(Lease, wanted.name, wanted.namespace)
                if lease.spec and lease.spec.holderIdentity == wanted.identity:
                    lease.spec.holderIdentity = ""
                    lease.spec.leaseDurationSeconds = 1
                    await self._client.update(lease)
        except (errors.ApiError, Unreachable, TimeoutError) as error:
            log.debug("lease not released", lease=wanted.name, reason=str(error))
