"""Volumes come to nodes and leave them; against the real API server, with nodes that we play."""

from __future__ import annotations

from typing import Any

from tests.unit.controllers.cluster import Cluster, cluster

from kybern.api import codec
from kybern.api.core.v1 import Node, PersistentVolume, PersistentVolumeClaim, Pod
from kybern.api.storage.attachments import attachment_name, unique_name
from kybern.api.storage.v1 import CSIDriver, CSIDriverSpec, VolumeAttachment
from kybern.lib.clock import run_virtual

DRIVER = "disk.example.com"
SOURCE: Any = {"driver": DRIVER, "volumeHandle": "h1"}
VOLUME: Any = {
    "metadata": {"name": "v"},
    "spec": {
        "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "csi": SOURCE,
        "storageClassName": "none",
        "claimRef": {"kind": "PersistentVolumeClaim", "namespace": "default", "name": "c"},
    },
}  # fmt: skip
CLAIM: Any = {
    "metadata": {"name": "c", "namespace": "default"},
    "spec": {
        "accessModes": ["ReadWriteOnce"], "storageClassName": "none", "volumeName": "v",
        "resources": {"requests": {"storage": "1Gi"}},
    },
}  # fmt: skip
HANDLE = unique_name(codec.from_tree(VOLUME, PersistentVolume).spec.csi)  # type: ignore[arg-type]


def play(story: Any) -> None:
    async def main() -> None:
        async with cluster("persistentvolume-binder", "attachdetach") as it:
            await it.namespace()
            await it.settle(1)
            await it.client.create(codec.from_tree(VOLUME, PersistentVolume))
            await it.client.create(codec.from_tree(CLAIM, PersistentVolumeClaim))
            await it.settle(2)
            await story(it)
            it.detector.check()

    run_virtual(main())


async def pod(it: Cluster, name: str, node: str) -> None:
    tree = {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "nodeName": node, "containers": [{"name": "c", "image": "i"}],
            "volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "c"}}],
        },
    }  # fmt: skip
    await it.client.create(codec.from_tree(tree, Pod))
    await it.settle(1)


async def attachments(it: Cluster) -> list[tuple[str, bool]]:
    found = (await it.client.list(VolumeAttachment))[0]
    return [(a.spec.nodeName, a.metadata.deletionTimestamp is not None) for a in found]


async def attacher_says(it: Cluster, **status: Any) -> None:
    """Play the attacher: it did, or could not do, what the only attachment asks for."""
    (found,) = (await it.client.list(VolumeAttachment))[0]
    name = found.metadata.name or ""
    await it.client.patch(
        VolumeAttachment, name, "", {"status": status}, type="merge", subresource="status"
    )
    await it.settle(1)


async def node_says(it: Cluster, name: str, **status: Any) -> None:
    body = {"status": status}
    await it.client.patch(Node, name, "", body, type="strategic", subresource="status")
    await it.settle(1)


async def promised(it: Cluster, name: str) -> list[str]:
    node = await it.client.get(Node, name)
    return [each.name for each in node.status.volumesAttached or ()]


def test_a_volume_comes_to_the_node_of_its_pod_and_leaves_after_it() -> None:
    async def story(it: Cluster) -> None:
        await pod(it, "p", "node-0")
        (found,) = (await it.client.list(VolumeAttachment))[0]
        volume = codec.from_tree(VOLUME, PersistentVolume)
        assert volume.spec.csi is not None
        assert found.metadata.name == attachment_name(volume.spec.csi, "node-0")
        assert (found.spec.attacher, found.spec.source.persistentVolumeName) == (DRIVER, "v")
        assert await promised(it, "node-0") == []
        await attacher_says(it, attachError={"message": "rpc error: no", "time": None})
        await attacher_says(it, attached=True, attachError=None)
        assert await promised(it, "node-0") == [HANDLE]
        await node_says(it, "node-0", volumesInUse=[HANDLE])
        events = await it.events()
        failed = 'AttachVolume.Attach failed for volume "v" : rpc error: no'
        assert ("FailedAttachVolume", failed) in events
        succeeded = 'AttachVolume.Attach succeeded for volume "v" '
        assert ("SuccessfulAttachVolume", succeeded) in events
        # The pod goes, but the node still uses the volume: for longer than six minutes, too.
        await it.client.delete(Pod, "p", "default", grace=0)
        await it.settle(1000)
        assert await attachments(it) == [("node-0", False)]
        assert await promised(it, "node-0") == [HANDLE]
        await node_says(it, "node-0", volumesInUse=None)
        assert await attachments(it) == []
        assert await promised(it, "node-0") == []

    play(story)


