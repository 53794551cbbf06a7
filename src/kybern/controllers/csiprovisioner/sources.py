"""What a new volume is filled with.

In:   a claim with a data source, and the snapshot or the claim that it names.
Out:  the content source for the driver; why it cannot be used.
By:   csiprovisioner.controller. Pure.

Source: external-provisioner's `pkg/controller/controller.go` (`getSnapshotSource`,
`getPVCSource`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from kybern.api.core.volume_matching import capacity_of, size_of
from kybern.csi.messages import ControllerRpc, SnapshotSource, VolumeContentSource, VolumeSource

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from kybern.api.core.v1 import PersistentVolume, PersistentVolumeClaim
    from kybern.api.snapshot.v1 import VolumeSnapshot, VolumeSnapshotContent

SNAPSHOT: Final = ("snapshot.storage.k8s.io", "VolumeSnapshot")
CLAIM: Final = ("", "PersistentVolumeClaim")
ANY_MODE: Final = "snapshot.storage.kubernetes.io/allow-volume-mode-change"
CLONING: Final = "provisioner.storage.kubernetes.io/cloning-protection"


class UnusableSourceError(Exception):
    """The source cannot be used, now or at all; the text says why."""


class Wanted(NamedTuple):
    """What a claim is to be filled with."""

    group: str
    kind: str
    name: str

    @property
    def is_snapshot(self) -> bool:
        """Whether it is a snapshot."""
        return (self.group, self.kind) == SNAPSHOT

    @property
    def is_claim(self) -> bool:
        """Whether it is another claim."""
        return (self.group, self.kind) == CLAIM


def wanted(claim: PersistentVolumeClaim) -> Wanted | None:
    """Return what a claim is to be filled with; None for an empty volume."""
    source = claim.spec.dataSourceRef or claim.spec.dataSource
    if source is None:
        return None
    return Wanted(source.apiGroup or "", source.kind, source.name)


def from_snapshot(
    claim: PersistentVolumeClaim,
    driver: str,
    snapshot: VolumeSnapshot | None,
    content: VolumeSnapshotContent | None,
) -> VolumeContentSource:
    """Return a snapshot as a source.

    Raises:
        UnusableSourceError: it is not there, not ready, of another driver, or larger.
    """
    name = getattr(wanted(claim), "name", "")
    if snapshot is None:
        raise UnusableSourceError(f"error getting snapshot {name} from api server: not found")
    if snapshot.metadata.deletionTimestamp is not None:
        raise UnusableSourceError(f"snapshot {name} is currently being deleted")
    bound = snapshot.status.boundVolumeSnapshotContentName
    if not bound or content is None:
        raise UnusableSourceError(f"snapshot {name} not bound")
    if not snapshot.status.readyToUse:
        raise UnusableSourceError(f"snapshot {name} is not Ready")
    reference = content.spec.volumeSnapshotRef
    if reference.uid != snapshot.metadata.uid or content.spec.driver != driver:
        raise UnusableSourceError(
            f"VolumeSnapshotContent {bound} cannot be used as a source for {name}: "
            "it belongs to another snapshot or driver"
        )
    if not content.status.snapshotHandle:
        raise UnusableSourceError(f"snapshot handle of {bound} is not available")
    size, asked = content.status.restoreSize or 0, size_of(claim).value
    if asked < size:
        raise UnusableSourceError(
            f"requested volume size {asked} is less than the size {size} for the source snapshot "
            f"{name}"
        )
    mode, of_source = claim.spec.volumeMode or "Filesystem", content.spec.sourceVolumeMode
    free = (content.metadata.annotations or {}).get(ANY_MODE) == "true"
    if of_source is not None and of_source != mode and not free:
        raise UnusableSourceError(
            f"requested volume {claim.metadata.namespace}/{claim.metadata.name} modifies the mode "
            f"of the source volume but does not have permission to do so. {ANY_MODE} annotation is "
            f"not present on snapshotcontent {bound}"
        )
    return VolumeContentSource(snapshot=SnapshotSource(content.status.snapshotHandle))


def from_claim(
    claim: PersistentVolumeClaim,
    driver: str,
    rpcs: AbstractSet[int],
    source: PersistentVolumeClaim | None,
    volume: PersistentVolume | None,
) -> VolumeContentSource:
    """Return another claim's volume as a source.

    Raises:
        UnusableSourceError: it is not there, not bound, of another driver, or larger.
    """
    name = getattr(wanted(claim), "name", "")
    if ControllerRpc.CLONE_VOLUME not in rpcs:
        raise UnusableSourceError("CSI driver does not support clone operations")
    if source is None:
        raise UnusableSourceError(
            f"error getting PVC {name} (namespace {claim.metadata.namespace}) from api server"
        )
    if source.metadata.deletionTimestamp is not None:
        raise UnusableSourceError(f"the PVC DataSource {name} is currently being deleted")
    if source.status.phase != "Bound" or volume is None:
        raise UnusableSourceError(f"the PVC DataSource {name} is not bound")
    if volume.spec.csi is None or volume.spec.csi.driver != driver:
        raise UnusableSourceError(
            f"the source volume of PVC {name} was not made by CSI driver {driver}"
        )
    if (source.spec.volumeMode or "Filesystem") != (claim.spec.volumeMode or "Filesystem"):
        raise UnusableSourceError(f"the source PVC {name} has another volume mode")
    asked, size = size_of(claim), capacity_of(volume)
    if asked < size:
        raise UnusableSourceError(
            "error, new PVC request must be greater than or equal in size to the specified PVC "
            f"data source, requested {asked.value} but source is {size.value}"
        )
    return VolumeContentSource(volume=VolumeSource(volume.spec.csi.volumeHandle))
