"""Snapshots are taken, restored and removed; against the real API server and our own driver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.controllers.storage_driver import NAME, Playing, storage_cluster
from tests.unit.controllers.test_csi_provisioner import claim, gone, read

from kybern.api import codec
from kybern.api.core.v1 import PersistentVolumeClaim, Secret
from kybern.api.snapshot import words
from kybern.api.snapshot.v1 import VolumeSnapshot, VolumeSnapshotClass, VolumeSnapshotContent
from kybern.api.storage.v1 import StorageClass
from kybern.lib.clock import run_virtual

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.controllers.cluster import Cluster

CLASS: Any = {"metadata": {"name": "fast"}, "provisioner": NAME}
SNAPSHOTS: Any = {
    "metadata": {"name": "daily", "annotations": {words.DEFAULT_CLASS: "true"}},
    "driver": NAME, "deletionPolicy": "Delete",
    "parameters": {
        "kind": "cold", "csi.storage.k8s.io/snapshotter-secret-name": "s",
        "csi.storage.k8s.io/snapshotter-secret-namespace": "${volumesnapshot.namespace}",
    },
}  # fmt: skip


def play(path: Path, story: Any) -> None:
    driver = Playing(path)

    async def main() -> None:
        names = ("csi-provisioner", "csi-snapshotter", "volume-snapshot-controller")
        async with storage_cluster(driver, *names, "pvc-protection", "pv-protection") as it:
            await it.client.create(codec.from_tree(CLASS, StorageClass))
            await it.client.create(codec.from_tree(SNAPSHOTS, VolumeSnapshotClass))
            secret = {
                "metadata": {"name": "s", "namespace": "default"}, "stringData": {"key": "word"},
            }  # fmt: skip
            await it.client.create(codec.from_tree(secret, Secret))
            await claim(it)
            await story(it, driver)

    run_virtual(main())


async def snapshot(it: Cluster, wait: float = 2.0, **spec: Any) -> VolumeSnapshot:
    source = {"source": {"persistentVolumeClaimName": "c"}}
    tree = {"metadata": {"name": "s", "namespace": "default"}, "spec": {**source, **spec}}
    await it.client.create(codec.from_tree(tree, VolumeSnapshot))
    await it.settle(wait)
    return await found(it)


async def found(it: Cluster) -> VolumeSnapshot:
    return await it.client.get(VolumeSnapshot, "s", "default")


async def delete(it: Cluster, wait: float = 3.0) -> None:
    await it.client.delete(VolumeSnapshot, "s", "default")
    await it.settle(wait)


async def nothing_left(it: Cluster, driver: Playing) -> None:
    assert (await it.client.list(VolumeSnapshot, "default"))[0] == []
    assert (await it.client.list(VolumeSnapshotContent))[0] == []
    assert driver.snapshots() == {}


def write(path: Path, driver: Playing, text: str) -> None:
    (handle,) = driver.volumes()
    (path / "volumes" / handle / "data").write_text(text)


def test_a_snapshot_is_taken_restored_and_removed(tmp_path: Path) -> None:
    async def story(it: Cluster, driver: Playing) -> None:
        write(tmp_path, driver, "before")
        taken = await snapshot(it)
        assert taken.spec.volumeSnapshotClassName == "daily"
        assert taken.status.readyToUse
        assert taken.status.restoreSize == "2Gi"
        assert taken.metadata.finalizers == [words.AS_SOURCE, words.BOUND]
        name = f"snapcontent-{taken.metadata.uid}"
        assert taken.status.boundVolumeSnapshotContentName == name
        content = await it.client.get(VolumeSnapshotContent, name)
        assert content.status.snapshotHandle == f"snap-snapshot-{taken.metadata.uid}"
        assert words.BEING_CREATED not in (content.metadata.annotations or {})
        assert words.CLAIM not in ((await read(it)).metadata.finalizers or ())
        (request,) = [r for method, r in driver.calls if method == "CreateSnapshot"]
        assert request.parameters == {"kind": "cold"}
        assert request.secrets == {"key": "word"}
        reasons = {reason for reason, _ in await it.events()}
        assert {"CreatingSnapshot", "SnapshotCreated", "SnapshotReady"} <= reasons
        # What the claim has now is not what is restored.
        write(tmp_path, driver, "after")
        source = {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "s"}
        made = await claim(it, "d", dataSource=source)
        assert (await read(it, "d")).status.phase == "Bound"
        copy = tmp_path / "volumes" / f"vol-pvc-{made.metadata.uid}" / "data"
        assert copy.read_text() == "before"
        await it.client.delete(Secret, "s", "default")
        await delete(it)
        await nothing_left(it, driver)

    play(tmp_path, story)


@pytest.mark.parametrize("code", ["after:DEADLINE_EXCEEDED", "INTERNAL"])
def test_what_fails_is_told_and_tried_again(tmp_path: Path, code: str) -> None:
    async def story(it: Cluster, driver: Playing) -> None:
        driver.faults["CreateSnapshot"] = [code, code]
        driver.faults["DeleteSnapshot"] = ["INTERNAL"]
        taken = await snapshot(it, wait=0.5)
        assert not taken.status.readyToUse
        assert taken.status.error is not None
        assert "rpc error: code = " in (taken.status.error.message or "")
        assert words.CLAIM in ((await read(it)).metadata.finalizers or ())
        await it.settle(10)
        taken = await found(it)
        assert taken.status.readyToUse
        assert taken.status.error is None
        await delete(it, wait=10)
        await nothing_left(it, driver)

    play(tmp_path, story)


@pytest.mark.parametrize("restart", [False, True])
def test_one_deleted_while_it_is_taken_is_removed(tmp_path: Path, restart: bool) -> None:
    async def story(it: Cluster, driver: Playing) -> None:
        driver.faults["CreateSnapshot"] = ["after:DEADLINE_EXCEEDED"]
        await snapshot(it, wait=0.5)
        assert len(driver.snapshots()) == 1
        if restart:
            await it.restart_controllers()
        await delete(it, wait=10)
        await nothing_left(it, driver)

    play(tmp_path, story)


def test_one_forced_away_takes_its_content_along(tmp_path: Path) -> None:
    async def story(it: Cluster, driver: Playing) -> None:
        await snapshot(it)
        await it.stop_controllers()
        await it.client.delete(VolumeSnapshot, "s", "default")
        body = {"metadata": {"finalizers": None}}
        await it.client.patch(VolumeSnapshot, "s", "default", body)
        await it.settle(1)
        it.start_controllers()
        await it.settle(5)
        await nothing_left(it, driver)

    play(tmp_path, story)


def test_what_cannot_be_taken_says_why(tmp_path: Path) -> None:
    async def story(it: Cluster, driver: Playing) -> None:
        taken = await snapshot(it, source={"persistentVolumeClaimName": "x"})
        assert taken.status.error is not None
        text = 'Failed to create snapshot content with error persistentvolumeclaim "x" not found'
        assert taken.status.error.message == text
        await delete(it)
        taken = await snapshot(it, volumeSnapshotClassName="x")
        assert taken.status.error is not None
        assert (taken.status.error.message or "").endswith('volumesnapshotclass "x" not found')
        await it.client.delete(VolumeSnapshotClass, "daily")
        await it.settle(1)
        await delete(it)
        taken = await snapshot(it)
        assert taken.status.error is not None
        assert "cannot find default snapshot class" in (taken.status.error.message or "")
        assert driver.names("CreateSnapshot") == []
        await it.client.create(codec.from_tree(SNAPSHOTS, VolumeSnapshotClass))
        await it.settle(2)
        assert (await found(it)).status.readyToUse

    play(tmp_path, story)


def test_a_claim_stays_until_its_snapshot_is_taken(tmp_path: Path) -> None:
    async def story(it: Cluster, driver: Playing) -> None:
        driver.faults["CreateSnapshot"] = ["UNAVAILABLE"]
        await snapshot(it, wait=0.5)
        await it.client.delete(PersistentVolumeClaim, "c", "default")
        await it.settle(0.2)
        assert not await gone(it)
        await it.settle(10)
        assert await gone(it)
        assert (await found(it)).status.readyToUse

    play(tmp_path, story)


def test_one_that_was_there_before_is_bound(tmp_path: Path) -> None:
    async def story(it: Cluster, driver: Playing) -> None:
        keep = {**SNAPSHOTS, "metadata": {"name": "keep"}, "deletionPolicy": "Retain"}
        await it.client.create(codec.from_tree(keep, VolumeSnapshotClass))
        first = await snapshot(it, volumeSnapshotClassName="keep")
        handle = f"snap-snapshot-{first.metadata.uid}"
        await delete(it)
        name = f"snapcontent-{first.metadata.uid}"
        content = await it.client.get(VolumeSnapshotContent, name)  # it stays, and so does the data
        await it.client.delete(VolumeSnapshotContent, content.metadata.name or "")
        await it.settle(3)
        assert (await it.client.list(VolumeSnapshotContent))[0] == []
        assert list(driver.snapshots()) == [handle]
        tree = {
            "metadata": {"name": "old"},
            "spec": {
                "driver": NAME, "deletionPolicy": "Delete", "source": {"snapshotHandle": handle},
                "volumeSnapshotRef": {"name": "s", "namespace": "default"},
            },
        }  # fmt: skip
        await it.client.create(codec.from_tree(tree, VolumeSnapshotContent))
        taken = await snapshot(it, source={"volumeSnapshotContentName": "old"})
        assert taken.status.readyToUse
        assert taken.status.boundVolumeSnapshotContentName == "old"
        await delete(it)
        await nothing_left(it, driver)

    play(tmp_path, story)


def test_nothing_is_done_twice(tmp_path: Path) -> None:
    async def story(it: Cluster, driver: Playing) -> None:
        await snapshot(it)
        it.writes.clear()
        await it.restart_controllers()
        await it.settle(300)
        assert it.writes == []
        assert driver.names("CreateSnapshot") == ["CreateSnapshot"]

    play(tmp_path, story)
