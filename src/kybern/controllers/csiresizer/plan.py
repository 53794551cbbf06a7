"""How a claim that asks for more gets it.

In:   a claim that is bound, its volume.
Out:  how large the volume is to be, and the objects to write on the way.
By:   csiresizer.controller. Pure.

What was asked of the driver is written down before it is asked (`allocatedResources`), so that a
claim whose wish is made smaller again gets at least what may have been done already.

Source: external-resizer's `pkg/controller/expand_and_recover.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kybern.api import codec
from kybern.api.core.v1 import PersistentVolumeClaimCondition
from kybern.api.core.volume_matching import capacity_of, size_of
from kybern.api.quantity import ZERO, Format, Quantity, from_value, parse
from kybern.lib.clock import rfc3339

if TYPE_CHECKING:
    from kybern.api.core.v1 import PersistentVolume, PersistentVolumeClaim

STORAGE: Final = "storage"
IN_PROGRESS: Final = "ControllerResizeInProgress"
INFEASIBLE: Final = "ControllerResizeInfeasible"
NODE_PENDING: Final = "NodeResizePending"
NODE: Final = (NODE_PENDING, "NodeResizeInProgress")
RESIZING: Final = "Resizing"
FILE_SYSTEM: Final = "FileSystemResizePending"
ERROR: Final = "ControllerResizeError"
WAITING: Final = (
    "Waiting for user to (re-)start a pod to finish file system resize of volume on node."
)


def wish(claim: PersistentVolumeClaim, volume: PersistentVolume) -> int:
    """Return how many bytes to ask the driver for; 0 when it has nothing to do."""
    if claim.status.phase != "Bound" or claim.metadata.deletionTimestamp is not None:
        return 0
    wanted, state = size_of(claim), state_of(claim)
    if wanted <= capacity_in_use(claim) and state not in (IN_PROGRESS, INFEASIBLE):
        return 0
    if state in NODE and capacity_of(volume) >= wanted:
        return 0  # it is the node's turn
    begun = _begun(claim)
    if state == IN_PROGRESS and begun > wanted:
        wanted = begun  # the driver may have done it
    # One that is large enough already is asked for once more: what it says about the node matters.
    return max(wanted, capacity_of(volume)).value


def capacity_in_use(claim: PersistentVolumeClaim) -> Quantity:
    """Return how much a claim says that it has."""
    text = (claim.status.capacity or {}).get(STORAGE)
    return parse(text) if text else ZERO


def _begun(claim: PersistentVolumeClaim) -> Quantity:
    text = (claim.status.allocatedResources or {}).get(STORAGE)
    return parse(text) if text else ZERO


def state_of(claim: PersistentVolumeClaim) -> str:
    """Return how far the growing of a claim is; "" for not begun."""
    return (claim.status.allocatedResourceStatuses or {}).get(STORAGE, "")


def begun(claim: PersistentVolumeClaim, size: int, now: float) -> PersistentVolumeClaim | None:
    """Return a claim for which the driver is about to be asked; None when it says so already."""
    if state_of(claim) == IN_PROGRESS and _begun(claim).value == size:
        return None
    mine = codec.clone(claim)
    status = mine.status
    text = from_value(size, Format.BINARY)
    status.allocatedResources = {**(status.allocatedResources or {}), STORAGE: text}
    _set_state(mine, IN_PROGRESS)
    _set_condition(mine, RESIZING, "", now, instead_of=(RESIZING, ERROR, FILE_SYSTEM))
    return mine


def grown(volume: PersistentVolume, size: int) -> PersistentVolume:
    """Return a volume that has grown."""
    mine = codec.clone(volume)
    mine.spec.capacity = {**(mine.spec.capacity or {}), STORAGE: from_value(size, Format.BINARY)}
    return mine


def handed_over(claim: PersistentVolumeClaim, now: float) -> PersistentVolumeClaim:
    """Return a claim whose node has to do the rest."""
    mine = codec.clone(claim)
    _set_state(mine, NODE_PENDING)
    _set_condition(mine, FILE_SYSTEM, WAITING, now, instead_of=(RESIZING, ERROR, FILE_SYSTEM))
    return mine


def finished(claim: PersistentVolumeClaim, volume: PersistentVolume) -> PersistentVolumeClaim:
    """Return a claim that has what it asked for."""
    mine = codec.clone(claim)
    status = mine.status
    size = (volume.spec.capacity or {}).get(STORAGE, "0")
    status.capacity = {**(status.capacity or {}), STORAGE: size}
    if status.allocatedResources:
        status.allocatedResources = {**status.allocatedResources, STORAGE: size}
    _set_state(mine, "")
    ours = (RESIZING, ERROR, FILE_SYSTEM)
    status.conditions = [c for c in status.conditions or () if c.type not in ours] or None
    return mine


def failed(
    claim: PersistentVolumeClaim, why: str, now: float, *, hopeless: bool
) -> PersistentVolumeClaim:
    """Return a claim that says why it has not grown.

    Args:
        claim: as it is.
        why: what the driver said.
        now: the time.
        hopeless: whether the driver said that it never will.
    """
    mine = codec.clone(claim)
    if hopeless:
        _set_state(mine, INFEASIBLE)
    _set_condition(mine, ERROR, why, now, instead_of=(RESIZING, ERROR))
    return mine


def _set_state(claim: PersistentVolumeClaim, state: str) -> None:
    states = dict(claim.status.allocatedResourceStatuses or {})
    states.pop(STORAGE, None)
    if state:
        states[STORAGE] = state
    claim.status.allocatedResourceStatuses = states or None


def _set_condition(
    claim: PersistentVolumeClaim, kind: str, text: str, now: float, *, instead_of: tuple[str, ...]
) -> None:
    conditions = claim.status.conditions or []
    same = next((c for c in conditions if c.type == kind and c.message == (text or None)), None)
    new = same or PersistentVolumeClaimCondition(
        type=kind, status="True", message=text or None, lastTransitionTime=rfc3339(now)
    )
    claim.status.conditions = [*(c for c in conditions if c.type not in instead_of), new]