def test_a_second_node_waits_for_the_first() -> None:
    async def story(it: Cluster) -> None:
        await pod(it, "p", "node-0")
        await attacher_says(it, attached=True)
        await node_says(it, "node-0", volumesInUse=[HANDLE])
        await pod(it, "q", "node-1")
        assert await attachments(it) == [("node-0", False)]
        text = 'Multi-Attach error for volume "v" Volume is already used by pod(s) p'
        assert ("FailedAttachVolume", text) in await it.events()
        await it.client.delete(Pod, "p", "default", grace=0)
        await it.settle(1)
        assert await attachments(it) == [("node-0", False)]
        await node_says(it, "node-0", volumesInUse=None)
        assert await attachments(it) == [("node-1", False)]

    play(story)


def test_a_lost_node_loses_its_volumes_after_six_minutes() -> None:
    async def story(it: Cluster) -> None:
        await pod(it, "p", "node-0")
        await attacher_says(it, attached=True)
        await node_says(it, "node-0", volumesInUse=[HANDLE])
        await it.client.delete(Pod, "p", "default", grace=0)
        await node_says(it, "node-0", conditions=[{"type": "Ready", "status": "Unknown"}])
        await it.settle(300)
        assert await attachments(it) == [("node-0", False)]
        await it.settle(70)
        assert await attachments(it) == []

    play(story)


def test_a_node_out_of_service_loses_them_at_once() -> None:
    async def story(it: Cluster) -> None:
        await pod(it, "p", "node-0")
        await attacher_says(it, attached=True)
        await node_says(it, "node-0", volumesInUse=[HANDLE])
        await pod(it, "q", "node-1")
        await it.client.delete(Pod, "p", "default", grace=0)
        taint = {"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}
        await it.client.patch(Node, "node-0", "", {"spec": {"taints": [taint]}})
        await it.settle(2)
        assert await attachments(it) == [("node-1", False)]

    play(story)


def test_a_node_that_is_gone_keeps_nothing() -> None:
    async def story(it: Cluster) -> None:
        await pod(it, "p", "node-0")
        await attacher_says(it, attached=True)
        await node_says(it, "node-0", volumesInUse=[HANDLE])
        await it.client.delete(Node, "node-0")
        await it.settle(2)
        assert await attachments(it) == []

    play(story)


def test_nothing_is_forgotten_or_done_twice_over_a_restart() -> None:
    async def story(it: Cluster) -> None:
        await pod(it, "p", "node-0")
        await it.restart_controllers()
        await it.settle(2)
        await attacher_says(it, attached=True)
        await it.restart_controllers()
        await it.settle(2)
        assert await attachments(it) == [("node-0", False)]
        assert await promised(it, "node-0") == [HANDLE]
        await it.client.delete(Pod, "p", "default", grace=0)
        await it.restart_controllers()
        await it.settle(2)
        assert await attachments(it) == []
        assert await promised(it, "node-0") == []
        it.writes.clear()
        await it.restart_controllers()
        await it.settle(600)
        assert it.writes == []

    play(story)


def test_foreign_attachments_and_drivers_that_do_not_attach_are_left_alone() -> None:
    async def story(it: Cluster) -> None:
        tree = {
            "metadata": {"name": "by-hand"},
            "spec": {"attacher": DRIVER, "nodeName": "x", "source": {"persistentVolumeName": "v"}},
        }
        await it.client.create(codec.from_tree(tree, VolumeAttachment))
        driver = CSIDriver(spec=CSIDriverSpec(attachRequired=False))
        driver.metadata.name = DRIVER
        await it.client.create(driver)
        await it.settle(1)
        await pod(it, "p", "node-0")
        await it.settle(400)
        assert await attachments(it) == [("x", False)]

    play(story)
