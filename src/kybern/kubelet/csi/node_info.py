"""What the cluster is told of the drivers on this node: CSINode, and an annotation of the Node.

In:   drivers that came and went, and what they call this node.
Out:  the objects as upstream's kubelet writes them.
By:   plugins.py; agent.py makes the CSINode at the start.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any, Final

from kybern.api import codec
from kybern.api.core.v1 import Node
from kybern.api.errors import AlreadyExists, Conflict, NotFound
from kybern.api.meta.v1 import ObjectMeta, OwnerReference
from kybern.api.storage.v1 import (
    CSIDriver,
    CSINode,
    CSINodeDriver,
    CSINodeSpec,
    VolumeNodeResources,
)
from kybern.kubelet.volumes.content import VolumeProblem
from kybern.lib.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kybern.client.rest import Client
    from kybern.csi.messages import NodeGetInfoResponse
    from kybern.lib.clock import Clock

NODE_IDS: Final = "csi.volume.kubernetes.io/nodeid"
MIGRATED: Final = "storage.alpha.kubernetes.io/migrated-plugins"
# Kinds of volumes upstream has taken out in favour of drivers; it lists them on every node.
MIGRATED_PLUGINS: Final = (
    "kubernetes.io/aws-ebs,kubernetes.io/azure-disk,kubernetes.io/azure-file,kubernetes.io/cinder,"
    "kubernetes.io/gce-pd,kubernetes.io/portworx-volume,kubernetes.io/vsphere-volume"
)
MOST = (1 << 31) - 1
TRIES: Final = 4
AGAIN = Backoff(initial=0.01, factor=5.0, cap=2.0)


class NodeInfo:
    """Writes about one node; one write at a time."""

    def __init__(self, client: Client, clock: Clock, node: str) -> None:
        self._client = client
        self._clock = clock
        self._node = node
        self._lock = asyncio.Lock()

    async def ensure(self) -> None:
        """Make the node's CSINode unless there is one."""
        async with self._lock:
            await self._csi_node()

    async def period(self, driver: str) -> int:
        """Return after how many seconds a driver wants to be asked for its limit; 0 for never.

        Raises:
            ApiError, Unreachable: the cluster does not say.
        """
        try:
            found = await self._client.get(CSIDriver, driver)
        except NotFound:
            return 0
        return found.spec.nodeAllocatableUpdatePeriodSeconds or 0

    async def install(self, driver: str, info: NodeGetInfoResponse) -> None:
        """Tell what a driver said of this node.

        Raises:
            VolumeProblem: it gave no name to it, or a place the node is not at.
            ApiError, Unreachable: it could not be written.
        """
        if not info.node_id:
            raise VolumeProblem("error adding CSI driver node info: driverNodeID must not be empty")
        topology = info.accessible_topology.segments if info.accessible_topology else {}
        async with self._lock:
            await self._write_node(driver, info.node_id, topology)
            entry = CSINodeDriver(
                name=driver,
                nodeID=info.node_id,
                topologyKeys=sorted(topology) or None,
                allocatable=_limit(info.max_volumes_per_node),
            )
            await self._write_csi_node(lambda drivers: [*_others(drivers, driver), entry])

    async def uninstall(self, driver: str) -> None:
        """Tell that a driver is gone.

        Raises:
            ApiError, Unreachable: it could not be written.
        """
        async with self._lock:
            await self._write_csi_node(lambda drivers: _others(drivers, driver))
            await self._write_node(driver, "", {})

    async def _write_node(self, driver: str, node_id: str, topology: Mapping[str, str]) -> None:
        node = await self._client.get(Node, self._node)
        labels = node.metadata.labels or {}
        for key, value in topology.items():
            if labels.get(key, value) != value:
                raise VolumeProblem(
                    f'detected topology value collision: driver reported "{key}":"{value}" but '
                    f'existing label is "{key}":"{labels[key]}"'
                )
        before = (node.metadata.annotations or {}).get(NODE_IDS, "")
        ids = json.loads(before) if before else {}
        ids.pop(driver, None)
        if node_id:
            ids[driver] = node_id
        after = json.dumps(ids, separators=(",", ":"), sort_keys=True) if ids else None
        changes: dict[str, Any] = {}
        if after != (before or None):
            changes["annotations"] = {NODE_IDS: after}
        if missing := {k: v for k, v in topology.items() if k not in labels}:
            changes["labels"] = missing
        if changes:
            await self._client.patch(Node, self._node, "", {"metadata": changes})

    async def _write_csi_node(
        self, change: Callable[[list[CSINodeDriver]], list[CSINodeDriver]]
    ) -> None:
        for attempt in range(TRIES):
            ours = codec.clone(await self._csi_node())
            wanted = change(ours.spec.drivers)
            if _same(wanted, ours.spec.drivers):
                return
            ours.spec.drivers = wanted
            try:
                await self._client.update(ours)
            except (Conflict, NotFound):
                if attempt == TRIES - 1:
                    raise
                await self._clock.sleep(AGAIN.delay(attempt))
            else:
                return

    async def _csi_node(self) -> CSINode:
        node = await self._client.get(Node, self._node)
        owner = OwnerReference(
            apiVersion="v1", kind="Node", name=self._node, uid=node.metadata.uid or ""
        )
        with contextlib.suppress(NotFound):
            found = await self._client.get(CSINode, self._node)
            if owner.uid in {each.uid for each in found.metadata.ownerReferences or ()}:
                return found
            # It is of an earlier Node of this name, and goes the way of that one.
            await self._client.delete(CSINode, self._node, uid=found.metadata.uid)
        meta = ObjectMeta(
            name=self._node, ownerReferences=[owner], annotations={MIGRATED: MIGRATED_PLUGINS}
        )
        try:
            return await self._client.create(CSINode(metadata=meta, spec=CSINodeSpec(drivers=[])))
        except AlreadyExists:
            return await self._client.get(CSINode, self._node)


def _others(drivers: list[CSINodeDriver], name: str) -> list[CSINodeDriver]:
    return [driver for driver in drivers if driver.name != name]


def _same(one: list[CSINodeDriver], other: list[CSINodeDriver]) -> bool:
    by_name = {driver.name: driver for driver in other}
    return len(one) == len(other) and all(
        driver.name in by_name and codec.equal(driver, by_name[driver.name]) for driver in one
    )


def _limit(most: int) -> VolumeNodeResources | None:
    return VolumeNodeResources(count=min(most, MOST)) if most > 0 else None
