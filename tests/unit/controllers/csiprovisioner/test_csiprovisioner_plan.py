"""What a claim or a volume of a driver needs."""

from __future__ import annotations

from typing import Any

import pytest

from kybern.api import codec
from kybern.api.core.v1 import PersistentVolume, PersistentVolumeClaim
from kybern.api.storage.v1 import StorageClass
from kybern.controllers.csiprovisioner import plan
from kybern.controllers.csiprovisioner.plan import FINALIZER, MAKING, Deed
from kybern.csi import messages as m

GONE = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
OF_DRIVER = {"volume.kubernetes.io/storage-provisioner": "d"}
CHOSEN = {**OF_DRIVER, "volume.kubernetes.io/selected-node": "n"}


def claim(annotations: Any = OF_DRIVER, volume: str = "", **meta: Any) -> PersistentVolumeClaim:
    requests = {"requests": {"storage": "1Gi"}, "limits": {"storage": "2Gi"}}
    spec = {"volumeName": volume, "accessModes": ["ReadWriteOnce"], "resources": requests}
    tree = {
        "metadata": {"name": "c", "namespace": "n", "uid": "u", "annotations": annotations, **meta},
        "spec": spec,
    }
    return codec.from_tree(tree, PersistentVolumeClaim)


def storage_class(**more: Any) -> StorageClass:
    return codec.from_tree({"metadata": {"name": "s"}, "provisioner": "d", **more}, StorageClass)


NOW, LATE = storage_class(), storage_class(volumeBindingMode="WaitForFirstConsumer")
BEGUN = {"finalizers": [MAKING]}


@pytest.mark.parametrize(
    ("it", "found", "there", "expected"),
    [
        (claim(), NOW, False, Deed.MAKE),
        (claim(), None, False, Deed.NOTHING),
        (claim(), storage_class(provisioner="other"), False, Deed.NOTHING),
        (claim(), LATE, False, Deed.NOTHING),
        (claim(CHOSEN), LATE, False, Deed.MAKE),
        (claim(**BEGUN), NOW, False, Deed.MAKE),
        (claim(), NOW, True, Deed.NOTHING),
        (claim(**BEGUN), NOW, True, Deed.SETTLE),
        (claim(volume="v"), NOW, False, Deed.NOTHING),
        (claim(volume="v", **BEGUN), NOW, False, Deed.SETTLE),
        (claim(**GONE), NOW, False, Deed.NOTHING),
        (claim(**BEGUN, **GONE), NOW, False, Deed.ABANDON),
        (claim(**BEGUN, **GONE), None, False, Deed.ABANDON),
        (claim(**BEGUN, **GONE), NOW, True, Deed.SETTLE),
    ],
)
def test_what_a_claim_needs(it: Any, found: Any, there: bool, expected: Deed) -> None:
    assert plan.deed(it, found, volume_is_there=there) is expected


def test_what_is_asked_is_always_the_same() -> None:
    ask = plan.Ask(frozenset(), {"k": "v"}, None, None, {"iops": "1"})
    request = plan.request(claim(), storage_class(parameters={"a": "b"}), ask)
    assert (request.name, request.parameters) == ("pvc-u", {"a": "b"})
    assert request.capacity_range == m.CapacityRange(1 << 30, 2 << 30)
    assert (request.secrets, request.mutable_parameters) == ({"k": "v"}, {"iops": "1"})
    again = plan.request(plan.begun(claim()), storage_class(parameters={"a": "b"}), ask)
    assert again == request


def test_what_was_made_becomes_a_volume() -> None:
    made = m.Volume(capacity_bytes=3 << 30, volume_id="h", volume_context={"x": "y"})
    volume = plan.new_volume(claim(), storage_class(reclaimPolicy="Retain"), made, "me")
    assert volume.metadata.finalizers is None
    assert volume.spec.capacity == {"storage": "3Gi"}
    assert volume.spec.claimRef is not None
    assert volume.spec.claimRef.uid == "u"
    assert not plan.problem(claim(), made)
    assert "less than requested" in plan.problem(claim(), m.Volume(capacity_bytes=1))


def test_another_node_is_chosen_but_nothing_forgotten() -> None:
    found = plan.elsewhere(claim(CHOSEN, **BEGUN))
    assert plan.selected_node(found) == ""
    assert found.metadata.finalizers == [MAKING]
    assert plan.settled(found).metadata.finalizers is None


def volume(phase: str, policy: str = "Delete", **meta: Any) -> PersistentVolume:
    tree = {
        "metadata": meta, "status": {"phase": phase},
        "spec": {"persistentVolumeReclaimPolicy": policy},
    }  # fmt: skip
    return codec.from_tree(tree, PersistentVolume)


KEPT = {"finalizers": [FINALIZER]}


@pytest.mark.parametrize(
    ("it", "deleted", "finalizers"),
    [
        (volume("Bound", **KEPT), False, None),
        (volume("Bound"), False, [FINALIZER]),
        (volume("Bound", "Retain", **KEPT), False, []),
        (volume("Bound", "Retain"), False, None),
        (volume("Released", **KEPT), True, None),
        (volume("Failed", **KEPT), True, None),
        (volume("Released", "Retain"), False, None),
        (volume("Released", "Retain", **KEPT), False, []),
        (volume("Released", **KEPT, **GONE), True, None),
        (volume("Released", **GONE), False, None),
        (volume("Bound", **GONE), False, None),
    ],
)
def test_what_becomes_of_a_volume(it: Any, deleted: bool, finalizers: Any) -> None:
    assert plan.is_to_delete(it) is deleted
    if not deleted:
        found = plan.guarded_as_wanted(it)
        assert (found and (found.metadata.finalizers or [])) == finalizers
