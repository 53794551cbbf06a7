"""Drivers that tell how much room they have are asked; against a driver of our own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.csi.controller import TOTAL
from tests.unit.controllers.storage_driver import NAME, Playing, storage_cluster
from tests.unit.controllers.test_csi_provisioner import claim

from kybern.api import codec
from kybern.api.core.v1 import Node, PersistentVolumeClaim
from kybern.api.quantity import to_value
from kybern.api.storage.v1 import CSIDriver, CSIDriverSpec, CSIStorageCapacity, StorageClass
from kybern.lib.clock import run_virtual

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.controllers.cluster import Cluster

LATE: Any = {
    "metadata": {"name": "late"}, "provisioner": NAME, "volumeBindingMode": "WaitForFirstConsumer",
}  # fmt: skip
FAST: Any = {"metadata": {"name": "fast"}, "provisioner": NAME}


def play(path: Path, story: Any, **options: Any) -> None:
    driver = Playing(path, **options)

    async def main() -> None:
        async with storage_cluster(
            driver, "csi-capacity", "csi-provisioner", "pv-protection"
        ) as it:
            for tree in (LATE, FAST):
                await it.client.create(codec.from_tree(tree, StorageClass))
            for number in range(3):
                labels = {"metadata": {"labels": {"zone": f"z{number % 2}"}}}
                await it.client.patch(Node, f"node-{number}", "", labels)
            await story(it, driver)

    run_virtual(main())


async def tell(it: Cluster, *, yes: bool = True) -> None:
    driver = CSIDriver(spec=CSIDriverSpec(storageCapacity=yes))
    driver.metadata.name = NAME
    await it.client.create(driver)
    await it.settle(5)


async def told(it: Cluster) -> list[CSIStorageCapacity]:
    found = (await it.client.list(CSIStorageCapacity))[0]
    return sorted(found, key=lambda each: str(each.nodeTopology))


def test_each_place_has_its_number(tmp_path: Path) -> None:
    async def story(it: Cluster, driver: Playing) -> None:
        await tell(it)
        found = await told(it)
        places = [each.nodeTopology.matchLabels for each in found if each.nodeTopology]
        assert places == [{"zone": "z0"}, {"zone": "z1"}]
        assert {each.storageClassName for each in found} == {"late"}
        assert {to_value(each.capacity or "0") for each in found} == {TOTAL}
        it.writes.clear()
        await it.settle(300)
        assert it.writes == []  # nothing changed
        await claim(it, wait=5)
        assert {to_value(each.capacity or "0") for each in await told(it)} == {TOTAL - (2 << 30)}
        await it.client.delete(PersistentVolumeClaim, "c", "default")
        await it.client.delete(StorageClass, "late")
        await it.settle(5)
        assert await told(it) == []

    play(tmp_path, story, topology=(("zone", "z0"),))


def test_a_driver_without_places_has_one_number(tmp_path: Path) -> None:
    async def story(it: Cluster, driver: Playing) -> None:
        await tell(it)
        (found,) = await told(it)
        assert found.nodeTopology is not None
        assert not found.nodeTopology.matchLabels
        driver.faults["GetCapacity"] = ["INTERNAL"] * 3
        await it.settle(150)
        assert [each.metadata.uid for each in await told(it)] == [found.metadata.uid]
        await it.client.patch(CSIDriver, NAME, "", {"spec": {"storageCapacity": False}})
        await it.settle(5)
        assert await told(it) == []

    play(tmp_path, story)


def test_drivers_that_do_not_tell_are_not_asked(tmp_path: Path) -> None:
    async def story(it: Cluster, driver: Playing) -> None:
        await tell(it, yes=False)
        await it.settle(300)
        assert await told(it) == []
        assert driver.names("GetCapacity") == []

    play(tmp_path, story)
