"""Snapshots that make sense, and those that do not."""

from __future__ import annotations

from typing import Any

import pytest

from kybern.api import codec
from kybern.api.snapshot.v1 import VolumeSnapshot, VolumeSnapshotClass, VolumeSnapshotContent
from kybern.api.snapshot.validation import VALIDATORS

OF_CLAIM = {"persistentVolumeClaimName": "c"}
OF_CONTENT = {"volumeSnapshotContentName": "c"}
MADE: Any = {
    "driver": "d", "deletionPolicy": "Delete", "source": {"volumeHandle": "v"},
    "volumeSnapshotRef": {"name": "s", "namespace": "n"},
}  # fmt: skip


def problems(type_: type[Any], tree: Any, old: Any = None) -> list[str]:
    def whole(part: Any) -> Any:
        meta = {"name": "x", "namespace": "n"} if type_ is VolumeSnapshot else {"name": "x"}
        return codec.from_tree({"metadata": {**meta, "resourceVersion": "1"}, **part}, type_)

    found = VALIDATORS[type_.__name__]
    told = found.create(whole(tree)) if old is None else found.update(whole(tree), whole(old))
    return [f"{each.type}: {each.field}" for each in told]


@pytest.mark.parametrize(
    ("type_", "tree", "old", "expected"),
    [
        (VolumeSnapshot, {"spec": {"source": OF_CLAIM}}, None, []),
        (VolumeSnapshot, {"spec": {"source": OF_CONTENT}}, None, []),
        (VolumeSnapshot, {"spec": {"source": {}}}, None, ["spec.source"]),
        (VolumeSnapshot, {"spec": {"source": {**OF_CLAIM, **OF_CONTENT}}}, None, ["spec.source"]),
        (
            VolumeSnapshot, {"spec": {"source": OF_CLAIM, "volumeSnapshotClassName": ""}}, None,
            ["spec.volumeSnapshotClassName"],
        ),
        (
            VolumeSnapshot, {"spec": {"source": {"persistentVolumeClaimName": "d"}}},
            {"spec": {"source": OF_CLAIM}}, ["spec.source.persistentVolumeClaimName"],
        ),
        (VolumeSnapshotContent, {"spec": MADE}, None, []),
        (VolumeSnapshotContent, {"spec": MADE | {"driver": ""}}, None, ["spec.driver"]),
        (
            VolumeSnapshotContent, {"spec": MADE | {"deletionPolicy": "x"}}, None,
            ["spec.deletionPolicy"],
        ),
        (
            VolumeSnapshotContent, {"spec": MADE | {"volumeSnapshotRef": {"name": "s"}}}, None,
            ["spec.volumeSnapshotRef"],
        ),
        (
            VolumeSnapshotContent, {"spec": MADE}, {"spec": MADE | {"sourceVolumeMode": "Block"}},
            ["spec.sourceVolumeMode"],
        ),
        (VolumeSnapshotClass, {"driver": "d", "deletionPolicy": "Retain"}, None, []),
        (VolumeSnapshotClass, {}, None, ["driver", "deletionPolicy"]),
    ],
)  # fmt: skip
def test_snapshot_kinds(type_: type[Any], tree: Any, old: Any, expected: list[str]) -> None:
    assert [each.partition(": ")[2] for each in problems(type_, tree, old)] == expected
