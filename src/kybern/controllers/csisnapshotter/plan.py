"""The next deed for one content.

In:   a VolumeSnapshotContent, its class.
Out:  what to ask of the driver, and the content to write after its answer.
By:   csisnapshotter.controller. Pure.

A content is marked before the driver is asked for a snapshot, until it is known what became of
that; one that is deleted meanwhile has its snapshot made, and then removed.

Source: external-snapshotter's `pkg/sidecar-controller/snapshot_controller.go`.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from kybern.api import codec
from kybern.api.core.v1 import SecretReference
from kybern.api.snapshot import words
from kybern.api.snapshot.v1 import VolumeSnapshotContentStatus, VolumeSnapshotError
from kybern.controllers.csi import secrets
from kybern.csi.messages import CreateSnapshotRequest
from kybern.lib.clock import rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kybern.api.snapshot.v1 import VolumeSnapshotClass, VolumeSnapshotContent
    from kybern.csi.messages import Snapshot


class Deed(Enum):
    """What a content needs."""

    NOTHING = "nothing"
    TAKE = "a snapshot, or word that it is ready"
    LOOK = "word of a snapshot that was there before"
    REMOVE = "its snapshot removed"
    RELEASE = "to be let go"


def deed(content: VolumeSnapshotContent) -> Deed:
    """Return what a content needs."""
    status, spec = content.status, content.spec
    if content.metadata.deletionTimestamp is not None:
        return _last(content)
    if words.is_marked(content, words.BEING_DELETED):
        return Deed.NOTHING
    if spec.source.snapshotHandle:
        return Deed.NOTHING if status.readyToUse else Deed.LOOK
    done = status.snapshotHandle and status.readyToUse
    begun = words.is_marked(content, words.BEING_CREATED)
    return Deed.NOTHING if done and not begun else Deed.TAKE


def _last(content: VolumeSnapshotContent) -> Deed:
    if words.CONTENT not in (content.metadata.finalizers or ()):
        return Deed.NOTHING
    if words.is_marked(content, words.BEING_CREATED):
        return Deed.TAKE
    unbound = not content.spec.volumeSnapshotRef.uid
    if not unbound and not words.is_marked(content, words.BEING_DELETED):
        return Deed.NOTHING  # somebody still has it
    if content.spec.deletionPolicy == "Delete" and handle_of(content):
        return Deed.REMOVE
    return Deed.RELEASE


def handle_of(content: VolumeSnapshotContent) -> str:
    """Return what the driver calls the snapshot; "" while there is none."""
    return content.status.snapshotHandle or content.spec.source.snapshotHandle or ""


def marked(content: VolumeSnapshotContent) -> VolumeSnapshotContent | None:
    """Return a content for which the driver is about to be asked; None when it says so already."""
    if words.is_marked(content, words.BEING_CREATED):
        return None
    mine = codec.clone(content)
    mine.metadata.annotations = {**(mine.metadata.annotations or {}), words.BEING_CREATED: "yes"}
    if words.CONTENT not in (mine.metadata.finalizers or ()):
        mine.metadata.finalizers = [*(mine.metadata.finalizers or ()), words.CONTENT]
    return mine


def unmarked(content: VolumeSnapshotContent) -> VolumeSnapshotContent:
    """Return a content of which it is known what the driver did."""
    mine = codec.clone(content)
    kept = {k: v for k, v in (mine.metadata.annotations or {}).items() if k != words.BEING_CREATED}
    mine.metadata.annotations = kept or None
    return mine


def released(content: VolumeSnapshotContent) -> VolumeSnapshotContent:
    """Return a content that we let go."""
    mine = unmarked(content)
    kept = [each for each in mine.metadata.finalizers or () if each != words.CONTENT]
    mine.metadata.finalizers = kept or None
    return mine


def request(
    content: VolumeSnapshotContent, found: VolumeSnapshotClass | None, given: Mapping[str, str]
) -> CreateSnapshotRequest:
    """Return what to ask of the driver: always the same."""
    return CreateSnapshotRequest(
        source_volume_id=content.spec.source.volumeHandle or "",
        name=f"snapshot-{content.spec.volumeSnapshotRef.uid}",
        secrets=dict(given),
        parameters=secrets.for_driver(found.parameters if found is not None else None),
    )


def taken(content: VolumeSnapshotContent, snapshot: Snapshot, now: float) -> VolumeSnapshotContent:
    """Return a content that says what the driver answered."""
    mine = codec.clone(content)
    stamp = snapshot.creation_time
    nanos = stamp.seconds * 10**9 + stamp.nanos if stamp is not None else int(now * 1e9)
    mine.status = VolumeSnapshotContentStatus(
        creationTime=nanos, readyToUse=snapshot.ready_to_use, restoreSize=snapshot.size_bytes,
        snapshotHandle=snapshot.snapshot_id,
    )  # fmt: skip
    return mine


def found_there(
    content: VolumeSnapshotContent, snapshot: Snapshot | None, now: float
) -> VolumeSnapshotContent:
    """Return a content whose snapshot was there before; None where the driver cannot list them."""
    if snapshot is not None:
        return taken(content, snapshot, now)
    mine = codec.clone(content)
    mine.status = VolumeSnapshotContentStatus(
        creationTime=int(now * 1e9), readyToUse=True, restoreSize=0,
        snapshotHandle=content.spec.source.snapshotHandle,
    )  # fmt: skip
    return mine


def removed(content: VolumeSnapshotContent) -> VolumeSnapshotContent:
    """Return a content that has no snapshot any more."""
    mine = codec.clone(content)
    mine.status = VolumeSnapshotContentStatus()
    return mine


def failed(content: VolumeSnapshotContent, text: str, now: float) -> VolumeSnapshotContent | None:
    """Return a content that says what went wrong; None when it says so already."""
    error = content.status.error
    if error is not None and error.message == text:
        return None
    mine = codec.clone(content)
    mine.status.error = VolumeSnapshotError(message=text, time=rfc3339(now))
    mine.status.readyToUse = False
    return mine


def secret_of(content: VolumeSnapshotContent) -> SecretReference | None:
    """Return the Secret a driver gets with calls about a snapshot."""
    annotations = content.metadata.annotations or {}
    name = annotations.get(words.DELETION_SECRET, "")
    namespace = annotations.get(words.DELETION_NAMESPACE, "")
    return SecretReference(name=name, namespace=namespace) if name else None
