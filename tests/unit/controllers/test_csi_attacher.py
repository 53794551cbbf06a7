"""Attachments are carried out by drivers; against the real API server and a driver of our own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.unit.controllers.storage_driver import NAME, Playing, storage_cluster
from tests.unit.controllers.test_attach_detach import attachments, pod, promised

from kybern.api import codec
from kybern.api.coordination.v1 import Lease, LeaseSpec
from kybern.api.core.v1 import PersistentVolume, PersistentVolumeClaim, Pod
from kybern.api.meta.v1 import ObjectMeta
from kybern.api.storage.attachments import attacher_finalizer
from kybern.api.storage.v1 import CSINode, VolumeAttachment
from kybern.csi import messages as m
from kybern.lib.clock import rfc3339_micro, run_virtual

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.controllers.cluster import Cluster

CLAIM: Any = {
    "metadata": {"name": "c", "namespace": "default"},
    "spec": {
        "accessModes": ["ReadWriteOnce"], "storageClassName": "none", "volumeName": "v",
        "resources": {"requests": {"storage": "1Gi"}},
    },
}  # fmt: skip
VOLUME: Any = {
    "metadata": {"name": "v"},
    "spec": {
        "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
        "csi": {"driver": NAME, "volumeHandle": "vol-one", "volumeAttributes": {"a": "b"}},
        "storageClassName": "none", "persistentVolumeReclaimPolicy": "Retain",
        "claimRef": {"kind": "PersistentVolumeClaim", "namespace": "default", "name": "c"},
    },
}  # fmt: skip
HANDLE = f"kubernetes.io/csi/{NAME}^vol-one"
CALLS = ("ControllerPublishVolume", "ControllerUnpublishVolume")


def play(path: Path, story: Any, **options: Any) -> None:
    driver = Playing(path, **options)
    wanted = m.CreateVolumeRequest(name="one", volume_capabilities=[m.VolumeCapability()])
    driver._services["Controller"].create_volume(wanted)  # type: ignore[attr-defined]

    async def main() -> None:
        async with storage_cluster(driver, "attachdetach", "csi-attacher") as it:
            await it.client.create(codec.from_tree(VOLUME, PersistentVolume))
            await it.client.create(codec.from_tree(CLAIM, PersistentVolumeClaim))
            await it.settle(2)
            await story(it, driver)

    run_virtual(main())


async def only(it: Cluster) -> VolumeAttachment:
    (found,) = (await it.client.list(VolumeAttachment))[0]
    return found


def test_a_volume_is_attached_and_detached(tmp_path: Path) -> None:
    async def story(it: Cluster, driver: Playing) -> None:
        await pod(it, "p", "node-0")
        found = await only(it)
        assert found.status.attached
        assert found.status.attachmentMetadata == {"attachedTo": "id-node-0"}
        assert found.metadata.finalizers == [attacher_finalizer(NAME)]
        assert driver.volumes()["vol-one"]["nodes"] == ["id-node-0"]
        (request,) = [r for name, r in driver.calls if name == "ControllerPublishVolume"]
        assert request.volume_context == {"a": "b"}
        mode = request.volume_capability.access_mode.mode
        assert mode == m.AccessModeType.SINGLE_NODE_MULTI_WRITER
        assert await promised(it, "node-0") == [HANDLE]
        # The volume is deleted by force; it stays as long as it is attached.
        await it.client.delete(PersistentVolume, "v")
        await it.client.delete(Pod, "p", "default", grace=0)
        await it.settle(2)
        assert await attachments(it) == []
        assert driver.volumes()["vol-one"]["nodes"] == []
        kept = await it.client.get(PersistentVolume, "v")
        assert attacher_finalizer(NAME) not in (kept.metadata.finalizers or ())
        assert driver.names(*CALLS) == list(CALLS)

    play(tmp_path, story)


def test_failures_are_told_and_tried_again_later(tmp_path: Path) -> None:
    async def story(it: Cluster, driver: Playing) -> None:
        driver.faults["ControllerPublishVolume"] = ["INTERNAL", "after:DEADLINE_EXCEEDED"]
        driver.faults["ControllerUnpublishVolume"] = ["INTERNAL"] * 3
        await pod(it, "p", "node-0")
        assert not (await only(it)).status.attached
        text = 'AttachVolume.Attach failed for volume "v" : rpc error: code = Internal desc = '
        assert ("FailedAttachVolume", text + "as told") in await it.events()
        await it.settle(10)
        found = await only(it)
        assert found.status.attached
        assert found.status.attachError is None
        await it.client.delete(Pod, "p", "default", grace=0)
        await it.settle(2)
        error = (await only(it)).status.detachError
        assert error is not None
        assert error.message == "rpc error: code = Internal desc = as told"
        await it.settle(20)
        assert await attachments(it) == []
        assert len(driver.names("ControllerUnpublishVolume")) == 4

    play(tmp_path, story)


def test_what_may_have_been_attached_is_detached(tmp_path: Path) -> None:
    """The driver did it, but nobody heard; the pod is gone before it is tried again."""

    async def story(it: Cluster, driver: Playing) -> None:
        driver.faults["ControllerPublishVolume"] = ["after:DEADLINE_EXCEEDED"] * 100
        await pod(it, "p", "node-0")
        assert driver.volumes()["vol-one"]["nodes"] == ["id-node-0"]
        await it.client.delete(Pod, "p", "default", grace=0)
        await it.restart_controllers()
        await it.settle(5)
        assert await attachments(it) == []
        assert driver.volumes()["vol-one"]["nodes"] == []

    play(tmp_path, story)


def test_drivers_that_do_not_attach_need_no_call(tmp_path: Path) -> None:
    async def story(it: Cluster, driver: Playing) -> None:
        await pod(it, "p", "node-0")
        found = await only(it)
        assert found.status.attached
        assert not found.metadata.finalizers
        assert driver.names(*CALLS) == []

    play(tmp_path, story, attach=False)


def test_the_sidecar_of_a_driver_has_precedence(tmp_path: Path) -> None:
    async def story(it: Cluster, driver: Playing) -> None:
        spec = LeaseSpec(
            holderIdentity="it", leaseDurationSeconds=60, renewTime=rfc3339_micro(it.clock.now())
        )
        name = "external-attacher-leader-directory-csi-kybern-io"
        meta = ObjectMeta(name=name, namespace="default")
        await it.client.create(Lease(metadata=meta, spec=spec))
        await pod(it, "p", "node-0")
        await it.settle(50)
        assert driver.names(*CALLS) == []
        await it.settle(120)
        assert (await only(it)).status.attached  # nobody renewed the lease

    play(tmp_path, story)


def test_a_driver_that_comes_late_does_what_waits(tmp_path: Path) -> None:
    async def story(it: Cluster, driver: Playing) -> None:
        for name in ("node-0", "node-1", "node-2"):
            await it.client.delete(CSINode, name)
        await it.settle(1)
        await pod(it, "p", "node-0")
        await it.settle(500)
        assert not (await only(it)).status.attached
        from tests.unit.controllers.storage_driver import register

        await register(it, "node-0", driver)
        await it.settle(1)
        assert (await only(it)).status.attached

    play(tmp_path, story)
