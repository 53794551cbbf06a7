"""The next step for a snapshot; taken again and again, it comes to an end."""

from __future__ import annotations

from typing import Any

import pytest

from kybern.api import codec
from kybern.api.core.v1 import PersistentVolume, PersistentVolumeClaim
from kybern.api.snapshot import words
from kybern.api.snapshot.v1 import VolumeSnapshot, VolumeSnapshotClass, VolumeSnapshotContent
from kybern.controllers.volumesnapshot.plan import (
    NOTHING,
    Around,
    for_claim,
    for_content,
    for_snapshot,
)

GONE = "2026-01-01T00:00:00Z"
GUARDED = [words.AS_SOURCE, words.BOUND]


def snapshot(source: Any = None, **meta: Any) -> VolumeSnapshot:
    tree = {
        "metadata": {"name": "s", "namespace": "n", "uid": "u", **meta},
        "spec": {"source": source or {"persistentVolumeClaimName": "c"}},
    }
    return codec.from_tree(tree, VolumeSnapshot)


def content(uid: str = "u", name: str = "s", policy: str = "Delete", **meta: Any) -> Any:
    tree = {
        "metadata": {"name": "snapcontent-u", **meta},
        "spec": {
            "deletionPolicy": policy,
            "volumeSnapshotRef": {"name": name, "namespace": "n", "uid": uid},
        },
    }
    return codec.from_tree(tree, VolumeSnapshotContent)


def snapshot_class(name: str = "k", driver: str = "d", *, default: bool = True) -> Any:
    marks = {words.DEFAULT_CLASS: "true"} if default else None
    tree = {
        "metadata": {"name": name, "annotations": marks}, "driver": driver,
        "deletionPolicy": "Delete",
    }  # fmt: skip
    return codec.from_tree(tree, VolumeSnapshotClass)


CLAIM = codec.from_tree(
    {"metadata": {"name": "c"}, "spec": {"volumeName": "v"}, "status": {"phase": "Bound"}},
    PersistentVolumeClaim,
)
VOLUME = codec.from_tree({"spec": {"csi": {"driver": "d", "volumeHandle": "h"}}}, PersistentVolume)


def around(**changes: Any) -> Around:
    usual = Around(None, CLAIM, VOLUME, [snapshot_class()], restoring=False, now=0.0)
    return usual._replace(**changes)


def test_from_a_wish_to_a_content() -> None:
    it, there = snapshot(), around()
    guarded = for_snapshot(it, there).write
    assert guarded.metadata.finalizers == [words.AS_SOURCE]
    classed = for_snapshot(guarded, there).write
    assert classed.spec.volumeSnapshotClassName == "k"
    kept = for_snapshot(classed, there).write
    assert kept.metadata.finalizers == [words.CLAIM]
    step = for_snapshot(classed, around(claim=kept))
    assert step.create.metadata.name == "snapcontent-u"
    assert step.create.spec.source.volumeHandle == "h"
    bound = for_snapshot(classed, around(claim=kept, content=step.create)).write
    assert bound.metadata.finalizers == GUARDED
    said = for_snapshot(bound, around(claim=kept, content=step.create)).status
    assert said.status.boundVolumeSnapshotContentName == "snapcontent-u"
    assert not said.status.readyToUse
    assert for_snapshot(said, around(claim=kept, content=step.create)) == NOTHING


def failure(it: VolumeSnapshot, there: Around) -> str:
    it.metadata.finalizers = list(GUARDED)
    step = for_snapshot(it, there)
    assert for_snapshot(step.status, there) == NOTHING  # told once
    return str(step.status.status.error.message)


@pytest.mark.parametrize(
    ("it", "there", "text"),
    [
        (snapshot(), around(claim=None), '"c" not found'),
        (snapshot(), around(volume=None), "not yet bound"),
        (snapshot(), around(volume=PersistentVolume()), "not a CSI volume"),
        (snapshot(), around(classes=[]), "cannot find default snapshot class"),
        (snapshot(), around(classes=[snapshot_class(driver="x")]), "cannot find default"),
        (snapshot(), around(classes=[snapshot_class("a"), snapshot_class("b")]), "2 default"),
        (snapshot({"volumeSnapshotContentName": "x"}), around(), "Content is missing"),
        (snapshot(), around(content=content(uid="other")), "bound to a different snapshot"),
        (snapshot(), around(content=content(name="other")), "bound to a different snapshot"),
    ],
)
def test_what_cannot_be_done_is_said(it: VolumeSnapshot, there: Around, text: str) -> None:
    assert text in failure(it, there)


def test_the_end_of_a_snapshot() -> None:
    it = snapshot(deletionTimestamp=GONE, finalizers=list(GUARDED))
    assert for_snapshot(it, around(content=content(), restoring=True)) == NOTHING
    marked = for_snapshot(it, around(content=content())).write
    assert words.is_marked(marked, words.BEING_DELETED)
    assert for_snapshot(it, around(content=marked)).delete is marked
    marked.metadata.deletionTimestamp = GONE
    assert for_snapshot(it, around(content=marked)) == NOTHING  # until the driver let go
    free = for_snapshot(it, around()).write
    assert free.metadata.finalizers is None
    assert for_snapshot(free, around()) == NOTHING
    stays = content(policy="Retain", annotations={words.BEING_DELETED: "yes"})
    assert for_snapshot(it, around(content=stays)).write.metadata.finalizers is None
    # somebody else's content of that name is not touched
    other = for_snapshot(it, around(content=content(uid="x")))
    assert other.write.metadata.finalizers is None


def test_claims_and_contents() -> None:
    kept = codec.clone(CLAIM)
    kept.metadata.finalizers = [words.CLAIM]
    assert for_claim(CLAIM, []) == NOTHING
    assert for_claim(kept, [snapshot()]) == NOTHING
    assert for_claim(kept, []).write.metadata.finalizers is None
    guarded = for_content(content(), snapshot()).write
    assert guarded.metadata.finalizers == [words.CONTENT]
    assert for_content(guarded, snapshot()) == NOTHING
    for gone in (None, snapshot(uid="new")):
        marked = for_content(guarded, gone).write
        assert words.is_marked(marked, words.BEING_DELETED)
        assert for_content(marked, gone).delete is marked
        marked.spec.deletionPolicy = "Retain"
        assert for_content(marked, gone) == NOTHING
    unbound = content(uid="", finalizers=[words.CONTENT])
    assert for_content(unbound, None) == NOTHING
