"""Stories of volumes of a storage driver on a node: what the driver is asked, and when."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.kubelet.csi.played import NAME, PlayedDriver
from tests.unit.kubelet.node_under_test import IMAGE, NodeUnderTest, play

from kybern.api import codec
from kybern.api.core.v1 import Node, PersistentVolume, PersistentVolumeClaim, Pod, Secret
from kybern.api.storage.v1 import CSIDriver, VolumeAttachment
from kybern.csi.messages import NodeRpc
from kybern.kubelet.csi.places import Places, attachment_name
from kybern.kubelet.server import volume_metrics
from kybern.lib.metrics import REGISTRY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

UNIQUE = f"kubernetes.io/csi/{NAME}^h"
CLAIMED = [{"name": "data", "persistentVolumeClaim": {"claimName": "c"}}]
INLINE = [{"name": "data", "csi": {"driver": NAME, "volumeAttributes": {"flavour": "vanilla"}}}]
USING = [{"name": "main", "image": IMAGE, "volumeMounts": [{"name": "data", "mountPath": "/d"}]}]


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> PlayedDriver:
    played = PlayedDriver()
    played.put_in(monkeypatch)
    return played


@pytest.fixture
def story(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, driver: PlayedDriver) -> Any:
    def run(tell: Callable[[NodeUnderTest], Awaitable[None]]) -> None:
        play(monkeypatch, tmp_path, tell)

    return run


async def there_is_a_driver(it: NodeUnderTest, **spec: Any) -> None:
    tree = {"metadata": {"name": NAME}, "spec": spec}
    await it.client.create(codec.from_tree(tree, CSIDriver))


async def there_is_a_claim(it: NodeUnderTest, **csi: Any) -> None:
    sizes = {"storage": "1Gi"}
    source = {"driver": NAME, "volumeHandle": "h", "volumeAttributes": {"a": "b"}, **csi}
    modes = {"accessModes": ["ReadWriteOnce"]}
    spec = {**modes, "resources": {"requests": sizes}, "volumeName": "v", "storageClassName": ""}
    tree: dict[str, Any] = {"metadata": {"name": "c", "namespace": "default"}, "spec": spec}
    claim = await it.client.create(codec.from_tree(tree, PersistentVolumeClaim))
    bound = {"namespace": "default", "name": "c", "uid": claim.metadata.uid}
    volume = {**modes, "capacity": sizes, "csi": source, "claimRef": bound}
    tree = {"metadata": {"name": "v"}, "spec": volume}
    await it.client.create(codec.from_tree(tree, PersistentVolume))
    status = {"phase": "Bound", "capacity": sizes}
    await change_claim(it, status)


async def change_claim(it: NodeUnderTest, status: dict[str, Any]) -> None:
    await it.client.patch(
        PersistentVolumeClaim, "c", "default", {"status": status}, subresource="status"
    )


async def attach(it: NodeUnderTest) -> None:
    spec = {"attacher": NAME, "nodeName": "one", "source": {"persistentVolumeName": "v"}}
    name = attachment_name("h", NAME, "one")
    tree: dict[str, Any] = {"metadata": {"name": name}, "spec": spec}
    await it.client.create(codec.from_tree(tree, VolumeAttachment))
    status: dict[str, Any] = {"attached": True, "attachmentMetadata": {"device": "sdb"}}
    await it.client.patch(VolumeAttachment, name, "", {"status": status}, subresource="status")
    status = {"volumesAttached": [{"name": UNIQUE, "devicePath": ""}]}
    await it.client.patch(Node, "one", "", {"status": status}, subresource="status")


async def in_use(it: NodeUnderTest) -> list[str]:
    return (await it.client.get(Node, "one")).status.volumesInUse or []


async def delete(it: NodeUnderTest, name: str = "pod") -> None:
    await it.client.delete(Pod, name, "default")


def test_a_volume_from_first_to_last(story: Any, driver: PlayedDriver) -> None:
    async def tell(it: NodeUnderTest) -> None:
        await driver.register()
        await there_is_a_claim(it)
        await it.create(volumes=CLAIMED, containers=USING)
        await it.settle(5)
        assert await in_use(it) == [UNIQUE]
        assert driver.names() == []  # it is not attached yet
        await attach(it)
        await it.settle()
        assert driver.names() == ["Stage", "Publish"]
        staged, published = driver.asked("NodeStageVolume"), driver.asked("NodePublishVolume")
        uid = (await it.get()).metadata.uid or ""
        places = Places(it.directory / "kubelet")
        assert staged.staging_target_path == str(places.staging(NAME, "h", "v", block=False))
        assert staged.publish_context == published.publish_context == {"device": "sdb"}
        assert staged.volume_context == published.volume_context == {"a": "b"}
        assert staged.volume_capability.access_mode.mode == 7
        target = places.target(uid, "v", block=False)
        assert published.target_path == str(target)
        assert published.staging_target_path == staged.staging_target_path
        assert target.is_dir()
        config = it.runtime.config_of(it.container())
        assert [m.host_path for m in config.mounts if m.container_path == "/d"] == [str(target)]

        await delete(it)
        await it.settle(10)
        assert driver.names()[2:] == ["Unpublish", "Unstage"]
        assert not await it.exists()
        assert await in_use(it) == []
        assert not any(places.staged.rglob("vol_data.json"))

    story(tell)


@pytest.mark.parametrize("moment", [0.0, 0.6, 1.2, 1.8, 2.4, 5.0])
def test_a_kubelet_that_is_killed(story: Any, driver: PlayedDriver, moment: float) -> None:
    """Whenever it happens, while volumes come or go: calls are in order, and nothing is left."""

    async def once_more(it: NodeUnderTest) -> None:
        await it.kill_kubelet()
        await it.start_kubelet()
        await driver.register()

    async def tell(it: NodeUnderTest) -> None:
        await driver.register()
        await there_is_a_driver(it, attachRequired=False)
        await there_is_a_claim(it)
        driver.seconds = 0.5
        await it.create("one", volumes=CLAIMED, containers=USING)
        await it.create("two", volumes=CLAIMED, containers=USING)
        await it.settle(moment)
        await once_more(it)
        await it.settle(20)
        for name in ("one", "two"):
            assert (await it.get(name)).status.phase == "Running"
            await delete(it, name)
        await it.settle(1 + moment)
        await once_more(it)
        await it.settle(90)
        assert not await it.exists("one")
        assert not await it.exists("two")
        assert driver.wrong == []
        assert (driver.staged, driver.published) == (set(), set())
        assert not any((it.directory / "kubelet").rglob("vol_data.json"))
        assert await in_use(it) == []

    story(tell)


def test_how_full_it_is(story: Any, driver: PlayedDriver) -> None:
    async def tell(it: NodeUnderTest) -> None:
        await driver.register()
        await there_is_a_driver(it, attachRequired=False)
        await there_is_a_claim(it)
        await it.create(volumes=CLAIMED, containers=USING)
        await it.settle()
        uid = (await it.get()).metadata.uid or ""
        assert it.kubelet._server is not None
        volumes = it.kubelet._server._csi.volumes
        await volume_metrics.update(volumes, [uid])
        labels = '{namespace="default",persistentvolumeclaim="c"}'
        page = REGISTRY.expose().decode()
        assert f"kubelet_volume_stats_available_bytes{labels} 1\n" in page
        assert f"kubelet_volume_stats_capacity_bytes{labels} 3\n" in page
        assert f"kubelet_volume_stats_used_bytes{labels} 2\n" in page
        await volume_metrics.update(volumes, [uid])
        asked = [name for name, _ in driver.calls if name == "NodeGetVolumeStats"]
        assert len(asked) == 1  # what was said is good for a minute
        await delete(it)
        await it.settle(10)
        await volume_metrics.update(volumes, [])
        assert labels not in REGISTRY.expose().decode()

    story(tell)


def test_pods_share_a_volume(story: Any, driver: PlayedDriver) -> None:
    async def tell(it: NodeUnderTest) -> None:
        await driver.register()
        await there_is_a_driver(it, attachRequired=False)
        await there_is_a_claim(it)
        await it.create("one", volumes=CLAIMED, containers=USING)
        await it.settle()
        await it.create("two", volumes=CLAIMED, containers=USING)
        await it.settle()
        assert driver.names() == ["Stage", "Publish", "Publish"]
        assert await in_use(it) == []  # nobody has to attach it
        await delete(it, "one")
        await it.settle(10)
        assert driver.names()[3:] == ["Unpublish"]
        await delete(it, "two")
        await it.settle(10)
        assert driver.names()[4:] == ["Unpublish", "Unstage"]

    story(tell)


def test_what_an_earlier_kubelet_has_left(story: Any, driver: PlayedDriver) -> None:
    async def tell(it: NodeUnderTest) -> None:
        await driver.register()
        await there_is_a_claim(it)
        await attach(it)
        await it.create(volumes=CLAIMED, containers=USING)
        await it.settle(5)
        assert driver.names() == ["Stage", "Publish"]
        await it.kill_kubelet()
        driver.calls.clear()
        await it.start_kubelet()
        assert await in_use(it) == [UNIQUE]
        await driver.register()
        await it.settle(5)
        assert driver.names() == ["Stage", "Publish"]  # drivers take that twice
        assert (await it.get()).status.phase == "Running"

        await it.kill_kubelet()
        driver.calls.clear()
        await it.client.delete(Pod, "pod", "default", grace=0)
        await it.start_kubelet()
        await it.settle(5)
        assert await in_use(it) == [UNIQUE]  # nobody can be asked yet
        await driver.register()
        await it.settle(60)
        assert driver.names() == ["Unpublish", "Unstage"]
        assert await in_use(it) == []

    story(tell)


def test_staged_and_never_published(story: Any, driver: PlayedDriver) -> None:
    async def tell(it: NodeUnderTest) -> None:
        await driver.register()
        await there_is_a_claim(it)
        await attach(it)
        driver.failing["NodePublishVolume"] = ["INTERNAL"] * 99
        await it.create(volumes=CLAIMED, containers=USING)
        await it.settle(5)
        said = 'MountVolume.SetUp failed for volume "v" : rpc error: code = Internal desc = no luck'
        assert ("Warning", "FailedMount", said) in await it.events()
        await it.kill_kubelet()
        await it.client.delete(Pod, "pod", "default", grace=0)
        await it.start_kubelet()
        await driver.register()
        driver.calls.clear()
        await it.settle(60)
        assert driver.names() == ["Unstage"]
        assert await in_use(it) == []

    story(tell)


def test_volumes_that_live_with_their_pod(story: Any, driver: PlayedDriver) -> None:
    async def tell(it: NodeUnderTest) -> None:
        await driver.register()
        await it.create(volumes=INLINE, containers=USING)
        await it.settle(2)
        said = f'volume mode "Ephemeral" not supported by driver {NAME} (no CSIDriver object)'
        assert any(said in message for _, _, message in await it.events())
        await there_is_a_driver(it, volumeLifecycleModes=["Ephemeral"], podInfoOnMount=True)
        await it.settle(60)
        assert driver.names() == ["Publish"]
        published, pod = driver.asked("NodePublishVolume"), await it.get()
        assert published.volume_id.startswith("csi-")
        assert published.staging_target_path == ""
        assert published.volume_context == {
            "flavour": "vanilla",
            "csi.storage.k8s.io/pod.name": "pod",
            "csi.storage.k8s.io/pod.namespace": "default",
            "csi.storage.k8s.io/pod.uid": pod.metadata.uid,
            "csi.storage.k8s.io/serviceAccount.name": "default",
            "csi.storage.k8s.io/ephemeral": "true",
        }
        await delete(it)
        await it.settle(10)
        assert driver.names()[1:] == ["Unpublish"]

    story(tell)


def test_a_driver_that_comes_late(story: Any, driver: PlayedDriver) -> None:
    async def tell(it: NodeUnderTest) -> None:
        await there_is_a_driver(it, attachRequired=False)
        await there_is_a_claim(it)
        await it.create(volumes=CLAIMED, containers=USING)
        await it.settle(40)
        said = (
            f'MountVolume.SetUp failed for volume "v" : driver name {NAME} not found in the list '
            "of registered CSI drivers"
        )
        assert ("Warning", "FailedMount", said) in await it.events()
        await driver.register()
        await it.settle(0.5)  # without waiting for the next try
        assert (await it.get()).status.phase == "Running"

    story(tell)


def test_a_volume_that_is_not_attached_in_time(story: Any, driver: PlayedDriver) -> None:
    async def tell(it: NodeUnderTest) -> None:
        await driver.register()
        await there_is_a_claim(it)
        await it.create(volumes=CLAIMED, containers=USING)
        await it.settle(130)
        said = (
            "Unable to attach or mount volumes: unmounted volumes=[data], unattached "
            "volumes=[data], failed to process volumes=[]: context deadline exceeded"
        )
        assert ("Warning", "FailedMount", said) in await it.events()
        await delete(it)
        await it.settle(10)
        assert driver.names() == []
        assert await in_use(it) == []

    story(tell)


@pytest.mark.parametrize("code", ["ABORTED", "INTERNAL"])
def test_failures_are_tried_again(story: Any, driver: PlayedDriver, code: str) -> None:
    async def tell(it: NodeUnderTest) -> None:
        await driver.register()
        await there_is_a_driver(it, attachRequired=False)
        await there_is_a_claim(it)
        for call in ("Stage", "Publish", "Unpublish", "Unstage"):
            driver.failing[f"Node{call}Volume"] = [code]
        await it.create(volumes=CLAIMED, containers=USING)
        await it.settle(20)
        assert driver.names() == ["Stage", "Stage", "Publish", "Publish"]
        spoken = "Aborted" if code == "ABORTED" else "Internal"
        said = (
            f'MountVolume.MountDevice failed for volume "v" : rpc error: code = {spoken} '
            "desc = no luck"
        )
        assert ("Warning", "FailedMount", said) in await it.events()
        await delete(it)
        await it.settle(30)
        assert driver.names()[4:] == ["Unpublish", "Unpublish", "Unstage", "Unstage"]
        assert not await it.exists()

    story(tell)


def test_a_pod_that_goes_while_its_driver_works(story: Any, driver: PlayedDriver) -> None:
    async def tell(it: NodeUnderTest) -> None:
        await driver.register()
        await there_is_a_driver(it, attachRequired=False)
        await there_is_a_claim(it)
        driver.slow["NodePublishVolume"] = asyncio.Event()
        await it.create(volumes=CLAIMED, containers=USING)
        await it.settle(5)
        assert driver.names() == ["Stage", "Publish"]
        await delete(it)
        await it.settle(10)
        assert driver.names()[2:] == ["Unpublish", "Unstage"]
        assert not await it.exists()

    story(tell)


def test_a_claim_that_grows(story: Any, driver: PlayedDriver) -> None:
    async def grow(it: NodeUnderTest, size: str) -> None:
        capacity = {"spec": {"capacity": {"storage": size}}}
        await it.client.patch(PersistentVolume, "v", "", capacity)
        condition = {"type": "FileSystemResizePending", "status": "True"}
        state = {"storage": "NodeResizePending"}
        await change_claim(it, {"conditions": [condition], "allocatedResourceStatuses": state})

    async def tell(it: NodeUnderTest) -> None:
        await driver.register()
        await there_is_a_driver(it, attachRequired=False)
        await there_is_a_claim(it)
        await it.create(volumes=CLAIMED, containers=USING)
        await it.settle()
        driver.failing["NodeExpandVolume"] = ["INTERNAL"]
        await grow(it, "2Gi")
        await it.settle(5)
        assert driver.names() == ["Stage", "Publish", "Expand", "Expand"]
        asked = driver.calls[-1][1]
        assert asked.capacity_range.required_bytes == 2 << 30
        assert (asked.volume_path, asked.staging_target_path) == (
            driver.asked("NodePublishVolume").target_path,
            driver.asked("NodeStageVolume").staging_target_path,
        )
        status = (await it.client.get(PersistentVolumeClaim, "c", "default")).status
        assert status.capacity == {"storage": "2Gi"}
        assert not status.conditions
        assert not status.allocatedResourceStatuses
        events = await it.events()
        said = 'MountVolume.NodeExpandVolume succeeded for volume "v" one'
        assert ("Normal", "FileSystemResizeSuccessful", said) in events
        assert "VolumeResizeFailed" in {reason for _, reason, _ in events}

        driver.failing["NodeExpandVolume"] = ["OUT_OF_RANGE"]
        await grow(it, "3Gi")
        await it.settle(300)
        assert driver.names()[4:] == ["Expand"]
        status = (await it.client.get(PersistentVolumeClaim, "c", "default")).status
        assert status.allocatedResourceStatuses == {"storage": "NodeResizeInfeasible"}

    story(tell)


def test_secrets_tokens_and_publishing_again(story: Any, driver: PlayedDriver) -> None:
    async def tell(it: NodeUnderTest) -> None:
        await driver.register()
        await there_is_a_driver(
            it, attachRequired=False, requiresRepublish=True, tokenRequests=[{"audience": "vault"}]
        )
        secret = {"metadata": {"name": "s", "namespace": "default"}, "stringData": {"key": "word"}}
        await it.client.create(codec.from_tree(secret, Secret))
        reference = {"namespace": "default", "name": "s"}
        await there_is_a_claim(it, nodeStageSecretRef=reference, nodePublishSecretRef=reference)
        await it.create(volumes=CLAIMED, containers=USING)
        await it.settle()
        assert driver.asked("NodeStageVolume").secrets == {"key": "word"}
        published = driver.asked("NodePublishVolume")
        assert published.secrets == {"key": "word"}
        tokens = json.loads(published.volume_context["csi.storage.k8s.io/serviceAccount.tokens"])
        assert set(tokens["vault"]) == {"token", "expirationTimestamp"}
        await it.settle(130)
        assert driver.names() == ["Stage", "Publish", "Publish", "Publish"]
        driver.failing["NodePublishVolume"] = ["INTERNAL"]
        await it.settle(70)
        assert driver.names()[4:] == ["Publish", "Publish"]
        assert (await it.get()).status.phase == "Running"

    story(tell)


def test_drivers_that_do_less(story: Any, driver: PlayedDriver) -> None:
    driver.rpcs = (NodeRpc.VOLUME_MOUNT_GROUP,)

    async def tell(it: NodeUnderTest) -> None:
        await driver.register()
        await there_is_a_driver(it, attachRequired=False)
        await there_is_a_claim(it, fsType="ext4")
        await it.create(volumes=CLAIMED, containers=USING, securityContext={"fsGroup": 42})
        await it.settle()
        published = driver.asked("NodePublishVolume")
        assert published.volume_capability.mount.volume_mount_group == "42"
        assert published.volume_capability.access_mode.mode == 1
        assert published.staging_target_path == ""
        await delete(it)
        await it.settle(10)
        assert driver.names() == ["Publish", "Unpublish"]

    story(tell)


def test_claims_that_lie(story: Any, driver: PlayedDriver) -> None:
    async def tell(it: NodeUnderTest) -> None:
        await driver.register()
        await there_is_a_driver(it, attachRequired=False)
        await there_is_a_claim(it)
        claim = await it.client.get(PersistentVolumeClaim, "c", "default")
        lie = {"spec": {"claimRef": {"uid": "another"}}}
        await it.client.patch(PersistentVolume, "v", "", lie)
        await it.create(volumes=CLAIMED, containers=USING)
        await it.settle(2)
        said = (
            "found PV object v but its pv.Spec.ClaimRef.UID another does not point to "
            f"claim.UID {claim.metadata.uid}"
        )
        assert any(said in message for _, _, message in await it.events())
        assert driver.names() == []

    story(tell)


def test_a_directory_is_no_device(story: Any, driver: PlayedDriver) -> None:
    async def tell(it: NodeUnderTest) -> None:
        await driver.register()
        await there_is_a_driver(it, attachRequired=False)
        await there_is_a_claim(it)
        devices = [{"name": "data", "devicePath": "/dev/x"}]
        container = {"name": "main", "image": IMAGE, "volumeDevices": devices}
        await it.create(volumes=CLAIMED, containers=[container])
        await it.settle(2)
        said = "volume data has volumeMode Filesystem, but is specified in volumeDevices"
        assert any(said in message for _, _, message in await it.events())
        assert driver.names() == []

    story(tell)
