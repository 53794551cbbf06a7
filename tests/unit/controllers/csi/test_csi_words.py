"""What controllers tell drivers: modes, Secrets, places, sources."""

from __future__ import annotations

from typing import Any

import pytest

from kybern.api import codec
from kybern.api.core.v1 import Node, PersistentVolume, PersistentVolumeClaim
from kybern.api.snapshot.v1 import VolumeSnapshot, VolumeSnapshotContent
from kybern.api.storage.v1 import CSINode, StorageClass
from kybern.controllers.csi import secrets, topology
from kybern.controllers.csi.capabilities import (
    Mode,
    UnsupportedModesError,
    access_mode,
    capability,
    of_volume,
)
from kybern.controllers.csiprovisioner import sources
from kybern.csi.messages import ControllerRpc, Topology

FINE = frozenset((ControllerRpc.SINGLE_NODE_MULTI_WRITER,))
RWO, ROX, RWX, RWOP = "ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"


@pytest.mark.parametrize(
    ("modes", "coarse", "fine"),
    [
        ([RWO], Mode.SINGLE_NODE_WRITER, Mode.SINGLE_NODE_MULTI_WRITER),
        ([RWOP], Mode.SINGLE_NODE_WRITER, Mode.SINGLE_NODE_SINGLE_WRITER),
        ([ROX], Mode.MULTI_NODE_READER_ONLY, Mode.MULTI_NODE_READER_ONLY),
        ([RWX], Mode.MULTI_NODE_MULTI_WRITER, Mode.MULTI_NODE_MULTI_WRITER),
        ([RWO, ROX, RWX], Mode.MULTI_NODE_MULTI_WRITER, Mode.MULTI_NODE_MULTI_WRITER),
    ],
)
def test_access_modes(modes: list[str], coarse: Mode, fine: Mode) -> None:
    assert access_mode(modes, frozenset()) == coarse
    assert access_mode(modes, FINE) == fine


@pytest.mark.parametrize("modes", [[], [RWO, ROX], [RWOP, RWO], [RWOP, RWX], ["x"]])
def test_access_modes_that_do_not_go_together(modes: list[str]) -> None:
    with pytest.raises(UnsupportedModesError):
        access_mode(modes, FINE)


def test_how_a_volume_is_used() -> None:
    spec: Any = {
        "accessModes": [RWO], "mountOptions": ["ro"], "csi": {"driver": "d", "volumeHandle": "h",
        "fsType": "xfs"},
    }  # fmt: skip
    found = of_volume(codec.from_tree({"spec": spec}, PersistentVolume).spec, frozenset())
    assert found.mount is not None
    assert (found.mount.fs_type, found.mount.mount_flags, found.block) == ("xfs", ["ro"], None)
    block = capability(Mode.SINGLE_NODE_WRITER, block=True, fs_type="xfs", mount_options=["ro"])
    assert block.mount is None
    assert block.block is not None


def parameters(name: str, namespace: str) -> dict[str, str]:
    head = "csi.storage.k8s.io/node-stage-secret"
    found = {f"{head}-name": name, f"{head}-namespace": namespace}
    return {key: text for key, text in found.items() if text}


VALUES = {"pv.name": "v", "pvc.name": "c", "pvc.namespace": "n"}


@pytest.mark.parametrize(
    ("name", "namespace", "expected"),
    [
        ("", "", None),
        ("s", "ns", ("ns", "s")),
        ("${pv.name}-${pvc.namespace}.${pvc.name}", "${pvc.namespace}", ("n", "v-n.c")),
        ("$x", "n", None), ("${pvc.annotations['a/b']}", "${pv.name}", ("v", "told")),
    ],
)  # fmt: skip
def test_secrets(name: str, namespace: str, expected: Any) -> None:
    if name == "$x":
        with pytest.raises(secrets.BadTemplateError, match="invalid tokens"):
            secrets.reference("node-stage", parameters(name, namespace), VALUES, {})
        return
    found = secrets.reference("node-stage", parameters(name, namespace), VALUES, {"a/b": "told"})
    assert found == expected


@pytest.mark.parametrize(
    ("name", "namespace"),
    [("s", ""), ("", "n"), ("s", "${pvc.name}"), ("${pvc.annotations['x']}", "n"), ("${}", "n")],
)
def test_secrets_that_cannot_be_named(name: str, namespace: str) -> None:
    with pytest.raises(secrets.BadTemplateError):
        secrets.reference("node-stage", parameters(name, namespace), VALUES, {})


def test_parameters_that_are_for_us_stay_here() -> None:
    given = {"a": "b", "csi.storage.k8s.io/fstype": "xfs", "fstype": "ext4", **parameters("s", "n")}
    assert secrets.for_driver(given) == {"a": "b"}
    assert secrets.file_system(given) == "xfs"
    assert secrets.file_system({"fstype": "ext4"}) == "ext4"
    assert secrets.file_system(None) == ""


# --- places -------------------------------------------------------------------------------------

DRIVER = "d"


