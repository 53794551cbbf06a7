"""The next step for an attachment."""

from __future__ import annotations

from typing import Any

import pytest

from kybern.api import codec
from kybern.api.core.v1 import PersistentVolume
from kybern.api.storage.v1 import VolumeAttachment
from kybern.controllers.csiattacher import plan
from kybern.controllers.csiattacher.plan import Deed

OURS = "external-attacher/a-b-c"
GONE = {"deletionTimestamp": "2026-01-01T00:00:00Z"}


def attachment(attached: bool = False, **meta: Any) -> VolumeAttachment:
    tree = {"metadata": meta, "spec": {"attacher": "a.b_c"}, "status": {"attached": attached}}
    return codec.from_tree(tree, VolumeAttachment)


@pytest.mark.parametrize(
    ("it", "able", "unable"),
    [
        (attachment(), Deed.GUARD, Deed.MARK),
        (attachment(finalizers=["x"]), Deed.GUARD, Deed.MARK),
        (attachment(finalizers=[OURS]), Deed.ATTACH, Deed.MARK),
        (attachment(attached=True, finalizers=[OURS]), Deed.NOTHING, Deed.NOTHING),
        (attachment(attached=True), Deed.NOTHING, Deed.NOTHING),
        (attachment(**GONE), Deed.NOTHING, Deed.NOTHING),
        (attachment(finalizers=[OURS], **GONE), Deed.DETACH, Deed.RELEASE),
        (attachment(attached=True, finalizers=[OURS], **GONE), Deed.DETACH, Deed.RELEASE),
    ],
)
def test_the_next_step(it: VolumeAttachment, able: Deed, unable: Deed) -> None:
    assert plan.deed(it, attaches=True) is able
    assert plan.deed(it, attaches=False) is unable


def test_what_is_written() -> None:
    begun = plan.guarded(attachment(finalizers=["x"]), "id")
    assert begun.metadata.finalizers == ["x", OURS]
    assert plan.known_node_id(begun) == "id"
    assert plan.deed(begun, attaches=True) is Deed.ATTACH
    broken = plan.failed(begun, "é" * 2000, 0.0)
    assert broken.status.attachError is not None
    assert len((broken.status.attachError.message or "").encode()) <= 1024
    done = plan.attached(broken, {"a": "b"})
    assert done.status.attachError is None
    assert done.status.attachmentMetadata == {"a": "b"}
    leaving = plan.failed(attachment(attached=True, finalizers=[OURS], **GONE), "no", 0.0)
    assert leaving.status.attachError is None
    assert leaving.status.detachError is not None
    assert plan.detached(leaving).status.detachError is None
    assert plan.released(begun).metadata.finalizers == ["x"]


def volume(**meta: Any) -> PersistentVolume:
    spec = {"csi": {"driver": "a.b_c", "volumeHandle": "h"}}
    return codec.from_tree({"metadata": meta, "spec": spec}, PersistentVolume)


def test_a_volume_stays_while_it_is_attached() -> None:
    kept = plan.guarded_volume(volume())
    assert kept is not None
    assert kept.metadata.finalizers == [OURS]
    assert plan.guarded_volume(kept) is None
    assert plan.released_volume(kept, []) is None  # nobody deletes it
    leaving = volume(finalizers=[OURS], **GONE)
    assert plan.released_volume(leaving, [attachment()]) is None
    free = plan.released_volume(leaving, [])
    assert free is not None
    assert free.metadata.finalizers is None
