"""Claims get volumes from a driver; against the real API server and a driver of our own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.controllers.storage_driver import NAME, Playing, storage_cluster

from kybern.api import codec, errors
from kybern.api.core.v1 import Node, PersistentVolume, PersistentVolumeClaim, Secret
from kybern.api.storage.v1 import StorageClass, VolumeAttributesClass
from kybern.controllers.csiprovisioner.plan import FINALIZER, MAKING
from kybern.lib.clock import run_virtual

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.controllers.cluster import Cluster

CLASS: Any = {
    "metadata": {"name": "fast"}, "provisioner": NAME, "allowVolumeExpansion": True,
    "parameters": {
        "kind": "ssd", "csi.storage.k8s.io/fstype": "xfs",
        "csi.storage.k8s.io/provisioner-secret-name": "s-${pvc.name}",
        "csi.storage.k8s.io/provisioner-secret-namespace": "${pvc.namespace}",
    },
    "mountOptions": ["noatime"],
}  # fmt: skip
CALLS = ("CreateVolume", "DeleteVolume")


def play(path: Path, story: Any, **options: Any) -> None:
    driver = Playing(path, **options)

    async def main() -> None:
        async with storage_cluster(
            driver, "csi-provisioner", "pv-protection", "pvc-protection"
        ) as it:
            await it.client.create(codec.from_tree(CLASS, StorageClass))
            secret = {
                "metadata": {"name": "s-c", "namespace": "default"}, "stringData": {"key": "word"},
            }  # fmt: skip
            await it.client.create(codec.from_tree(secret, Secret))
            await story(it, driver)

    run_virtual(main())


async def claim(it: Cluster, name: str = "c", wait: float = 2.0, **spec: Any) -> Any:
    tree = {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "fast",
            "resources": {"requests": {"storage": "2Gi"}}, **spec,
        },
    }  # fmt: skip
    made = await it.client.create(codec.from_tree(tree, PersistentVolumeClaim))
    await it.settle(wait)
    return made


async def read(it: Cluster, name: str = "c") -> PersistentVolumeClaim:
    return await it.client.get(PersistentVolumeClaim, name, "default")


async def gone(it: Cluster, name: str = "c") -> bool:
    try:
        await read(it, name)
    except errors.NotFound:
        return True
    return False


async def nothing_left(it: Cluster, driver: Playing) -> None:
    assert (await it.client.list(PersistentVolume))[0] == []
    assert (await it.client.list(PersistentVolumeClaim, "default"))[0] == []
    assert driver.volumes() == {}


def test_a_claim_gets_a_volume_and_takes_it_along(tmp_path: Path) -> None:
    async def story(it: Cluster, driver: Playing) -> None:
        made = await claim(it)
        found = await read(it)
        name = f"pvc-{made.metadata.uid}"
        assert (found.status.phase, found.spec.volumeName) == ("Bound", name)
        assert MAKING not in (found.metadata.finalizers or ())
        volume = await it.client.get(PersistentVolume, name)
        source = volume.spec.csi
        assert source is not None
        assert (source.driver, source.volumeHandle, source.fsType) == (NAME, f"vol-{name}", "xfs")
        assert (source.volumeAttributes or {})["name"] == name
        assert volume.spec.capacity == {"storage": "2Gi"}
        assert volume.spec.mountOptions == ["noatime"]
        assert FINALIZER in (volume.metadata.finalizers or ())
        annotations = volume.metadata.annotations or {}
        assert annotations["pv.kubernetes.io/provisioned-by"] == NAME
        assert annotations["volume.kubernetes.io/provisioner-deletion-secret-name"] == "s-c"
        (request,) = [r for method, r in driver.calls if method == "CreateVolume"]
        assert request.parameters == {"kind": "ssd"}
        assert request.secrets == {"key": "word"}
        assert request.volume_capabilities[0].mount.mount_flags == ["noatime"]
        events = dict(await it.events())
        assert events["ProvisioningSucceeded"] == f"Successfully provisioned volume {name}"
        await it.client.delete(PersistentVolumeClaim, "c", "default")
        await it.settle(2)
        await nothing_left(it, driver)
        (removal,) = [r for method, r in driver.calls if method == "DeleteVolume"]
        assert removal.secrets == {"key": "word"}

    play(tmp_path, story)


def test_a_volume_that_is_to_stay_stays(tmp_path: Path) -> None:
    async def story(it: Cluster, driver: Playing) -> None:
        keep = CLASS | {"metadata": {"name": "keep"}, "reclaimPolicy": "Retain"}
        await it.client.create(codec.from_tree(keep, StorageClass))
        await claim(it, storageClassName="keep")
        await it.client.delete(PersistentVolumeClaim, "c", "default")
        await it.settle(5)
        (volume,) = (await it.client.list(PersistentVolume))[0]
        assert volume.status.phase == "Released"
        await it.client.delete(PersistentVolume, volume.metadata.name or "")
        await it.settle(5)
        assert (await it.client.list(PersistentVolume))[0] == []
        assert len(driver.volumes()) == 1

    play(tmp_path, story)


@pytest.mark.parametrize(
    "code", ["after:DEADLINE_EXCEEDED", "after:UNAVAILABLE", "INVALID_ARGUMENT", "INTERNAL"]
)
def test_what_fails_is_tried_again_and_nothing_is_left(tmp_path: Path, code: str) -> None:
    async def story(it: Cluster, driver: Playing) -> None:
        driver.faults["CreateVolume"] = [code, code]
        await claim(it, wait=1)
        failed = [text for reason, text in await it.events() if reason == "ProvisioningFailed"]
        assert failed
        assert failed[0].startswith('failed to provision volume with StorageClass "fast": rpc err')
        await it.settle(10)
        assert (await read(it)).status.phase == "Bound"
        assert len(driver.volumes()) == 1
        await it.client.delete(PersistentVolumeClaim, "c", "default")
        await it.settle(2)
        await nothing_left(it, driver)

    play(tmp_path, story)


@pytest.mark.parametrize("restart", [False, True])
def test_a_claim_deleted_while_its_volume_is_made_leaves_none(
    tmp_path: Path, restart: bool
) -> None:
    async def story(it: Cluster, driver: Playing) -> None:
        driver.faults["CreateVolume"] = ["after:DEADLINE_EXCEEDED"]
        await claim(it, wait=0.5)
        assert len(driver.volumes()) == 1
        assert MAKING in ((await read(it)).metadata.finalizers or ())
        if restart:
            await it.stop_controllers()
        await it.client.delete(PersistentVolumeClaim, "c", "default")
        await it.settle(0.2)
        if restart:
            assert not await gone(it)
            it.start_controllers()
        await it.settle(5)
        await nothing_left(it, driver)

    play(tmp_path, story)


def test_removing_is_tried_until_it_is_done(tmp_path: Path) -> None:
    async def story(it: Cluster, driver: Playing) -> None:
        await claim(it)
        driver.faults["DeleteVolume"] = ["INTERNAL", "INTERNAL"]
        await it.client.delete(Secret, "s-c", "default")
        await it.client.delete(PersistentVolumeClaim, "c", "default")
        await it.settle(1)
        (volume,) = (await it.client.list(PersistentVolume))[0]
        assert volume.status.phase == "Released"
        assert "VolumeFailedDelete" in dict(await it.events("default"))
        await it.settle(10)
        await nothing_left(it, driver)

    play(tmp_path, story)


def test_a_clone_is_filled_from_another_claim(tmp_path: Path) -> None:
    async def story(it: Cluster, driver: Playing) -> None:
        await claim(it)
        handle = next(iter(driver.volumes()))
        (tmp_path / "volumes" / handle / "data").write_text("precious")
        other = {"kind": "PersistentVolumeClaim", "name": "c"}
        small = {"requests": {"storage": "1Gi"}}
        secret = {"metadata": {"name": "s-d", "namespace": "default"}}
        await it.client.create(codec.from_tree(secret, Secret))
        await it.client.create(
            codec.from_tree({"metadata": {"name": "s-e", "namespace": "default"}}, Secret)
        )
        await claim(it, "e", dataSource=other, resources=small)
        assert (await read(it, "e")).status.phase == "Pending"
        assert any("must be greater than or equal" in text for _, text in await it.events())
        driver.faults["CreateVolume"] = ["UNAVAILABLE"]
        made = await claim(it, "d", wait=0.5, dataSource=other)
        cloning = "provisioner.storage.kubernetes.io/cloning-protection"
        assert cloning in ((await read(it)).metadata.finalizers or ())
        await it.settle(5)
        assert (await read(it, "d")).status.phase == "Bound"
        copy = tmp_path / "volumes" / f"vol-pvc-{made.metadata.uid}" / "data"
        assert copy.read_text() == "precious"
        await it.client.delete(PersistentVolumeClaim, "e", "default")
        await it.settle(5)
        assert cloning not in ((await read(it)).metadata.finalizers or ())

    play(tmp_path, story)


def test_a_volume_is_made_where_its_pod_will_run(tmp_path: Path) -> None:
    async def story(it: Cluster, driver: Playing) -> None:
        for number in range(3):
            labels = {"metadata": {"labels": {"zone": f"z{number}"}}}
            await it.client.patch(Node, f"node-{number}", "", labels)
        late = CLASS | {"metadata": {"name": "late"}, "volumeBindingMode": "WaitForFirstConsumer"}
        await it.client.create(codec.from_tree(late, StorageClass))
        await claim(it, storageClassName="late")
        assert (await read(it)).status.phase == "Pending"
        assert driver.names("CreateVolume") == []
        chosen = {"metadata": {"annotations": {"volume.kubernetes.io/selected-node": "node-1"}}}
        await it.client.patch(PersistentVolumeClaim, "c", "default", chosen)
        await it.settle(2)
        (volume,) = (await it.client.list(PersistentVolume))[0]
        assert volume.spec.nodeAffinity is not None
        assert codec.to_tree(volume.spec.nodeAffinity) == {
            "required": {
                "nodeSelectorTerms": [
                    {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["z1"]}]}
                ]
            }
        }
        (request,) = [r for method, r in driver.calls if method == "CreateVolume"]
        where = request.accessibility_requirements
        assert [t.segments["zone"] for t in where.requisite] == ["z0", "z1", "z2"]
        assert [t.segments["zone"] for t in where.preferred] == ["z1", "z2", "z0"]

    play(tmp_path, story, topology=(("zone", "z0"),))


def test_where_there_is_no_room_another_node_is_chosen(tmp_path: Path) -> None:
    async def story(it: Cluster, driver: Playing) -> None:
        for number in range(3):
            labels = {"metadata": {"labels": {"zone": f"z{number}"}}}
            await it.client.patch(Node, f"node-{number}", "", labels)
        driver.faults["CreateVolume"] = ["RESOURCE_EXHAUSTED"]
        late = CLASS | {"metadata": {"name": "late"}, "volumeBindingMode": "WaitForFirstConsumer"}
        await it.client.create(codec.from_tree(late, StorageClass))
        await claim(it, storageClassName="late")
        key = "volume.kubernetes.io/selected-node"
        await it.client.patch(
            PersistentVolumeClaim, "c", "default", {"metadata": {"annotations": {key: "node-1"}}}
        )
        await it.settle(5)
        assert key not in ((await read(it)).metadata.annotations or {})

    play(tmp_path, story, topology=(("zone", "z0"),))


def test_a_class_of_attributes_goes_into_the_call(tmp_path: Path) -> None:
    async def story(it: Cluster, driver: Playing) -> None:
        tree = {"metadata": {"name": "gold"}, "driverName": NAME, "parameters": {"iops": "9"}}
        await it.client.create(codec.from_tree(tree, VolumeAttributesClass))
        await claim(it, volumeAttributesClassName="gold")
        found = await read(it)
        assert found.status.phase == "Bound"
        assert found.status.currentVolumeAttributesClassName == "gold"
        (volume,) = driver.volumes().values()
        assert volume["mutable"] == {"iops": "9"}

    play(tmp_path, story)


def test_nothing_is_done_twice(tmp_path: Path) -> None:
    async def story(it: Cluster, driver: Playing) -> None:
        await claim(it)
        await it.restart_controllers()
        await it.settle(5)
        assert driver.names(*CALLS) == ["CreateVolume"]
        it.writes.clear()
        await it.restart_controllers()
        await it.settle(300)
        assert it.writes == []

    play(tmp_path, story)
