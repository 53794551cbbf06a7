"""What to do about a claim or volume of our class.

In:   a PersistentVolumeClaim or PersistentVolume, its class.
Out:  what has to be made, grown or removed, and the objects to write.
By:   localpath.controller. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kybern.api import codec
from kybern.api.core.v1 import (
    LocalVolumeSource,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    ObjectReference,
    PersistentVolume,
    PersistentVolumeClaimCondition,
    PersistentVolumeSpec,
    VolumeNodeAffinity,
)
from kybern.api.core.volume_matching import (
    PROVISIONED_BY,
    PROVISIONER,
    SELECTED_NODE,
    capacity_of,
    class_of,
    size_of,
)
from kybern.api.meta.v1 import ObjectMeta
from kybern.api.quantity import parse
from kybern.lib.clock import rfc3339

if TYPE_CHECKING:
    from kybern.api.core.v1 import Node, PersistentVolumeClaim
    from kybern.api.storage.v1 import StorageClass

NAME: Final = "kybern.io/local-path"
FINALIZER: Final = "external-provisioner.volume.kubernetes.io/finalizer"
NODE: Final = "kybern.io/node"  # annotation of a volume: where it is
PENDING: Final = "FileSystemResizePending"
WAITING: Final = (
    "Waiting for user to (re-)start a pod to finish file system resize of volume on node."
)
HOST_NAME: Final = "kubernetes.io/hostname"
ONE_NODE: Final = frozenset(("ReadWriteOnce", "ReadWriteOncePod"))


def is_ours(claim: PersistentVolumeClaim) -> bool:
    """Say whether a claim waits for us, or has its volume from us."""
    return (claim.metadata.annotations or {}).get(PROVISIONER) == NAME


def is_from_us(volume: PersistentVolume) -> bool:
    """Say whether we made a volume."""
    return (volume.metadata.annotations or {}).get(PROVISIONED_BY) == NAME


def volume_name(claim: PersistentVolumeClaim) -> str:
    """Return the name of a claim's volume: the same one however often it is made."""
    return f"pvc-{claim.metadata.uid}"


def refusal(claim: PersistentVolumeClaim) -> str:
    """Return why no volume can be made for a claim; "" when one can."""
    modes = set(claim.spec.accessModes or ())
    if not modes <= ONE_NODE:
        listed = ", ".join(sorted(modes - ONE_NODE))
        return f"local volumes are on one node: use ReadWriteOnce, not {listed}"
    if claim.spec.volumeMode == "Block":
        return "local volumes are directories: volumeMode Block is not supported"
    if claim.spec.selector is not None:
        return "claim Selector is not supported"
    source = claim.spec.dataSourceRef or claim.spec.dataSource
    if source is not None:
        return f"local volumes begin empty: dataSource {source.kind} {source.name} is not supported"
    return ""


def node_of(claim: PersistentVolumeClaim, nodes: list[Node]) -> str:
    """Return where to make a claim's volume; "" while that is not known.

    The scheduler says it, unless the class binds immediately: then any node will do.
    """
    selected = (claim.metadata.annotations or {}).get(SELECTED_NODE)
    if selected is not None:
        return selected
    free = [node.metadata.name or "" for node in nodes if not node.spec.unschedulable]
    return min(free, default="")


def new_volume(
    claim: PersistentVolumeClaim, found: StorageClass, node: Node, path: str
) -> PersistentVolume:
    """Return the volume for a claim, kept for it."""
    meta = claim.metadata
    name = (node.metadata.labels or {}).get(HOST_NAME) or node.metadata.name or ""
    requirement = NodeSelectorRequirement(key=HOST_NAME, operator="In", values=[name])
    term = NodeSelectorTerm(matchExpressions=[requirement])
    return PersistentVolume(
        metadata=ObjectMeta(
            name=volume_name(claim),
            annotations={PROVISIONED_BY: NAME, NODE: node.metadata.name or ""},
            finalizers=[FINALIZER],
        ),
        spec=PersistentVolumeSpec(
            accessModes=list(claim.spec.accessModes or ()),
            capacity={"storage": str(size_of(claim))},
            claimRef=ObjectReference(
                kind="PersistentVolumeClaim", apiVersion="v1", namespace=meta.namespace,
                name=meta.name, uid=meta.uid, resourceVersion=meta.resourceVersion,
            ),
            local=LocalVolumeSource(path=path),
            mountOptions=found.mountOptions,
            nodeAffinity=VolumeNodeAffinity(required=NodeSelector(nodeSelectorTerms=[term])),
            persistentVolumeReclaimPolicy=found.reclaimPolicy or "Delete",
            storageClassName=class_of(claim),
            volumeMode="Filesystem",
        ),
    )  # fmt: skip


def is_to_grow(claim: PersistentVolumeClaim, volume: PersistentVolume) -> bool:
    """Say whether a claim asks for more than it or its volume has."""
    if claim.status.phase != "Bound":
        return False
    has = parse((claim.status.capacity or {}).get("storage", "0"))
    return size_of(claim) > min(has, capacity_of(volume))


def grown_volume(volume: PersistentVolume, size: str) -> PersistentVolume:
    """Return a volume of another size."""
    mine = codec.clone(volume)
    mine.spec.capacity = {**(mine.spec.capacity or {}), "storage": size}
    return mine


def grown_claim(claim: PersistentVolumeClaim, size: str) -> PersistentVolumeClaim:
    """Return a claim that has got what it asked for."""
    mine = codec.clone(claim)
    mine.status.capacity = {**(mine.status.capacity or {}), "storage": size}
    kept = [c for c in mine.status.conditions or () if c.type != PENDING]
    mine.status.conditions = kept or None
    return mine


def is_pending(claim: PersistentVolumeClaim) -> bool:
    """Say whether a claim says already that it waits for its pods to go."""
    return any(each.type == PENDING for each in claim.status.conditions or ())


def pending_claim(claim: PersistentVolumeClaim, now: float) -> PersistentVolumeClaim:
    """Return a claim that says so."""
    mine = codec.clone(claim)
    waits = PersistentVolumeClaimCondition(
        type=PENDING, status="True", lastTransitionTime=rfc3339(now),
        message=WAITING,
    )  # fmt: skip
    mine.status.conditions = [*(mine.status.conditions or ()), waits]
    return mine


def is_to_delete(volume: PersistentVolume) -> bool:
    """Say whether a volume has to go because its claim is gone."""
    return (
        volume.metadata.deletionTimestamp is None
        and volume.status.phase == "Released"
        and volume.spec.persistentVolumeReclaimPolicy == "Delete"
    )


def is_to_clear(volume: PersistentVolume) -> bool:
    """Say whether a volume that was deleted still waits for us."""
    return (
        volume.metadata.deletionTimestamp is not None
        and FINALIZER in (volume.metadata.finalizers or ())
        and volume.status.phase != "Bound"
    )


def without_finalizer(volume: PersistentVolume) -> PersistentVolume:
    """Return a volume that we let go."""
    mine = codec.clone(volume)
    mine.metadata.finalizers = [f for f in mine.metadata.finalizers or () if f != FINALIZER] or None
    return mine
