"""What a content of a snapshot needs."""

from __future__ import annotations

from typing import Any

import pytest

from kybern.api import codec
from kybern.api.snapshot import words
from kybern.api.snapshot.v1 import VolumeSnapshotContent
from kybern.controllers.csisnapshotter import plan
from kybern.controllers.csisnapshotter.plan import Deed

GONE = "2026-01-01T00:00:00Z"
TAKEN = {"snapshotHandle": "h", "readyToUse": True}


def content(
    *marks: str, gone: bool = False, ours: bool = True, policy: str = "Delete", uid: str = "u",
    there: str = "", **status: Any,
) -> VolumeSnapshotContent:  # fmt: skip
    tree = {
        "metadata": {
            "annotations": dict.fromkeys(marks, "yes"),
            "finalizers": [words.CONTENT] if ours else [],
            "deletionTimestamp": GONE if gone else None,
        },
        "spec": {
            "deletionPolicy": policy, "volumeSnapshotRef": {"uid": uid},
            "source": {"snapshotHandle": there} if there else {"volumeHandle": "v"},
        },
        "status": status,
    }  # fmt: skip
    return codec.from_tree(tree, VolumeSnapshotContent)


CREATED, DELETED = words.BEING_CREATED, words.BEING_DELETED


@pytest.mark.parametrize(
    ("it", "expected"),
    [
        (content(), Deed.TAKE),
        (content(CREATED), Deed.TAKE),
        (content(snapshotHandle="h", readyToUse=False), Deed.TAKE),
        (content(**TAKEN), Deed.NOTHING),
        (content(CREATED, **TAKEN), Deed.TAKE),
        (content(DELETED), Deed.NOTHING),
        (content(there="h"), Deed.LOOK),
        (content(there="h", **TAKEN), Deed.NOTHING),
        (content(DELETED, gone=True, **TAKEN), Deed.REMOVE),
        (content(DELETED, gone=True, policy="Retain", **TAKEN), Deed.RELEASE),
        (content(DELETED, gone=True), Deed.RELEASE),
        (content(CREATED, DELETED, gone=True), Deed.TAKE),
        (content(gone=True, **TAKEN), Deed.NOTHING),
        (content(gone=True, uid="", there="h"), Deed.REMOVE),
        (content(DELETED, gone=True, ours=False, **TAKEN), Deed.NOTHING),
    ],
)
def test_what_a_content_needs(it: VolumeSnapshotContent, expected: Deed) -> None:
    assert plan.deed(it) is expected


def test_the_mark_comes_before_the_call_and_goes_after_it() -> None:
    begun = plan.marked(content(ours=False))
    assert begun is not None
    assert words.is_marked(begun, CREATED)
    assert begun.metadata.finalizers == [words.CONTENT]
    assert plan.marked(begun) is None
    assert not words.is_marked(plan.unmarked(begun), CREATED)
    assert plan.request(begun, None, {}).name == "snapshot-u"
    broken = plan.failed(begun, "no", 0.0)
    assert broken is not None
    assert plan.failed(broken, "no", 9.0) is None
