"""The node's heartbeat: a Lease renewed every few seconds.

In:   the Node's name and uid.
Out:  the Lease `kube-node-lease/<node>`, renewed.
By:   agent.py.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kybern.api.coordination.v1 import Lease, LeaseSpec
from kybern.api.errors import ApiError, Conflict, NotFound
from kybern.api.meta.v1 import ObjectMeta, OwnerReference
from kybern.client.transport import Unreachable
from kybern.lib import logs
from kybern.lib.clock import rfc3339_micro

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.client.rest import Client
    from kybern.lib.clock import Clock

log = logs.get("kubelet.node")
NAMESPACE = "kube-node-lease"
RENEWALS = 4  # in the time after which the node counts as dead
SOON = 1.0
PATIENCE = 10.0  # for an answer; a connection may be dead without a word


class Heartbeat:
    """Renews the Lease; a lost one is made again."""

    def __init__(
        self, client: Client, clock: Clock, node: str, uid: Callable[[], str], seconds: int
    ) -> None:
        """`seconds` after a renewal the node may be counted as dead."""
        self._client = client
        self._clock = clock
        self._node = node
        self._uid = uid
        self._seconds = seconds
        self._lease: Lease | None = None

    async def run(self) -> None:
        """Renew for ever."""
        interval = self._seconds / RENEWALS
        while True:
            try:
                async with asyncio.timeout(min(PATIENCE, self._seconds)):
                    await self.renew()
                pause = interval
            except (Unreachable, ApiError, TimeoutError) as error:
                log.warning("heartbeat failed", node=self._node, why=str(error) or "no answer")
                self._lease = None
                pause = min(SOON, interval)
            await self._clock.sleep(pause)

    async def renew(self) -> None:
        """Renew once."""
        now = rfc3339_micro(self._clock.now())
        if self._lease is None:
            self._lease = await self._find()
        if self._lease is None:
            self._lease = await self._client.create(self._new(now))
            return
        self._lease.spec.renewTime = now
        self._lease.spec.holderIdentity = self._node
        self._lease.spec.leaseDurationSeconds = self._seconds
        try:
            self._lease = await self._client.update(self._lease)
        except (Conflict, NotFound):
            self._lease = None
            await self.renew()

    async def _find(self) -> Lease | None:
        try:
            return await self._client.get(Lease, self._node, NAMESPACE)
        except NotFound:
            return None

    def _new(self, now: str) -> Lease:
        uid = self._uid()
        owner = OwnerReference(apiVersion="v1", kind="Node", name=self._node, uid=uid)
        return Lease(
            metadata=ObjectMeta(
                name=self._node, namespace=NAMESPACE, ownerReferences=[owner] if uid else None
            ),
            spec=LeaseSpec(
                holderIdentity=self._node, leaseDurationSeconds=self._seconds, renewTime=now
            ),
        )
