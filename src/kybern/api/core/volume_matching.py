"""Which volume suits a claim.

In:   a PersistentVolumeClaim and PersistentVolumes.
Out:  whether one will do, and the best of several.
By:   the volume binder; the scheduler, for claims that wait for their first consumer. Pure.

Source: upstream's `component-helpers/storage/volume/helpers.go` and
`pkg/controller/volume/persistentvolume/index.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kybern.api import selectors
from kybern.api.quantity import ZERO, Quantity, parse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.api.core.v1 import PersistentVolume, PersistentVolumeClaim

COMPLETED: Final = "pv.kubernetes.io/bind-completed"
BY_CONTROLLER: Final = "pv.kubernetes.io/bound-by-controller"
PROVISIONED_BY: Final = "pv.kubernetes.io/provisioned-by"
SELECTED_NODE: Final = "volume.kubernetes.io/selected-node"
PROVISIONER: Final = "volume.kubernetes.io/storage-provisioner"
OLD_PROVISIONER: Final = "volume.beta.kubernetes.io/storage-provisioner"
OLD_CLASS: Final = "volume.beta.kubernetes.io/storage-class"
WAITS: Final = "WaitForFirstConsumer"
NO_PROVISIONER: Final = "kubernetes.io/no-provisioner"


def class_of(obj: PersistentVolumeClaim | PersistentVolume) -> str:
    """Return the storage class of a claim or volume; "" for none."""
    old = (obj.metadata.annotations or {}).get(OLD_CLASS)
    return obj.spec.storageClassName or "" if old is None else old


def size_of(claim: PersistentVolumeClaim) -> Quantity:
    """Return how much a claim asks for."""
    requests = (claim.spec.resources and claim.spec.resources.requests) or {}
    return parse(requests["storage"]) if "storage" in requests else ZERO


def capacity_of(volume: PersistentVolume) -> Quantity:
    """Return how much a volume holds."""
    capacity = volume.spec.capacity or {}
    return parse(capacity["storage"]) if "storage" in capacity else ZERO


def refers_to(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    """Say whether a volume is kept for a claim: by name, and by uid if it says one."""
    reference = volume.spec.claimRef
    if reference is None:
        return False
    meta = claim.metadata
    if (reference.namespace or "", reference.name or "") != (meta.namespace, meta.name):
        return False
    return not reference.uid or reference.uid == meta.uid


def mismatch(volume: PersistentVolume, claim: PersistentVolumeClaim) -> str:
    """Return why a volume that was named does not do for a claim; "" when it does."""
    if capacity_of(volume) < size_of(claim):
        return "requested PV is too small"
    if class_of(volume) != class_of(claim):
        return "storageClassName does not match"
    if _mode(volume) != _mode(claim):
        return "incompatible volumeMode"
    if not _has_modes(volume, claim):
        return "incompatible accessMode"
    if _attributes(volume) != _attributes(claim):
        return "volumeAttributesClassName does not match"
    return ""


def suitable(
    claim: PersistentVolumeClaim, volumes: Iterable[PersistentVolume], *, only_named: bool = False
) -> list[PersistentVolume]:
    """Return the volumes that will do for a claim: one that is kept for it, or all that are free.

    Args:
        claim: the claim, without a volume.
        volumes: all there are.
        only_named: whether only a volume that names the claim will do.
    """
    found = []
    selector = selectors.from_struct(claim.spec.selector) if claim.spec.selector else None
    for volume in volumes:
        if _mode(volume) != _mode(claim) or not _has_modes(volume, claim):
            continue
        if volume.spec.claimRef is not None:
            if refers_to(volume, claim):
                return [volume]
            continue
        if only_named or volume.metadata.deletionTimestamp is not None:
            continue
        if volume.status.phase not in (None, "", "Available", "Pending"):
            continue
        if not mismatch(volume, claim) and (
            selector is None or selector.matches(volume.metadata.labels)
        ):
            found.append(volume)
    return found


def best(
    claim: PersistentVolumeClaim, volumes: Iterable[PersistentVolume], *, only_named: bool = False
) -> PersistentVolume | None:
    """Return the volume for a claim: the one that is kept for it, or the smallest that will do."""
    return min(suitable(claim, volumes, only_named=only_named), key=_order, default=None)


def _order(volume: PersistentVolume) -> tuple[Quantity, int, str]:
    # Of two with the same size the one with fewer modes: others may need the further ones.
    return capacity_of(volume), len(volume.spec.accessModes or ()), volume.metadata.name or ""


def _mode(obj: PersistentVolumeClaim | PersistentVolume) -> str:
    return obj.spec.volumeMode or "Filesystem"


def _has_modes(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    return set(claim.spec.accessModes or ()) <= set(volume.spec.accessModes or ())


def _attributes(obj: PersistentVolumeClaim | PersistentVolume) -> str:
    return obj.spec.volumeAttributesClassName or ""
