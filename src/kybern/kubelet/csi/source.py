"""What a pod's volume is, to its driver.

In:   the volume of a pod; for a claim, also the claim and the volume bound to it.
Out:  a CsiVolume, and what CSI calls the way it is used.
By:   mounting.py, growing.py. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kybern.api import quantity
from kybern.api.core.v1 import SecretReference
from kybern.csi import messages as m
from kybern.csi.messages import AccessModeType, NodeRpc
from kybern.kubelet.csi.places import ephemeral_handle, unique_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kybern.api.core.v1 import (
        PersistentVolume,
        PersistentVolumeClaim,
        PersistentVolumeClaimVolumeSource,
        Pod,
        Volume,
    )

ONCE, ONCE_POD = "ReadWriteOnce", "ReadWriteOncePod"
MODES = {
    "ReadOnlyMany": AccessModeType.MULTI_NODE_READER_ONLY,
    "ReadWriteMany": AccessModeType.MULTI_NODE_MULTI_WRITER,
}


@dataclass(frozen=True, slots=True)
class CsiVolume:
    """One volume of one pod.

    Attributes:
        volume: its name in the pod.
        name: its name in paths and events: the persistent volume's, else that in the pod.
        driver: who makes it usable.
        handle: what the driver calls it.
        read_only: nobody may write to it.
        fs_type: the file system, if the user chose one.
        modes: access modes, as Kubernetes spells them.
        attributes: what the driver said about it when it was made.
        mount_options: for the driver's mount.
        stage_secret: for staging.
        publish_secret: for publishing.
        expand_secret: for growing.
        block: it is used as a device, not as a directory.
        ephemeral: it is made for the pod and goes with it.
        claim: the claim it was found through; None when it is ephemeral.
        size: bytes it has by now; 0 when that is not known.
    """

    volume: str
    name: str
    driver: str
    handle: str
    read_only: bool = False
    fs_type: str = ""
    modes: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    mount_options: tuple[str, ...] = ()
    stage_secret: SecretReference | None = None
    publish_secret: SecretReference | None = None
    expand_secret: SecretReference | None = None
    block: bool = False
    ephemeral: bool = False
    claim: PersistentVolumeClaim | None = None
    size: int = 0

    @property
    def unique(self) -> str:
        """What the volume is called in the Node's status."""
        return unique_name(self.handle, self.driver)


def of_pod(pod: Pod, volume: Volume) -> CsiVolume:
    """Return the volume that a pod spells out itself; `volume.csi` is set."""
    source = volume.csi
    assert source is not None
    secret = source.nodePublishSecretRef
    return CsiVolume(
        volume=volume.name,
        name=volume.name,
        driver=source.driver,
        handle=ephemeral_handle(pod.metadata.uid or "", volume.name),
        read_only=bool(source.readOnly),
        fs_type=source.fsType or "",
        modes=(ONCE,),
        attributes=source.volumeAttributes or {},
        publish_secret=(
            SecretReference(name=secret.name, namespace=pod.metadata.namespace)
            if secret is not None
            else None
        ),
        ephemeral=True,
    )


def of_claim(
    volume: str,
    asked: PersistentVolumeClaimVolumeSource | None,
    claim: PersistentVolumeClaim,
    bound: PersistentVolume,
) -> CsiVolume:
    """Return the volume bound to a claim; `bound.spec.csi` is set."""
    spec, source = bound.spec, bound.spec.csi
    assert source is not None
    capacity = (spec.capacity or {}).get("storage")
    return CsiVolume(
        volume=volume,
        name=bound.metadata.name or "",
        driver=source.driver,
        handle=source.volumeHandle,
        read_only=bool(source.readOnly or (asked is not None and asked.readOnly)),
        fs_type=source.fsType or "",
        modes=tuple(spec.accessModes or ()),
        attributes=source.volumeAttributes or {},
        mount_options=tuple(spec.mountOptions or ()),
        stage_secret=source.nodeStageSecretRef,
        publish_secret=source.nodePublishSecretRef,
        expand_secret=source.nodeExpandSecretRef,
        block=spec.volumeMode == "Block",
        claim=claim,
        size=quantity.to_value(capacity) if capacity else 0,
    )


def capability(volume: CsiVolume, rpcs: frozenset[int], group: int | None) -> m.VolumeCapability:
    """Return what CSI calls the way a volume is used.

    Args:
        volume: the volume.
        rpcs: what the driver's node service can do: NodeRpc values.
        group: to whom the files are to belong, when the driver sees to that.
    """
    mode = m.AccessMode(access_mode(volume.modes, rpcs))
    if volume.block:
        return m.VolumeCapability(block=m.BlockVolume(), access_mode=mode)
    mount = m.MountVolume(
        volume.fs_type, list(volume.mount_options), "" if group is None else str(group)
    )
    return m.VolumeCapability(mount=mount, access_mode=mode)


def access_mode(modes: tuple[str, ...], rpcs: frozenset[int]) -> int:
    """Return CSI's access mode: that of the first of a volume's modes.

    >>> access_mode(("ReadWriteOnce",), frozenset())
    1
    >>> access_mode(("ReadWriteOncePod",), frozenset({5}))
    6
    """
    first = modes[0] if modes else ONCE
    if first in MODES:
        return int(MODES[first])
    if NodeRpc.SINGLE_NODE_MULTI_WRITER not in rpcs:
        return int(AccessModeType.SINGLE_NODE_WRITER)
    if first == ONCE_POD:
        return int(AccessModeType.SINGLE_NODE_SINGLE_WRITER)
    return int(AccessModeType.SINGLE_NODE_MULTI_WRITER)
