"""The node's part when a claim grows: the file system follows its volume.

In:   a published volume that is larger than its claim says.
Out:  a file system as large, and a claim that says so; or an event.
By:   volumes.py, each time it looks at a pod's volumes; a change of the claim makes it look.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api import codec, quantity
from kybern.api.core.v1 import PersistentVolumeClaim
from kybern.api.errors import ApiError
from kybern.client.events import reference
from kybern.client.transport import Unreachable
from kybern.csi import messages as m
from kybern.csi.client import CsiError
from kybern.csi.messages import NodeRpc
from kybern.kubelet.csi import credentials
from kybern.kubelet.csi.source import capability
from kybern.kubelet.volumes.content import VolumeProblem
from kybern.lib import logs
from kybern.lib.backoff import Backoff

if TYPE_CHECKING:
    from kybern.api.core.v1 import Pod
    from kybern.client.events import Recorder
    from kybern.client.rest import Client
    from kybern.kubelet.csi.drivers import Drivers
    from kybern.kubelet.csi.source import CsiVolume
    from kybern.lib.clock import Clock

log = logs.get("kubelet.csi")
PENDING, IN_PROGRESS, INFEASIBLE = (
    "NodeResizePending",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
)
FS_PENDING = "FileSystemResizePending"
OVER = (FS_PENDING, "Resizing", "NodeResizeError")
HOPELESS = frozenset(("INVALID_ARGUMENT", "OUT_OF_RANGE", "NOT_FOUND"))
AGAIN = Backoff(initial=0.5, factor=2.0, cap=122.0)


class Growing:
    """Lets file systems grow."""

    def __init__(
        self, node: str, client: Client, drivers: Drivers, recorder: Recorder, clock: Clock
    ) -> None:
        self._node = node
        self._client = client
        self._drivers = drivers
        self._recorder = recorder
        self._clock = clock
        self._failed: dict[str, int] = {}

    async def follow(self, pod: Pod, volume: CsiVolume, target: str, staging: str) -> float:
        """Let a file system grow if it is to; return when to try again, 0 for never."""
        if not is_due(volume) or volume.claim is None:
            self._failed.pop(volume.unique, None)
            return 0.0
        try:
            await self._expand(volume, target, staging)
            await self._finish(volume.claim, volume.size)
        except (CsiError, VolumeProblem) as problem:
            said = f'MountVolume.NodeExpandVolume failed for volume "{volume.name}" : {problem}'
            self._tell(pod, volume, "Warning", "VolumeResizeFailed", said)
            if isinstance(problem, CsiError) and problem.code in HOPELESS:
                await self._give_up(volume.claim)
                return 0.0
        except (ApiError, Unreachable) as error:
            log.warning("claim not updated", volume=volume.name, why=str(error))
        else:
            self._failed.pop(volume.unique, None)
            said = f'MountVolume.NodeExpandVolume succeeded for volume "{volume.name}" {self._node}'
            self._tell(pod, volume, "Normal", "FileSystemResizeSuccessful", said)
            return 0.0
        failed = self._failed[volume.unique] = self._failed.get(volume.unique, 0) + 1
        return self._clock.now() + AGAIN.delay(failed - 1)

    async def _expand(self, volume: CsiVolume, target: str, staging: str) -> None:
        driver = await self._drivers.get(volume.driver)
        rpcs = await driver.rpcs()
        if NodeRpc.EXPAND_VOLUME not in rpcs:
            raise VolumeProblem(
                "Expander.NodeExpand found CSI plugin kubernetes.io/csi/"
                f"{volume.driver} to not support node expansion"
            )
        await driver.csi.node_expand_volume(
            m.NodeExpandVolumeRequest(
                volume_id=volume.handle,
                volume_path=target,
                staging_target_path=staging,
                capacity_range=m.CapacityRange(required_bytes=volume.size),
                volume_capability=capability(volume, rpcs, None),
                secrets=await credentials.secrets(
                    self._client, volume.expand_secret, "NodeExpandSecretRef"
                ),
            )
        )

    async def _finish(self, claim: PersistentVolumeClaim, size: int) -> None:
        left = [c for c in claim.status.conditions or () if c.type not in OVER]
        await self._patch(
            claim,
            {
                "capacity": {"storage": quantity.canonical(_quantity(size))},
                "conditions": [codec.to_tree(c) for c in left] or None,
                "allocatedResourceStatuses": {"storage": None},
            },
        )

    async def _give_up(self, claim: PersistentVolumeClaim) -> None:
        try:
            await self._patch(claim, {"allocatedResourceStatuses": {"storage": INFEASIBLE}})
        except (ApiError, Unreachable) as error:
            log.warning("claim not updated", claim=claim.metadata.name, why=str(error))

    async def _patch(self, claim: PersistentVolumeClaim, status: dict[str, Any]) -> None:
        meta = claim.metadata
        # What is read here is what was decided on: whoever wrote in between makes us look again.
        body = {"metadata": {"resourceVersion": meta.resourceVersion}, "status": status}
        await self._client.patch(
            PersistentVolumeClaim, meta.name or "", meta.namespace or "", body, subresource="status"
        )

    def _tell(self, pod: Pod, volume: CsiVolume, kind: str, reason: str, said: str) -> None:
        self._recorder.event(reference(pod), kind, reason, said)
        if volume.claim is not None:
            self._recorder.event(reference(volume.claim), kind, reason, said)


def is_due(volume: CsiVolume) -> bool:
    """Say whether the node has to do its part: the controller has asked for it."""
    claim = volume.claim
    if claim is None or volume.read_only or not volume.size:
        return False
    status = claim.status
    has = (status.capacity or {}).get("storage")
    if has is None or quantity.to_value(has) >= volume.size:
        return False
    state = (status.allocatedResourceStatuses or {}).get("storage")
    if state is not None:
        return state in (PENDING, IN_PROGRESS)
    return any(c.type == FS_PENDING and c.status == "True" for c in status.conditions or ())


def _quantity(size: int) -> str:
    for power, unit in ((40, "Ti"), (30, "Gi"), (20, "Mi"), (10, "Ki")):
        if size and size % (1 << power) == 0:
            return f"{size >> power}{unit}"
    return str(size)
