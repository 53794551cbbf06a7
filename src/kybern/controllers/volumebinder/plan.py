"""The next step for one claim or one volume.

In:   a claim or volume, and what there is beside it.
Out:  a `Step`: at most one object to write, and one event.
By:   volumebinder.controller, again and again until there is nothing to do. Pure.

Binding takes four writes, in this order: the volume names the claim, the volume is Bound, the
claim names the volume, the claim is Bound. Whatever happens in between, the next look goes on from
there. Source: upstream's `pkg/controller/volume/persistentvolume/pv_controller.go`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from kybern.api import codec
from kybern.api.core.v1 import ObjectReference
from kybern.api.core.volume_matching import (
    BY_CONTROLLER,
    COMPLETED,
    NO_PROVISIONER,
    OLD_PROVISIONER,
    PROVISIONED_BY,
    PROVISIONER,
    SELECTED_NODE,
    WAITS,
    best,
    class_of,
    mismatch,
    refers_to,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kybern.api.core.v1 import PersistentVolume, PersistentVolumeClaim, Pod
    from kybern.api.storage.v1 import StorageClass

WAITING = (
    "Waiting for a volume to be created either by the external provisioner '{}' or manually by the "
    "system administrator. If volume creation is delayed, please verify that the provisioner is "
    "running and correctly registered."
)
FIRST_CONSUMER = "waiting for first consumer to be created before binding"
NO_VOLUME = "no persistent volumes available for this claim and no storage class is set"
LOST_REFERENCE = "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!"
LOST_VOLUME = "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
MISBOUND = "Two claims are bound to the same volume, this one is bound incorrectly"
BUSY = 'volume "{}" already bound to a different claim.'


class Told(NamedTuple):
    """An event about the object that was looked at."""

    type: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Step:
    """What to do next; nothing when all is empty."""

    write: Any = None
    """A claim or volume, changed."""
    status: Any = None
    """A claim or volume whose status is changed."""
    told: Told | None = None


NOTHING = Step()


class Around(NamedTuple):
    """What there is beside a claim."""

    volumes: Sequence[PersistentVolume]
    storage_class: Callable[[str], StorageClass | None]
    volume: Callable[[str], PersistentVolume | None]
    consumers: Sequence[Pod]
    """Pods that use the claim."""


def for_claim(claim: PersistentVolumeClaim, around: Around) -> Step:
    """Return the next step for a claim."""
    if COMPLETED in (claim.metadata.annotations or {}):
        return _bound_claim(claim, around)
    if claim.metadata.deletionTimestamp is not None and not claim.spec.volumeName:
        return NOTHING
    if claim.spec.volumeName:
        return _named_claim(claim, around)
    waits = _waits(claim, around)
    volume = best(claim, around.volumes, only_named=waits)
    if volume is not None:
        problem = mismatch(volume, claim) if volume.spec.claimRef is not None else ""
        if problem:
            return _pending(claim, Told("Warning", "VolumeMismatch", _refused(volume, problem)))
        return _bind(volume, claim)
    if waits:
        return _pending(claim, _wait_told(around.consumers))
    name = class_of(claim)
    if not name:
        return _pending(claim, Told("Normal", "FailedBinding", NO_VOLUME))
    return _provision(claim, name, around)


def _bound_claim(claim: PersistentVolumeClaim, around: Around) -> Step:
    if not claim.spec.volumeName:
        return _lost(claim, "ClaimLost", LOST_REFERENCE)
    volume = around.volume(claim.spec.volumeName)
    if volume is None:
        return _lost(claim, "ClaimLost", LOST_VOLUME)
    reference = volume.spec.claimRef
    if reference is None or (refers_to(volume, claim) and reference.uid):
        return _bind(volume, claim)
    return _lost(claim, "ClaimMisbound", MISBOUND)


def _named_claim(claim: PersistentVolumeClaim, around: Around) -> Step:
    """A claim whose user chose the volume."""
    volume = around.volume(claim.spec.volumeName or "")
    if volume is None:
        return _pending(claim)
    if volume.spec.claimRef is None:
        problem = mismatch(volume, claim)
        if problem:
            return _pending(claim, Told("Warning", "VolumeMismatch", _refused(volume, problem)))
        return _bind(volume, claim)
    if refers_to(volume, claim):
        return _bind(volume, claim)
    busy = Told("Warning", "FailedBinding", BUSY.format(volume.metadata.name))
    return _pending(claim, busy)


def _provision(claim: PersistentVolumeClaim, name: str, around: Around) -> Step:
    found = around.storage_class(name)
    if found is None:
        missing = f'storageclass.storage.k8s.io "{name}" not found'
        return _pending(claim, Told("Warning", "ProvisioningFailed", missing))
    provisioner = found.provisioner
    if provisioner == NO_PROVISIONER:
        return _pending(claim, Told("Normal", "FailedBinding", NO_VOLUME.split(" and")[0]))
    annotations = claim.metadata.annotations or {}
    if annotations.get(PROVISIONER) != provisioner:
        mine = codec.clone(claim)
        mine.metadata.annotations = {
            **annotations, PROVISIONER: provisioner, OLD_PROVISIONER: provisioner,
        }  # fmt: skip
        return Step(write=mine)
    return _pending(claim, Told("Normal", "ExternalProvisioning", WAITING.format(provisioner)))


def _waits(claim: PersistentVolumeClaim, around: Around) -> bool:
    """Say whether a claim gets no volume before its pod has a node."""
    if SELECTED_NODE in (claim.metadata.annotations or {}):
        return False
    found = around.storage_class(class_of(claim))
    return found is not None and found.volumeBindingMode == WAITS


def _wait_told(consumers: Sequence[Pod]) -> Told:
    if not consumers:
        return Told("Normal", "WaitForFirstConsumer", FIRST_CONSUMER)
    names = ",".join(sorted(pod.metadata.name or "" for pod in consumers))
    noun = "pod" if len(consumers) == 1 else "pods"
    return Told("Normal", "WaitForPodScheduled", f"waiting for {noun} {names} to be scheduled")


def _refused(volume: PersistentVolume, problem: str) -> str:
    return f'Cannot bind to requested volume "{volume.metadata.name}": {problem}'


def _pending(claim: PersistentVolumeClaim, told: Told | None = None) -> Step:
    if claim.status.phase == "Pending":
        return Step(told=told)
    mine = codec.clone(claim)
    mine.status.phase = "Pending"
    return Step(status=mine, told=told)


def _lost(claim: PersistentVolumeClaim, reason: str, message: str) -> Step:
    if claim.status.phase == "Lost":
        return NOTHING
    mine = codec.clone(claim)
    mine.status.phase, mine.status.accessModes, mine.status.capacity = "Lost", None, None
    return Step(status=mine, told=Told("Warning", reason, message))


def _bind(volume: PersistentVolume, claim: PersistentVolumeClaim) -> Step:
    """Return the next of the four writes."""
    reference = volume.spec.claimRef
    if reference is None or not reference.uid:
        return Step(write=_claimed(volume, claim))
    if volume.status.phase != "Bound":
        mine = codec.clone(volume)
        mine.status.phase = "Bound"
        return Step(status=mine)
    annotations = claim.metadata.annotations or {}
    if claim.spec.volumeName != volume.metadata.name or COMPLETED not in annotations:
        return Step(write=_with_volume(claim, volume))
    return _claim_is_bound(claim, volume)


def _claimed(volume: PersistentVolume, claim: PersistentVolumeClaim) -> PersistentVolume:
    mine = codec.clone(volume)
    if mine.spec.claimRef is None:
        # so that it is known who chose the claim, and the volume can be given back
        mine.metadata.annotations = {**(mine.metadata.annotations or {}), BY_CONTROLLER: "yes"}
    mine.spec.claimRef = ObjectReference(
        kind="PersistentVolumeClaim", apiVersion="v1", namespace=claim.metadata.namespace,
        name=claim.metadata.name, uid=claim.metadata.uid,
        resourceVersion=claim.metadata.resourceVersion,
    )  # fmt: skip
    return mine


def _with_volume(claim: PersistentVolumeClaim, volume: PersistentVolume) -> PersistentVolumeClaim:
    mine = codec.clone(claim)
    annotations = {**(mine.metadata.annotations or {}), COMPLETED: "yes"}
    if mine.spec.volumeName != volume.metadata.name:
        annotations[BY_CONTROLLER] = "yes"
    mine.metadata.annotations = annotations
    mine.spec.volumeName = volume.metadata.name
    return mine


def _claim_is_bound(claim: PersistentVolumeClaim, volume: PersistentVolume) -> Step:
    mine = codec.clone(claim)
    status = mine.status
    if status.phase != "Bound":
        status.capacity = dict(volume.spec.capacity or {})
    status.phase = "Bound"
    status.accessModes = list(volume.spec.accessModes or ()) or None
    status.currentVolumeAttributesClassName = volume.spec.volumeAttributesClassName
    return NOTHING if codec.equal(status, claim.status) else Step(status=mine)


# --- volumes ------------------------------------------------------------------------------------


def for_volume(volume: PersistentVolume, claim: PersistentVolumeClaim | None) -> Step:
    """Return the next step for a volume; `claim` is the one of the name it refers to."""
    reference = volume.spec.claimRef
    if reference is None or not reference.uid:
        return _phase(volume, "Available")
    if claim is None or claim.metadata.uid != reference.uid:
        return _released(volume)
    if not claim.spec.volumeName:
        return NOTHING  # binding goes on from the claim
    if claim.spec.volumeName == volume.metadata.name:
        return _phase(volume, "Bound")
    if PROVISIONED_BY in (volume.metadata.annotations or {}) and _policy(volume) == "Delete":
        return _released(volume)  # it was made for this claim, which got another one
    return _given_back(volume)


def _given_back(volume: PersistentVolume) -> Step:
    """A volume whose claim has another one: it is free again."""
    mine = codec.clone(volume)
    annotations = dict(mine.metadata.annotations or {})
    if annotations.pop(BY_CONTROLLER, None) is not None:
        mine.spec.claimRef = None
        mine.metadata.annotations = annotations or None
    elif mine.spec.claimRef is not None:
        mine.spec.claimRef.uid = mine.spec.claimRef.resourceVersion = None
    return Step(write=mine)


def _released(volume: PersistentVolume) -> Step:
    if volume.status.phase not in ("Released", "Failed"):
        return _phase(volume, "Released")
    if _policy(volume) == "Recycle":
        told = Told("Warning", "VolumeUnknownReclaimPolicy", "the Recycle policy is not supported")
        return _phase(volume, "Failed", told)
    return NOTHING  # kept, or deleted by whoever provisioned it


def _policy(volume: PersistentVolume) -> str:
    return volume.spec.persistentVolumeReclaimPolicy or "Retain"


def _phase(volume: PersistentVolume, phase: str, told: Told | None = None) -> Step:
    if volume.status.phase == phase:
        return NOTHING
    mine = codec.clone(volume)
    mine.status.phase = phase
    return Step(status=mine, told=told)