def nodes(**labels: dict[str, str]) -> tuple[dict[str, Node], list[CSINode]]:
    found = {
        name: codec.from_tree({"metadata": {"name": name, "labels": each}}, Node)
        for name, each in labels.items()
    }
    drivers = [{"name": DRIVER, "nodeID": "i", "topologyKeys": ["zone", "rack"]}]
    return found, [
        codec.from_tree({"metadata": {"name": name}, "spec": {"drivers": drivers}}, CSINode)
        for name in labels
    ]


A, B = (("rack", "r1"), ("zone", "a")), (("rack", "r1"), ("zone", "b"))


def test_places_of_a_driver() -> None:
    known, csi_nodes = nodes(
        one={"zone": "b", "rack": "r1"}, two={"zone": "a", "rack": "r1"},
        three={"zone": "a", "rack": "r1"}, four={"zone": "a"},
    )  # fmt: skip
    assert topology.segments(DRIVER, csi_nodes, known.get) == [A, B]
    assert topology.segments("other", csi_nodes, known.get) == []
    assert topology.segment(known["four"], topology.keys_of(DRIVER, csi_nodes[3])) is None


def storage_class(*values: str) -> StorageClass:
    terms = [{"matchLabelExpressions": [{"key": "zone", "values": list(values)}]}]
    return codec.from_tree({"allowedTopologies": terms} if values else {}, StorageClass)


def asked(chosen: Any, found: StorageClass, places: Any = (A, B)) -> Any:
    wanted = topology.requirement("c", places, found, chosen)
    if wanted is None:
        return None
    return [t.segments["zone"] for t in wanted.requisite], [
        t.segments["zone"] for t in wanted.preferred
    ]


def test_the_place_of_the_pod_comes_first() -> None:
    assert asked(A, storage_class()) == (["a", "b"], ["a", "b"])
    assert asked(B, storage_class()) == (["a", "b"], ["b", "a"])
    assert asked(B, storage_class("b", "c")) == (["b", "c"], ["b", "c"])
    assert asked(None, storage_class(), ()) is None
    requisite, preferred = asked(None, storage_class())
    assert sorted(preferred) == requisite == ["a", "b"]
    with pytest.raises(topology.NoTopologyError):
        asked(A, storage_class("b"))


def test_nodes_that_reach_a_volume() -> None:
    assert topology.affinity([]) is None
    assert topology.affinity([Topology({})]) is None
    found = topology.affinity([Topology({"zone": "a"}), Topology({"zone": "b"})])
    assert found is not None
    assert found.required is not None
    assert len(found.required.nodeSelectorTerms) == 2


# --- sources ------------------------------------------------------------------------------------

OF_SNAPSHOT = {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "s"}


def claim(size: str = "2Gi", **spec: Any) -> PersistentVolumeClaim:
    wanted = {"resources": {"requests": {"storage": size}}, "dataSource": OF_SNAPSHOT, **spec}
    return codec.from_tree({"metadata": {"name": "c", "namespace": "n"}, "spec": wanted},
                           PersistentVolumeClaim)  # fmt: skip


READY = {"boundVolumeSnapshotContentName": "k", "readyToUse": True}


def snapshot(**status: Any) -> VolumeSnapshot:
    meta = {"name": "s", "namespace": "n", "uid": "u"}
    return codec.from_tree({"metadata": meta, "status": status or READY}, VolumeSnapshot)


def content(driver: str = DRIVER, uid: str = "u", size: int = 1 << 30, **more: Any) -> Any:
    spec = {"driver": driver, "volumeSnapshotRef": {"uid": uid}, "sourceVolumeMode": "Filesystem"}
    status = {"snapshotHandle": more.pop("handle", "h"), "restoreSize": size}
    return codec.from_tree({"metadata": more, "spec": spec, "status": status},
                           VolumeSnapshotContent)  # fmt: skip


def test_a_snapshot_as_a_source() -> None:
    found = sources.from_snapshot(claim(), DRIVER, snapshot(), content())
    assert found.snapshot is not None
    assert found.snapshot.snapshot_id == "h"
    free = {"annotations": {sources.ANY_MODE: "true"}}
    assert sources.from_snapshot(claim(volumeMode="Block"), DRIVER, snapshot(), content(**free))


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ((claim(), DRIVER, None, None), "not found"),
        ((claim(), DRIVER, snapshot(readyToUse=True), None), "not bound"),
        ((claim(), DRIVER, snapshot(boundVolumeSnapshotContentName="k"), content()), "not Ready"),
        ((claim(), "other", snapshot(), content()), "another snapshot or driver"),
        ((claim(), DRIVER, snapshot(), content(uid="x")), "another snapshot or driver"),
        ((claim(), DRIVER, snapshot(), content(handle="")), "not available"),
        ((claim("1Mi"), DRIVER, snapshot(), content()), "is less than the size"),
        ((claim(volumeMode="Block"), DRIVER, snapshot(), content()), "modifies the mode"),
    ],
)
def test_snapshots_that_are_none(args: Any, text: str) -> None:
    with pytest.raises(sources.UnusableSourceError, match=text):
        sources.from_snapshot(*args)
