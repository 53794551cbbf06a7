"""Claims that ask for more get it; against the real API server and a driver of our own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.unit.controllers.storage_driver import NAME, Playing, storage_cluster
from tests.unit.controllers.test_csi_provisioner import claim, read

from kybern.api import codec
from kybern.api.core.v1 import PersistentVolume, PersistentVolumeClaim
from kybern.api.storage.v1 import StorageClass, VolumeAttributesClass
from kybern.lib.clock import run_virtual

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.controllers.cluster import Cluster

CLASS: Any = {"metadata": {"name": "fast"}, "provisioner": NAME, "allowVolumeExpansion": True}
CALLS = ("ControllerExpandVolume", "ControllerModifyVolume")


def play(path: Path, story: Any, **options: Any) -> None:
    driver = Playing(path, **options)

    async def main() -> None:
        async with storage_cluster(driver, "csi-provisioner", "csi-resizer") as it:
            await it.client.create(codec.from_tree(CLASS, StorageClass))
            for name, parameters in (("gold", {"iops": "9"}), ("bad", {"impossible": "1"})):
                tree = {"metadata": {"name": name}, "driverName": NAME, "parameters": parameters}
                await it.client.create(codec.from_tree(tree, VolumeAttributesClass))
            await claim(it)
            await story(it, driver)

    run_virtual(main())


async def ask(it: Cluster, size: str, wait: float = 2.0) -> PersistentVolumeClaim:
    body = {"spec": {"resources": {"requests": {"storage": size}}}}
    await it.client.patch(PersistentVolumeClaim, "c", "default", body)
    await it.settle(wait)
    return await read(it)


async def change(it: Cluster, name: str, wait: float = 2.0) -> PersistentVolumeClaim:
    body = {"spec": {"volumeAttributesClassName": name}}
    await it.client.patch(PersistentVolumeClaim, "c", "default", body)
    await it.settle(wait)
    return await read(it)


async def volume(it: Cluster) -> PersistentVolume:
    (found,) = (await it.client.list(PersistentVolume))[0]
    return found


def kinds(found: PersistentVolumeClaim) -> list[str]:
    return [each.type for each in found.status.conditions or ()]


def test_a_volume_grows(tmp_path: Path) -> None:
    async def story(it: Cluster, driver: Playing) -> None:
        found = await ask(it, "3Gi")
        assert found.status.capacity == {"storage": "3Gi"}
        assert found.status.allocatedResources == {"storage": "3Gi"}
        assert not found.status.allocatedResourceStatuses
        assert kinds(found) == []
        assert (await volume(it)).spec.capacity == {"storage": "3Gi"}
        assert next(iter(driver.volumes().values()))["size"] == 3 << 30
        assert ("VolumeResizeSuccessful", "Resize volume succeeded") in await it.events()

    play(tmp_path, story, node_expansion=False)


def test_the_node_does_the_rest(tmp_path: Path) -> None:
    async def story(it: Cluster, driver: Playing) -> None:
        found = await ask(it, "3Gi")
        assert found.status.capacity == {"storage": "2Gi"}
        assert found.status.allocatedResourceStatuses == {"storage": "NodeResizePending"}
        assert kinds(found) == ["FileSystemResizePending"]
        text = "Require file system resize of volume on node"
        assert ("FileSystemResizeRequired", text) in await it.events()
        assert (await volume(it)).spec.capacity == {"storage": "3Gi"}
        # The node has done it.
        done = {
            "capacity": {"storage": "3Gi"}, "allocatedResourceStatuses": None, "conditions": None,
        }  # fmt: skip
        await it.client.patch(
            PersistentVolumeClaim, "c", "default", {"status": done}, subresource="status"
        )
        await it.restart_controllers()
        await it.settle(60)
        assert driver.names(*CALLS) == ["ControllerExpandVolume"]

    play(tmp_path, story)


def test_what_fails_is_told_and_tried_again(tmp_path: Path) -> None:
    async def story(it: Cluster, driver: Playing) -> None:
        driver.faults["ControllerExpandVolume"] = ["UNAVAILABLE", "INTERNAL"]
        found = await ask(it, "3Gi", wait=0.5)
        assert found.status.capacity == {"storage": "2Gi"}
        assert found.status.allocatedResourceStatuses == {"storage": "ControllerResizeInProgress"}
        assert "ControllerResizeError" in kinds(found)
        assert any(reason == "VolumeResizeFailed" for reason, _ in await it.events())
        await it.settle(10)
        found = await read(it)
        assert found.status.capacity == {"storage": "3Gi"}
        assert kinds(found) == []

    play(tmp_path, story, node_expansion=False)


def test_a_wish_too_large_can_be_taken_back(tmp_path: Path) -> None:
    async def story(it: Cluster, driver: Playing) -> None:
        driver.faults["ControllerExpandVolume"] = ["OUT_OF_RANGE"] * 3
        found = await ask(it, "9Gi", wait=5)
        assert found.status.allocatedResourceStatuses == {"storage": "ControllerResizeInfeasible"}
        driver.faults.clear()
        found = await ask(it, "3Gi", wait=10)
        assert found.status.capacity == {"storage": "3Gi"}
        assert found.status.allocatedResources == {"storage": "3Gi"}
        assert not found.status.allocatedResourceStatuses
        assert next(iter(driver.volumes().values()))["size"] == 3 << 30

    play(tmp_path, story, node_expansion=False)


def test_a_volume_gets_other_attributes(tmp_path: Path) -> None:
    async def story(it: Cluster, driver: Playing) -> None:
        found = await change(it, "gold")
        assert found.status.currentVolumeAttributesClassName == "gold"
        assert found.status.modifyVolumeStatus is None
        assert kinds(found) == []
        assert (await volume(it)).spec.volumeAttributesClassName == "gold"
        assert next(iter(driver.volumes().values()))["mutable"] == {"iops": "9"}
        assert any(reason == "VolumeModifySuccessful" for reason, _ in await it.events())
        found = await change(it, "bad")
        assert found.status.currentVolumeAttributesClassName == "gold"
        assert found.status.modifyVolumeStatus is not None
        assert found.status.modifyVolumeStatus.status == "Infeasible"
        assert kinds(found) == ["ModifyVolumeError"]
        found = await change(it, "gold", wait=5)
        assert found.status.currentVolumeAttributesClassName == "gold"
        assert found.status.modifyVolumeStatus is None

    play(tmp_path, story)


def test_a_class_that_is_not_there_is_waited_for(tmp_path: Path) -> None:
    async def story(it: Cluster, driver: Playing) -> None:
        found = await change(it, "later")
        assert found.status.modifyVolumeStatus is not None
        assert found.status.modifyVolumeStatus.status == "Pending"
        tree = {"metadata": {"name": "later"}, "driverName": NAME, "parameters": {"iops": "3"}}
        await it.client.create(codec.from_tree(tree, VolumeAttributesClass))
        await it.settle(2)
        assert (await read(it)).status.currentVolumeAttributesClassName == "later"

    play(tmp_path, story)
