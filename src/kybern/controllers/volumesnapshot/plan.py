"""The next step for one snapshot.

In:   a VolumeSnapshot, and what there is beside it.
Out:  a `Step`: at most one object to write, create or delete, and one event.
By:   volumesnapshot.controller, again and again until there is nothing to do. Pure.

Source: external-snapshotter's `pkg/common-controller/snapshot_controller.go`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kybern.api import codec
from kybern.api.core.v1 import ObjectReference
from kybern.api.meta.v1 import ObjectMeta
from kybern.api.quantity import Format, from_value
from kybern.api.snapshot import words
from kybern.api.snapshot.v1 import (
    VolumeSnapshotContent,
    VolumeSnapshotContentSource,
    VolumeSnapshotContentSpec,
    VolumeSnapshotError,
    VolumeSnapshotStatus,
)
from kybern.controllers.csi import secrets
from kybern.lib.clock import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kybern.api.core.v1 import PersistentVolume, PersistentVolumeClaim
    from kybern.api.snapshot.v1 import VolumeSnapshot, VolumeSnapshotClass

MISSING: Final = "VolumeSnapshotContent is missing"
MISBOUND: Final = "VolumeSnapshotContent [{}] is bound to a different snapshot"
CREATING: Final = "Waiting for a snapshot {} to be created by the CSI driver."
CREATED: Final = "Snapshot {} was successfully created by the CSI driver."
READY: Final = "Snapshot {} is ready to use."


class Told(NamedTuple):
    """An event about the snapshot."""

    type: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Step:
    """What to do next; nothing when all is empty."""

    write: Any = None
    status: Any = None
    create: Any = None
    delete: Any = None
    told: tuple[Told, ...] = ()


NOTHING: Final = Step()


class Around(NamedTuple):
    """What there is beside a snapshot."""

    content: VolumeSnapshotContent | None
    claim: PersistentVolumeClaim | None
    volume: PersistentVolume | None
    classes: Sequence[VolumeSnapshotClass]
    restoring: bool
    """A volume is being made from it."""
    now: float


class _RefusedError(Exception):
    """The snapshot cannot be taken as things are; the reason of the event, and the text."""


def for_snapshot(snapshot: VolumeSnapshot, around: Around) -> Step:
    """Return the next step for a snapshot."""
    if snapshot.metadata.deletionTimestamp is not None:
        return _leaving(snapshot, around)
    content = around.content
    wanted = [words.AS_SOURCE, *([words.BOUND] if content is not None else [])]
    lacking = [f for f in wanted if f not in (snapshot.metadata.finalizers or ())]
    if lacking:
        return Step(write=_with_finalizers(snapshot, lacking))
    try:
        if content is not None:
            return _bound(snapshot, content)
        return _begin(snapshot, around)
    except _RefusedError as refused:
        reason, text = refused.args
        return _failed(snapshot, reason, text, around.now)


def _leaving(snapshot: VolumeSnapshot, around: Around) -> Step:
    content = around.content
    if around.restoring:
        return NOTHING
    if content is not None and words.is_of(content, snapshot):
        if not words.is_marked(content, words.BEING_DELETED):
            return Step(write=_marked(content))
        if content.spec.deletionPolicy == "Delete":
            if content.metadata.deletionTimestamp is None:
                return Step(delete=content)
            return NOTHING
    ours = (words.AS_SOURCE, words.BOUND)
    kept = [each for each in snapshot.metadata.finalizers or () if each not in ours]
    if len(kept) == len(snapshot.metadata.finalizers or ()):
        return NOTHING
    mine = codec.clone(snapshot)
    mine.metadata.finalizers = kept or None
    return Step(write=mine)


def _bound(snapshot: VolumeSnapshot, content: VolumeSnapshotContent) -> Step:
    """Return what is left to do where there is a content."""
    name = content.metadata.name
    if not words.is_of(content, snapshot):
        raise _RefusedError("SnapshotContentMisbound", MISBOUND.format(name))
    if not content.spec.volumeSnapshotRef.uid:
        mine = codec.clone(content)
        mine.spec.volumeSnapshotRef = _reference(snapshot)
        if snapshot.spec.volumeSnapshotClassName:
            mine.spec.volumeSnapshotClassName = snapshot.spec.volumeSnapshotClassName
        return Step(write=mine)
    status = _status(content)
    if codec.equal(status, snapshot.status):
        return NOTHING
    mine_too = codec.clone(snapshot)
    mine_too.status = status
    return Step(status=mine_too, told=tuple(_news(snapshot, status)))


def _status(content: VolumeSnapshotContent) -> VolumeSnapshotStatus:
    """Return what a content says about its snapshot."""
    found = content.status
    created = None if found.creationTime is None else rfc3339(found.creationTime / 1e9)
    size = found.restoreSize
    return VolumeSnapshotStatus(
        boundVolumeSnapshotContentName=content.metadata.name,
        creationTime=created,
        readyToUse=bool(found.readyToUse),
        restoreSize=None if size is None else from_value(size, Format.BINARY),
        error=found.error,
    )


def _news(snapshot: VolumeSnapshot, status: VolumeSnapshotStatus) -> Iterable[Told]:
    key = f"{snapshot.metadata.namespace}/{snapshot.metadata.name}"
    if status.creationTime is not None and snapshot.status.creationTime is None:
        yield Told("Normal", "SnapshotCreated", CREATED.format(key))
    if status.readyToUse and not snapshot.status.readyToUse:
        yield Told("Normal", "SnapshotReady", READY.format(key))


def _begin(snapshot: VolumeSnapshot, around: Around) -> Step:
    """Return the first steps of a snapshot: its class, its claim kept, its content."""
    source = snapshot.spec.source.persistentVolumeClaimName
    if source is None or snapshot.status.boundVolumeSnapshotContentName:
        raise _RefusedError("SnapshotContentMissing", MISSING)
    claim, volume = around.claim, around.volume
    if claim is None:
        text = f'persistentvolumeclaim "{source}" not found'
        raise _RefusedError("SnapshotContentCreationFailed", _cannot(text))
    if claim.status.phase != "Bound" or volume is None:
        text = f"the PVC {source} is not yet bound to a PV, will not attempt to take a snapshot"
        raise _RefusedError("SnapshotContentCreationFailed", _cannot(text))
    if volume.spec.csi is None:
        text = f"cannot get the volume handle of PV {volume.metadata.name}: it is not a CSI volume"
        raise _RefusedError("SnapshotContentCreationFailed", _cannot(text))
    driver = volume.spec.csi.driver
    if snapshot.spec.volumeSnapshotClassName is None:
        mine = codec.clone(snapshot)
        mine.spec.volumeSnapshotClassName = _default(driver, around.classes)
        return Step(write=mine)
    found = _class(snapshot.spec.volumeSnapshotClassName, driver, around.classes)
    if claim.metadata.deletionTimestamp is not None:
        text = f"PVC {source} is being deleted"
        raise _RefusedError("SnapshotContentCreationFailed", _cannot(text))
    if words.CLAIM not in (claim.metadata.finalizers or ()):
        return Step(write=_with_finalizers(claim, [words.CLAIM]))
    content = _new_content(snapshot, found, volume)
    key = f"{snapshot.metadata.namespace}/{snapshot.metadata.name}"
    return Step(create=content, told=(Told("Normal", "CreatingSnapshot", CREATING.format(key)),))


def _cannot(why: str) -> str:
    return f"Failed to create snapshot content with error {why}"


def _default(driver: str, classes: Sequence[VolumeSnapshotClass]) -> str:
    found = [
        each.metadata.name or ""
        for each in classes
        if each.driver == driver
        and (each.metadata.annotations or {}).get(words.DEFAULT_CLASS) == "true"
    ]
    if len(found) == 1:
        return found[0]
    text = (
        f"{len(found)} default snapshot classes were found" if found
        else "cannot find default snapshot class"
    )  # fmt: skip
    raise _RefusedError(
        "SetDefaultSnapshotClassFailed", f"Failed to set default snapshot class with error {text}"
    )


def _class(name: str, driver: str, classes: Sequence[VolumeSnapshotClass]) -> VolumeSnapshotClass:
    found = next((each for each in classes if each.metadata.name == name), None)
    if found is None:
        text = f'failed to get input parameters to create snapshot: volumesnapshotclass "{name}"'
        raise _RefusedError("GetSnapshotClassFailed", _cannot(f"{text} not found"))
    if found.driver != driver:
        text = f"snapshot driver {found.driver} does not match the volume's driver {driver}"
        raise _RefusedError("SnapshotContentCreationFailed", _cannot(text))
    return found


def _new_content(
    snapshot: VolumeSnapshot, found: VolumeSnapshotClass, volume: PersistentVolume
) -> VolumeSnapshotContent:
    source = volume.spec.csi
    assert source is not None
    name = words.content_name(snapshot)
    annotations = None
    try:
        secret = secrets.reference(
            secrets.SNAPSHOTTER, found.parameters or {}, template_values(name, snapshot), {}
        )
    except secrets.BadTemplateError as error:
        raise _RefusedError("SnapshotContentCreationFailed", _cannot(str(error))) from None
    if secret is not None:
        annotations = {
            words.DELETION_SECRET: secret.name, words.DELETION_NAMESPACE: secret.namespace,
        }  # fmt: skip
    return VolumeSnapshotContent(
        metadata=ObjectMeta(name=name, annotations=annotations, finalizers=[words.CONTENT]),
        spec=VolumeSnapshotContentSpec(
            deletionPolicy=found.deletionPolicy,
            driver=source.driver,
            source=VolumeSnapshotContentSource(volumeHandle=source.volumeHandle),
            sourceVolumeMode=volume.spec.volumeMode or "Filesystem",
            volumeSnapshotClassName=found.metadata.name,
            volumeSnapshotRef=_reference(snapshot),
        ),
    )


def template_values(content: str, snapshot: VolumeSnapshot) -> dict[str, str]:
    """Return what the templates of a class may refer to."""
    return {
        "volumesnapshotcontent.name": content,
        "volumesnapshot.name": snapshot.metadata.name or "",
        "volumesnapshot.namespace": snapshot.metadata.namespace or "",
    }


def _reference(snapshot: VolumeSnapshot) -> ObjectReference:
    meta = snapshot.metadata
    return ObjectReference(
        kind="VolumeSnapshot", apiVersion=snapshot.apiVersion, namespace=meta.namespace,
        name=meta.name, uid=meta.uid, resourceVersion=meta.resourceVersion,
    )  # fmt: skip


def _failed(snapshot: VolumeSnapshot, reason: str, text: str, now: float) -> Step:
    error = snapshot.status.error
    if error is not None and error.message == text:
        return NOTHING
    mine = codec.clone(snapshot)
    mine.status.error = VolumeSnapshotError(message=text, time=rfc3339(now))
    mine.status.readyToUse = False
    return Step(status=mine, told=(Told("Warning", reason, text),))


def _marked(content: VolumeSnapshotContent) -> VolumeSnapshotContent:
    mine = codec.clone(content)
    mine.metadata.annotations = {**(mine.metadata.annotations or {}), words.BEING_DELETED: "yes"}
    return mine


def _with_finalizers(obj: Any, more: list[str]) -> Any:
    mine = codec.clone(obj)
    mine.metadata.finalizers = [*(mine.metadata.finalizers or ()), *more]
    return mine


# --- claims and contents ------------------------------------------------------------------------


def for_claim(claim: PersistentVolumeClaim, snapshots: Iterable[VolumeSnapshot]) -> Step:
    """Let a claim go when all snapshots of it have been taken."""
    finalizers = claim.metadata.finalizers or ()
    if words.CLAIM not in finalizers or not all(words.is_taken(each) for each in snapshots):
        return NOTHING
    mine = codec.clone(claim)
    mine.metadata.finalizers = [each for each in finalizers if each != words.CLAIM] or None
    return Step(write=mine)


def is_lost(content: VolumeSnapshotContent, snapshot: VolumeSnapshot | None) -> bool:
    """Say whether the snapshot that a content was bound to is gone."""
    uid = content.spec.volumeSnapshotRef.uid
    return bool(uid) and (snapshot is None or snapshot.metadata.uid != uid)


def for_content(content: VolumeSnapshotContent, snapshot: VolumeSnapshot | None) -> Step:
    """Keep a content until the driver has let go; let go of one whose snapshot is gone."""
    finalizers = content.metadata.finalizers or ()
    if content.metadata.deletionTimestamp is not None:
        lost = is_lost(content, snapshot) and not words.is_marked(content, words.BEING_DELETED)
        return Step(write=_marked(content)) if lost else NOTHING
    if words.CONTENT not in finalizers:
        return Step(write=_with_finalizers(content, [words.CONTENT]))
    if not is_lost(content, snapshot):
        return NOTHING
    if not words.is_marked(content, words.BEING_DELETED):
        return Step(write=_marked(content))
    return Step(delete=content) if content.spec.deletionPolicy == "Delete" else NOTHING
