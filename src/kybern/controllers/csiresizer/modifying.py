"""How a volume gets the attributes of another class.

In:   a claim that is bound, and the VolumeAttributesClass it names.
Out:  the objects to write on the way.
By:   csiresizer.controller. Pure.

Source: external-resizer's `pkg/modifycontroller/modify_status.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kybern.api import codec
from kybern.api.core.v1 import ModifyVolumeStatus, PersistentVolumeClaimCondition
from kybern.lib.clock import rfc3339

if TYPE_CHECKING:
    from kybern.api.core.v1 import PersistentVolume, PersistentVolumeClaim

PENDING: Final = "Pending"
IN_PROGRESS: Final = "InProgress"
INFEASIBLE: Final = "Infeasible"
MODIFYING: Final = "ModifyingVolume"
ERROR: Final = "ModifyVolumeError"
OURS: Final = (MODIFYING, ERROR)


def target(claim: PersistentVolumeClaim) -> str:
    """Return the class a claim's volume has to be changed to; "" for none."""
    wanted = claim.spec.volumeAttributesClassName or ""
    if claim.status.phase != "Bound" or claim.metadata.deletionTimestamp is not None:
        return ""
    same = wanted == (claim.status.currentVolumeAttributesClassName or "")
    # Whoever goes back to what there was may find it half changed.
    return "" if same and claim.status.modifyVolumeStatus is None else wanted


def state_of(claim: PersistentVolumeClaim) -> tuple[str, str]:
    """Return which class was begun with, and how far that is."""
    found = claim.status.modifyVolumeStatus
    if found is None:
        return "", ""
    return found.targetVolumeAttributesClassName or "", found.status


def in_state(
    claim: PersistentVolumeClaim, name: str, state: str, why: str, now: float
) -> PersistentVolumeClaim | None:
    """Return a claim that says how far it is; None when it says so already."""
    mine = codec.clone(claim)
    found = ModifyVolumeStatus(targetVolumeAttributesClassName=name, status=state)
    mine.status.modifyVolumeStatus = found
    kind = ERROR if why else MODIFYING
    kept = [c for c in mine.status.conditions or () if c.type not in OURS]
    same = [c for c in claim.status.conditions or () if c.type == kind and (c.message or "") == why]
    new = same[0] if same else PersistentVolumeClaimCondition(
        type=kind, status="True", message=why or None, lastTransitionTime=rfc3339(now)
    )  # fmt: skip
    mine.status.conditions = [*kept, new]
    return None if codec.equal(mine.status, claim.status) else mine


def changed_volume(volume: PersistentVolume, name: str) -> PersistentVolume:
    """Return a volume that has the class's attributes."""
    mine = codec.clone(volume)
    mine.spec.volumeAttributesClassName = name
    return mine


def finished(claim: PersistentVolumeClaim, name: str) -> PersistentVolumeClaim:
    """Return a claim whose volume has them."""
    mine = codec.clone(claim)
    status = mine.status
    status.currentVolumeAttributesClassName = name
    status.modifyVolumeStatus = None
    status.conditions = [c for c in status.conditions or () if c.type not in OURS] or None
    return mine
