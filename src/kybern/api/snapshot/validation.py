"""What the snapshot kinds must be.

In:   an object; for updates also the old one.
Out:  problems; the table `VALIDATORS`.
By:   `api.validation`. Facts: the schemas of external-snapshotter's custom resources.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kybern.api.field_path import Path, Problem, invalid, not_supported, required
from kybern.api.meta.validation import SPEC
from kybern.api.rules import Rules, rules

if TYPE_CHECKING:
    from kybern.api.snapshot.v1 import (
        VolumeSnapshot,
        VolumeSnapshotClass,
        VolumeSnapshotContent,
    )

POLICIES: Final = ("Delete", "Retain")
NEITHER: Final = "exactly one of {} and {} must be set"


def check_snapshot(obj: VolumeSnapshot, out: list[Problem]) -> None:
    """A claim to take it of, or a content that is there."""
    _check_one(obj.spec.source, "persistentVolumeClaimName", "volumeSnapshotContentName", out)
    if obj.spec.volumeSnapshotClassName == "":
        told = "volumeSnapshotClassName must not be the empty string when set"
        out.append(invalid(SPEC / "volumeSnapshotClassName", "", told))


def check_snapshot_change(new: VolumeSnapshot, old: VolumeSnapshot, out: list[Problem]) -> None:
    """The source stays."""
    for field in ("persistentVolumeClaimName", "volumeSnapshotContentName"):
        _check_kept(new.spec.source, old.spec.source, SPEC / "source", field, out)


def check_content(obj: VolumeSnapshotContent, out: list[Problem]) -> None:
    """A volume to take it of, or a snapshot that is there; and whom it is for."""
    spec = obj.spec
    _check_policy(spec.deletionPolicy, SPEC / "deletionPolicy", out)
    if not spec.driver:
        out.append(required(SPEC / "driver"))
    _check_one(spec.source, "volumeHandle", "snapshotHandle", out)
    reference = spec.volumeSnapshotRef
    if not reference.name or not reference.namespace:
        told = (
            "both spec.volumeSnapshotRef.name and spec.volumeSnapshotRef.namespace must be set"
        )
        out.append(invalid(SPEC / "volumeSnapshotRef", reference.name or "", told))


def check_content_change(
    new: VolumeSnapshotContent, old: VolumeSnapshotContent, out: list[Problem]
) -> None:
    """The source stays."""
    for field in ("volumeHandle", "snapshotHandle"):
        _check_kept(new.spec.source, old.spec.source, SPEC / "source", field, out)
    if old.spec.sourceVolumeMode is not None:
        _check_kept(new.spec, old.spec, SPEC, "sourceVolumeMode", out)


def check_class(obj: VolumeSnapshotClass, out: list[Problem]) -> None:
    """A driver, and what becomes of its snapshots."""
    if not obj.driver:
        out.append(required(Path("driver")))
    _check_policy(obj.deletionPolicy, Path("deletionPolicy"), out)


def _check_policy(policy: str, place: Path, out: list[Problem]) -> None:
    if not policy:
        out.append(required(place))
    elif policy not in POLICIES:
        out.append(not_supported(place, policy, POLICIES))


def _check_one(source: Any, one: str, other: str, out: list[Problem]) -> None:
    if (getattr(source, one) is None) == (getattr(source, other) is None):
        out.append(invalid(SPEC / "source", "", NEITHER.format(one, other)))


def _check_kept(new: Any, old: Any, place: Path, field: str, out: list[Problem]) -> None:
    before, after = getattr(old, field), getattr(new, field)
    if before is not None and after is None:
        out.append(required(place / field, f"{field} is required once set"))
    elif before != after:
        out.append(invalid(place / field, after, f"{field} is immutable"))


VALIDATORS: Final[dict[str, Rules]] = {
    "VolumeSnapshot": rules(check_snapshot, change=check_snapshot_change),
    "VolumeSnapshotClass": rules(check_class, namespaced=False),
    "VolumeSnapshotContent": rules(check_content, namespaced=False, change=check_content_change),
}
