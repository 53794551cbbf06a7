"""Annotations and finalizers by which those who work on snapshots speak to each other.

In:   nothing: upstream's words, from external-snapshotter's `pkg/utils/util.go`.
Out:  constants, and the questions asked of them.
By:   the snapshot controllers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from kybern.api.snapshot.v1 import VolumeSnapshot, VolumeSnapshotContent

_OURS: Final = "snapshot.storage.kubernetes.io/"
BEING_CREATED: Final = _OURS + "volumesnapshot-being-created"
BEING_DELETED: Final = _OURS + "volumesnapshot-being-deleted"
DEFAULT_CLASS: Final = _OURS + "is-default-class"
DELETION_SECRET: Final = _OURS + "deletion-secret-name"
DELETION_NAMESPACE: Final = _OURS + "deletion-secret-namespace"
AS_SOURCE: Final = _OURS + "volumesnapshot-as-source-protection"
BOUND: Final = _OURS + "volumesnapshot-bound-protection"
CONTENT: Final = _OURS + "volumesnapshotcontent-bound-protection"
CLAIM: Final = _OURS + "pvc-as-source-protection"


def content_name(snapshot: VolumeSnapshot) -> str:
    """Return the name of what stands for a snapshot at the driver: always the same one."""
    named = snapshot.spec.source.volumeSnapshotContentName
    return named or f"snapcontent-{snapshot.metadata.uid}"


def is_of(content: VolumeSnapshotContent, snapshot: VolumeSnapshot) -> bool:
    """Say whether a content is for a snapshot: by name, and by uid if it says one."""
    reference, meta = content.spec.volumeSnapshotRef, snapshot.metadata
    if (reference.namespace, reference.name) != (meta.namespace, meta.name):
        return False
    return not reference.uid or reference.uid == meta.uid


def is_taken(snapshot: VolumeSnapshot) -> bool:
    """Say whether the driver has taken a snapshot, so that its claim may go."""
    status = snapshot.status
    return bool(status.boundVolumeSnapshotContentName) and status.creationTime is not None


def is_marked(content: VolumeSnapshotContent, annotation: str) -> bool:
    """Say whether a content has an annotation."""
    return annotation in (content.metadata.annotations or {})
