"""Whether a class of attributes needs its finalizer.

In:   a VolumeAttributesClass, and the names in use.
Out:  the finalizers it should have.
By:   vacprotection.controller. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kybern.api.core.v1 import PersistentVolume, PersistentVolumeClaim
    from kybern.api.storage.v1 import VolumeAttributesClass

FINALIZER = "kubernetes.io/vac-protection"


def finalizers(found: VolumeAttributesClass, *, used: bool) -> list[str]:
    """Return what should keep the class: ours until it is deleted and nobody uses it."""
    have = list(found.metadata.finalizers or ())
    if found.metadata.deletionTimestamp is None:
        return have if FINALIZER in have else [*have, FINALIZER]
    return have if used else [name for name in have if name != FINALIZER]


def named_by_claim(claim: PersistentVolumeClaim) -> list[str]:
    """Return the classes a claim has, wants, or is on its way to."""
    found = claim.status.modifyVolumeStatus
    names = {
        claim.spec.volumeAttributesClassName,
        claim.status.currentVolumeAttributesClassName,
        found.targetVolumeAttributesClassName if found is not None else None,
    }
    return sorted(name for name in names if name)


def named_by_volume(volume: PersistentVolume) -> list[str]:
    """Return the class a volume has."""
    name = volume.spec.volumeAttributesClassName
    return [name] if name else []
