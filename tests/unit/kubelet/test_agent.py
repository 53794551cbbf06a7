"""Stories of pods on a node: what a user sees when things happen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.conformance.marks import conforms
from tests.unit.kubelet.node_under_test import IMAGE, NodeUnderTest, play

from kybern.api import codec
from kybern.api.coordination.v1 import Lease
from kybern.api.core.v1 import ConfigMap, Event, Node, Pod, Secret, Service
from kybern.api.node.v1 import RuntimeClass
from kybern.kubelet.runtime.interface import RuntimeFailure
from kybern.kubelet.runtime.messages import service as v
from kybern.lib.clock import rfc3339

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

Story = "Callable[[Callable[[NodeUnderTest], Awaitable[None]]], None]"


@pytest.fixture
def story(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    def run(tell: Callable[[NodeUnderTest], Awaitable[None]]) -> None:
        play(monkeypatch, tmp_path, tell)

    return run


def conditions(pod: Pod) -> dict[str, str]:
    return {c.type: c.status for c in pod.status.conditions or ()}


def waiting(pod: Pod, index: int = 0) -> tuple[str, str]:
    state = (pod.status.containerStatuses or [])[index].state
    assert state is not None
    assert state.waiting is not None, state
    return state.waiting.reason or "", state.waiting.message or ""


def test_the_node_registers_and_keeps_its_lease(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        node = await it.client.get(Node, "one")
        assert {c.type: c.status for c in node.status.conditions or ()} == {
            "MemoryPressure": "False",
            "DiskPressure": "False",
            "PIDPressure": "False",
            "Ready": "True",
        }
        labels = node.metadata.labels or {}
        assert labels["kubernetes.io/hostname"] == "one"
        assert labels["kubernetes.io/os"] == "linux"
        assert (node.status.allocatable or {})["pods"] == "110"
        assert [(a.type, a.address) for a in node.status.addresses or ()] == [
            ("InternalIP", "192.0.2.7"),
            ("Hostname", "one"),
        ]
        assert node.status.nodeInfo is not None
        assert node.status.nodeInfo.containerRuntimeVersion == "fake://1.0"
        first = await it.client.get(Lease, "one", "kube-node-lease")
        await it.settle(60)
        later = await it.client.get(Lease, "one", "kube-node-lease")
        assert (later.spec.renewTime or "") > (first.spec.renewTime or "")
        assert first.metadata.ownerReferences is not None
        assert first.metadata.ownerReferences[0].uid == node.metadata.uid

    story(tell)


def test_what_happens_to_the_node_is_told(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        said = await it.events("one")
        assert said[0] == ("Normal", "Starting", "Starting kubelet.")
        assert ("Normal", "NodeReady", "Node one status is now: NodeReady") in said
        assert [reason for _, reason, _ in said] == [
            "Starting", "NodeHasSufficientMemory", "NodeHasNoDiskPressure",
            "NodeHasSufficientPID", "NodeReady",
        ]  # fmt: skip
        for unschedulable in (True, False):
            await it.client.patch(Node, "one", "", {"spec": {"unschedulable": unschedulable}})
            await it.settle()
        it.runtime.network_ready = False
        await it.settle(301)
        assert [reason for _, reason, _ in (await it.events("one"))[5:]] == [
            "NodeNotSchedulable", "NodeSchedulable", "NodeNotReady",
        ]  # fmt: skip

    story(tell)


def test_a_node_that_was_given_up_says_that_it_is_there(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        before = await it.client.get(Node, "one")
        await it.settle(20)
        lost = [
            {"type": c.type, "status": "Unknown", "reason": "NodeStatusUnknown"}
            for c in before.status.conditions or ()
        ]
        body = {"status": {"conditions": lost}}
        await it.client.patch(Node, "one", "", body, type="strategic", subresource="status")
        await it.settle(1)
        node = await it.client.get(Node, "one")
        found = {c.type: c for c in node.status.conditions or ()}
        assert {kind: c.status for kind, c in found.items()} == {
            c.type: c.status for c in before.status.conditions or ()
        }
        stamp = rfc3339(it.clock.now() - 1)
        assert all((c.lastTransitionTime or "") >= stamp for c in found.values())
        told = {e.reason: e.count for e in (await it.client.list(Event, "default"))[0]}
        assert told == {
            "Starting": 1, "NodeHasSufficientMemory": 2, "NodeHasNoDiskPressure": 2,
            "NodeHasSufficientPID": 2, "NodeReady": 2,
        }  # fmt: skip
        version = node.metadata.resourceVersion
        await it.settle(200)  # and that is that
        assert (await it.client.get(Node, "one")).metadata.resourceVersion == version

    story(tell)


def test_a_node_without_network_is_not_ready_until_it_has_one(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        it.runtime.network_ready = False
        await it.settle(301)
        node = await it.client.get(Node, "one")
        ready = next(c for c in node.status.conditions or () if c.type == "Ready")
        assert ready.status == "False"
        assert "NetworkPluginNotReady" in (ready.message or "")
        it.runtime.network_ready = True
        await it.settle(15)
        node = await it.client.get(Node, "one")
        assert next(c for c in node.status.conditions or () if c.type == "Ready").status == "True"

    story(tell)


def test_a_pod_becomes_ready_at_once(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        await it.create()
        await it.settle(0.05)
        pod = await it.get()
        assert pod.status.phase == "Running"
        assert set(conditions(pod).values()) == {"True"}
        assert list(conditions(pod)) == [
            "PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled",
        ]  # fmt: skip
        assert pod.status.podIP == "10.88.0.1"
        assert pod.status.hostIP == "192.0.2.7"
        assert pod.status.observedGeneration == pod.metadata.generation
        [status] = pod.status.containerStatuses or []
        assert (status.ready, status.started, status.restartCount) == (True, True, 0)
        assert (status.containerID or "").startswith("fake://")
        assert status.state is not None
        assert status.state.running is not None
        assert [(r, m) for _, r, m in await it.events()] == [
            (
                "Pulled",
                'Container image "web:1" already present on machine and can be accessed by the pod',
            ),
            ("Created", "Container created"),
            ("Started", "Container started"),
        ]

    story(tell)


def test_a_deleted_pod_ends_within_its_grace_and_is_gone(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        await it.create()
        await it.settle()
        it.runtime.ignore_stop(it.container())
        await it.client.delete(Pod, "pod", "default")
        await it.settle(3)
        assert (await it.get()).metadata.deletionTimestamp
        await it.settle(3)
        assert not await it.exists()
        assert (await it.events())[-1] == ("Normal", "Killing", "Stopping container main")
        assert await it.runtime.sandboxes() == []
        assert await it.runtime.containers() == []
        assert list((it.directory / "kubelet" / "pods").iterdir()) == []

    story(tell)


def test_a_shorter_grace_is_obeyed(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        await it.create(terminationGracePeriodSeconds=600)
        await it.settle()
        it.runtime.ignore_stop(it.container())
        await it.client.delete(Pod, "pod", "default")
        await it.settle(10)
        assert await it.exists()
        await it.client.delete(Pod, "pod", "default", grace=1)
        await it.settle(3)
        assert not await it.exists()
        assert [r for r in await it.reasons() if r == "Killing"] == ["Killing"]

    story(tell)


def test_a_pod_deleted_without_grace_leaves_nothing_behind(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        await it.create()
        await it.settle()
        await it.client.delete(Pod, "pod", "default", grace=0)
        await it.settle()
        assert await it.runtime.sandboxes() == []

    story(tell)


def test_a_new_pod_of_the_same_name_is_another_pod(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        await it.create()
        await it.settle()
        first = it.container()
        await it.client.delete(Pod, "pod", "default", grace=0)
        await it.create()
        await it.settle(2)
        assert it.container() != first
        assert (await it.get()).status.phase == "Running"

    story(tell)


def test_a_killed_container_is_started_again_and_then_waits(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        await it.create()
        await it.settle()
        it.runtime.exit(it.container(), 137)
        await it.settle(0.1)
        [status] = (await it.get()).status.containerStatuses or []
        assert status.restartCount == 1
        assert status.lastState is not None
        assert status.lastState.terminated is not None
        assert status.lastState.terminated.exitCode == 137
        it.runtime.exit(it.container(), 1)
        await it.settle(0.1)
        pod = await it.get()
        uid = pod.metadata.uid
        assert waiting(pod) == (
            "CrashLoopBackOff",
            f"back-off 10s restarting failed container=main pod=pod_default({uid})",
        )
        assert pod.status.phase == "Running"
        assert conditions(pod)["Ready"] == "False"
        assert (await it.events())[-1] == (
            "Warning",
            "BackOff",
            f"Back-off restarting failed container main in pod pod_default({uid})",
        )
        await it.settle(11)
        assert (await it.get()).status.containerStatuses[0].restartCount == 2  # type: ignore[index]
        it.runtime.exit(it.container(), 1)
        await it.settle(0.1)
        assert "back-off 20s" in waiting(await it.get())[1]

    story(tell)


def test_containers_that_run_long_are_forgiven(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        await it.create()
        for _ in range(2):
            await it.settle(15)
            it.runtime.exit(it.container(), 1)
        await it.settle(15)
        await it.settle(700)
        it.runtime.exit(it.container(), 1)
        await it.settle(0.1)
        assert (await it.get()).status.containerStatuses[0].state.running  # type: ignore[index,union-attr]

    story(tell)


@pytest.mark.parametrize(
    ("policy", "code", "phase"),
    [("Never", 0, "Succeeded"), ("Never", 3, "Failed"), ("OnFailure", 0, "Succeeded")],
)
def test_a_pod_which_may_end_ends(story: Any, policy: str, code: int, phase: str) -> None:
    async def tell(it: NodeUnderTest) -> None:
        await it.create(
            restartPolicy=policy,
            containers=[{"name": "main", "image": IMAGE, "command": ["sh", "-c", f"exit {code}"]}],
        )
        await it.settle()
        pod = await it.get()
        assert pod.status.phase == phase
        [status] = pod.status.containerStatuses or []
        assert status.state is not None
        assert status.state.terminated is not None
        assert status.state.terminated.exitCode == code
        ready = next(c for c in pod.status.conditions or () if c.type == "Ready")
        reason = "PodCompleted" if phase == "Succeeded" else "PodFailed"
        assert (ready.status, ready.reason) == ("False", reason)
        assert [s.state for s in await it.runtime.sandboxes()] == [1]
        await it.client.delete(Pod, "pod", "default")
        await it.settle()
        assert not await it.exists()
        assert await it.runtime.containers() == []

    story(tell)


def test_init_containers_run_one_after_the_other(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        await it.create(
            initContainers=[{"name": n, "image": IMAGE} for n in ("first", "second")],
        )
        await it.settle()
        pod = await it.get()
        assert pod.status.phase == "Pending"
        assert conditions(pod)["Initialized"] == "False"
        assert waiting(pod)[0] == "PodInitializing"
        it.runtime.exit(it.container("first"), 0)
        await it.settle(0.1)
        assert it.runtime.running("main") == []
        it.runtime.exit(it.container("second"), 0)
        await it.settle(0.1)
        pod = await it.get()
        assert pod.status.phase == "Running"
        assert set(conditions(pod).values()) == {"True"}
        assert [s.ready for s in pod.status.initContainerStatuses or ()] == [True, True]

    story(tell)


def test_a_failed_init_container_fails_a_pod_that_is_never_restarted(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        await it.create(
            restartPolicy="Never",
            initContainers=[{"name": "i", "image": IMAGE, "command": ["sh", "-c", "exit 1"]}],
        )
        await it.settle()
        pod = await it.get()
        assert pod.status.phase == "Failed"
        assert waiting(pod)[0] == "PodInitializing"

    story(tell)


def test_a_sidecar_starts_first_and_ends_last(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        healthy = False
        it.runtime.exec_answer = lambda _, __: v.ExecSyncResponse(exit_code=0 if healthy else 1)
        await it.create(
            restartPolicy="Never",
            initContainers=[
                {
                    "name": "side",
                    "image": IMAGE,
                    "restartPolicy": "Always",
                    "startupProbe": {"exec": {"command": ["up"]}, "periodSeconds": 1},
                }
            ],
        )
        await it.settle(2)
        assert it.runtime.running("main") == []
        healthy = True
        await it.settle(2)
        pod = await it.get()
        assert pod.status.phase == "Running"
        assert [s.started for s in pod.status.initContainerStatuses or ()] == [True]
        it.runtime.exit(it.container("side"), 0)
        await it.settle()
        assert len(it.runtime.running("side")) == 1
        it.runtime.exit(it.container("main"), 0)
        await it.settle()
        assert it.runtime.running("side") == []
        assert (await it.get()).status.phase == "Succeeded"

    story(tell)


def test_readiness_follows_the_probe(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        code = 1
        it.runtime.exec_answer = lambda _, __: v.ExecSyncResponse(b"not yet", exit_code=code)
        probe = {"exec": {"command": ["ready"]}, "periodSeconds": 2, "failureThreshold": 2}
        await it.create(containers=[{"name": "main", "image": IMAGE, "readinessProbe": probe}])
        await it.settle(3)
        pod = await it.get()
        assert conditions(pod)["Ready"] == "False"
        ready = next(c for c in pod.status.conditions or () if c.type == "Ready")
        assert ready.reason == "ContainersNotReady"
        assert ready.message == "containers with unready status: [main]"
        assert ("Warning", "Unhealthy", "Readiness probe failed: not yet") in await it.events()
        code = 0
        await it.settle(2)
        assert conditions(await it.get())["Ready"] == "True"
        code = 1
        await it.settle(2)
        assert conditions(await it.get())["Ready"] == "True"
        await it.settle(2)
        assert conditions(await it.get())["Ready"] == "False"

    story(tell)


def test_a_container_that_is_not_alive_is_killed_and_started_again(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        code = 0
        it.runtime.exec_answer = lambda _, __: v.ExecSyncResponse(exit_code=code)
        probe = {"exec": {"command": ["live"]}, "periodSeconds": 1, "failureThreshold": 3}
        await it.create(containers=[{"name": "main", "image": IMAGE, "livenessProbe": probe}])
        await it.settle(5)
        first = it.container()
        code = 1
        await it.settle(3.5)
        code = 0
        assert it.container() != first
        message = "Container main failed liveness probe, will be restarted"
        assert ("Normal", "Killing", message) in await it.events()
        assert (await it.get()).status.containerStatuses[0].restartCount == 1  # type: ignore[index]

    story(tell)


@conforms(
    "[sig-node] Probing container should have monotonically increasing restart count [NodeConformance] [Conformance]",
)
def test_restarts_are_counted_up_and_never_down(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        it.runtime.exec_answer = lambda _, __: v.ExecSyncResponse(exit_code=1)
        probe = {"exec": {"command": ["live"]}, "initialDelaySeconds": 5, "failureThreshold": 1}
        await it.create(containers=[{"name": "main", "image": IMAGE, "livenessProbe": probe}])
        seen = [0]
        for second in range(600):
            await it.settle()
            if second == 200:  # what was counted outlives the kubelet
                await it.kill_kubelet()
                await it.start_kubelet()
            counts = [s.restartCount for s in (await it.get()).status.containerStatuses or ()]
            seen += [count for count in counts if count != seen[-1]]
            if seen[-1] == 5:
                break
        assert seen == [0, 1, 2, 3, 4, 5]

    story(tell)


def test_a_pod_does_not_run_without_the_devices_it_claims(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        await it.create(resourceClaims=[{"name": "gpu", "resourceClaimName": "gpu"}])
        await it.settle(5)
        assert (await it.get()).status.phase == "Pending"
        assert "FailedPrepareDynamicResources" in await it.reasons()
        await it.client.delete(Pod, "pod", "default")
        await it.settle(5)
        assert not await it.exists()

    story(tell)


def test_an_image_that_cannot_be_pulled_is_tried_again(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        await it.create(containers=[{"name": "main", "image": "away:1"}])
        await it.settle(0.5)
        reason, message = waiting(await it.get())
        assert reason == "ErrImagePull"
        assert message == (
            'rpc error: code = NotFound desc = failed to pull and unpack image "away:1"'
        )
        await it.settle(6)
        reason, message = waiting(await it.get())
        assert reason == "ImagePullBackOff"
        assert message.startswith('Back-off pulling image "away:1": ErrImagePull: ')
        assert [(kind, r) for kind, r, _ in await it.events()] == [
            ("Normal", "Pulling"), ("Warning", "Failed"), ("Warning", "Failed"),
            ("Normal", "BackOff"), ("Warning", "Failed"),
        ]  # fmt: skip
        it.runtime.add_image("away:1", pullable=True)
        await it.settle(10)
        assert (await it.get()).status.phase == "Running"
        [pulled] = [m for _, r, m in await it.events() if r == "Pulled"]
        assert pulled == (
            'Successfully pulled image "away:1" in 0ms (0ms including waiting). '
            "Image size: 1000 bytes."
        )

    story(tell)


def test_pull_policies_are_obeyed(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        await it.create(
            "never", containers=[{"name": "c", "image": "x:1", "imagePullPolicy": "Never"}]
        )
        await it.create(
            "always", containers=[{"name": "c", "image": IMAGE, "imagePullPolicy": "Always"}]
        )
        await it.create("bad", containers=[{"name": "c", "image": "Not A Name"}])
        await it.settle(0.5)
        assert waiting(await it.get("never")) == (
            "ErrImageNeverPull",
            'Container image "x:1" is not present with pull policy of Never',
        )
        assert waiting(await it.get("always"))[0] == "ErrImagePull"
        assert waiting(await it.get("bad"))[0] == "InvalidImageName"
        assert (await it.reasons("bad"))[0] == "InspectFailed"

    story(tell)


def test_a_missing_config_map_holds_a_container_until_it_is_there(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        source = {"configMapKeyRef": {"name": "settings", "key": "colour"}}
        await it.create(
            containers=[
                {"name": "main", "image": IMAGE, "env": [{"name": "C", "valueFrom": source}]}
            ]
        )
        await it.settle()
        assert waiting(await it.get()) == (
            "CreateContainerConfigError",
            'configmap "settings" not found',
        )
        assert (await it.events())[-1] == (
            "Warning", "Failed", 'Error: configmap "settings" not found',
        )  # fmt: skip
        meta = {"name": "settings", "namespace": "default"}
        tree = {"metadata": meta, "data": {"colour": "red"}}
        await it.client.create(codec.from_tree(tree, ConfigMap))
        await it.settle(0.5)
        config = it.runtime.config_of(it.container())
        assert ("C", "red") in [(e.key, e.value) for e in config.envs]

    story(tell)


def test_volumes_follow_their_sources(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        meta = {"name": "settings", "namespace": "default"}
        tree = {"metadata": meta, "data": {"colour": "red"}}
        await it.create(
            containers=[
                {
                    "name": "main",
                    "image": IMAGE,
                    "volumeMounts": [{"name": "v", "mountPath": "/etc/settings"}],
                }
            ],
            volumes=[
                {
                    "name": "v",
                    "projected": {
                        "sources": [
                            {"configMap": {"name": "settings"}},
                            {"secret": {"name": "keys", "optional": True}},
                            {"serviceAccountToken": {"path": "token", "expirationSeconds": 600}},
                            {
                                "downwardAPI": {
                                    "items": [
                                        {
                                            "path": "labels",
                                            "fieldRef": {"fieldPath": "metadata.labels"},
                                        }
                                    ]
                                }
                            },
                        ]
                    },
                }
            ],
        )
        await it.settle()
        assert waiting(await it.get())[0] == "ContainerCreating"
        message = 'MountVolume.SetUp failed for volume "v" : configmap "settings" not found'
        assert ("Warning", "FailedMount", message) in await it.events()
        assert await it.runtime.sandboxes() == []
        await it.client.create(codec.from_tree(tree, ConfigMap))
        await it.settle(0.5)
        mount = next(
            m
            for m in it.runtime.config_of(it.container()).mounts
            if m.container_path == "/etc/settings"
        )
        from pathlib import Path

        place = Path(mount.host_path)
        assert (place / "colour").read_text() == "red"
        assert (place / "labels").read_text() == 'app="pod"'
        token = (place / "token").read_text()
        assert token.count(".") == 2
        await it.client.patch(ConfigMap, "settings", "default", {"data": {"colour": "blue"}})
        secret = {"metadata": {"name": "keys", "namespace": "default"}, "data": {"k": "djE="}}
        await it.client.create(codec.from_tree(secret, Secret))
        await it.client.patch(Pod, "pod", "default", {"metadata": {"labels": {"app": "new"}}})
        await it.settle(0.5)
        assert (place / "colour").read_text() == "blue"
        assert (place / "labels").read_text() == 'app="new"'
        assert (place / "k").read_text() == "v1"
        assert (place / "token").read_text() == token
        await it.settle(500)
        assert (place / "token").read_text() != token

    story(tell)


def test_services_are_in_the_environment(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        tree = {
            "metadata": {"name": "my-db", "namespace": "default"},
            "spec": {"ports": [{"port": 5432}], "selector": {"a": "b"}},
        }
        service = await it.client.create(codec.from_tree(tree, Service))
        await it.create()
        await it.create(
            "alone", enableServiceLinks=False, containers=[{"name": "b", "image": IMAGE}]
        )
        await it.settle()
        env = {e.key: e.value for e in it.runtime.config_of(it.container()).envs}
        assert env["MY_DB_SERVICE_HOST"] == service.spec.clusterIP
        assert env["MY_DB_PORT"] == f"tcp://{service.spec.clusterIP}:5432"
        env = {e.key: e.value for e in it.runtime.config_of(it.container("b")).envs}
        assert "MY_DB_PORT" not in env
        assert "KUBERNETES_SERVICE_HOST" in env

    story(tell)


def test_a_dead_sandbox_is_made_again(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        await it.create()
        await it.settle()
        [sandbox] = await it.runtime.sandboxes()
        it.runtime.crash_sandbox(sandbox.id)
        await it.settle(0.5)
        pod = await it.get()
        assert pod.status.podIP != "10.88.0.1"
        assert [ip.ip for ip in pod.status.podIPs or ()] == [pod.status.podIP]
        assert (pod.status.containerStatuses or [])[0].restartCount == 1
        assert conditions(pod)["Ready"] == "True"
        message = "Pod sandbox changed, it will be killed and re-created."
        assert ("Normal", "SandboxChanged", message) in await it.events()
        assert "stop_sandbox" in it.runtime.calls  # else its network is not given back

    story(tell)


def test_a_sandbox_that_cannot_be_made_is_tried_again(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        it.runtime.failures["run_sandbox"] = [RuntimeFailure("no addresses left")]
        await it.create()
        await it.settle(0.1)
        assert await it.events() == [
            (
                "Warning",
                "FailedCreatePodSandBox",
                "Failed to create pod sandbox: rpc error: code = Unknown desc = no addresses left",
            )
        ]
        await it.settle()
        assert (await it.get()).status.phase == "Running"

    story(tell)


def test_a_container_that_cannot_be_started_says_why(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        it.runtime.failures["create_container"] = [RuntimeFailure("no space left")]
        await it.create()
        await it.settle(0.1)
        assert waiting(await it.get()) == ("CreateContainerError", "no space left")
        await it.settle(11)
        assert (await it.get()).status.phase == "Running"

    story(tell)


def test_another_kubelet_takes_over_what_runs(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        await it.create()
        await it.create("gone")
        await it.settle()
        [first] = [i for i in it.runtime.running("main") if _pod_of(it, i) == "pod"]
        it.runtime.exit(first, 1)
        await it.settle()
        running = sorted(it.runtime.running("main"))
        before = (await it.get()).status
        await it.kill_kubelet()
        await it.client.delete(Pod, "gone", "default", grace=0)
        it.runtime.calls.clear()
        await it.start_kubelet()
        await it.settle(2)
        assert (await it.get()).status == before
        [left] = it.runtime.running("main")
        assert left in running
        assert "create_container" not in it.runtime.calls
        it.runtime.exit(left, 1)
        await it.settle()
        assert (await it.get()).status.containerStatuses[0].restartCount == 2  # type: ignore[index]

    story(tell)


def _pod_of(it: NodeUnderTest, container_id: str) -> str:
    return it.runtime.config_of(container_id).labels["io.kubernetes.pod.name"]


def test_what_ended_while_nobody_looked_is_found(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        await it.create()
        await it.settle()
        container = it.runtime._containers[it.container()]
        container.status.state, container.status.exit_code = 2, 9  # without an event
        container.status.finished_at = container.status.started_at
        await it.settle(61)
        assert (await it.get()).status.containerStatuses[0].restartCount == 1  # type: ignore[index]

    story(tell)


def test_a_pod_the_node_has_no_room_for_is_refused(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        resources = {"requests": {"cpu": "1000"}}
        await it.create(
            "big", containers=[{"name": "main", "image": IMAGE, "resources": resources}]
        )
        await it.settle()
        pod = await it.get("big")
        assert (pod.status.phase, pod.status.reason) == ("Failed", "OutOfcpu")
        assert (pod.status.message or "").startswith(
            "Pod was rejected: Node didn't have enough resource: cpu, requested: 1000000, used: 0"
        )
        assert pod.status.containerStatuses is None
        assert await it.runtime.sandboxes() == []
        await it.create("small")
        await it.settle()
        assert (await it.get("small")).status.phase == "Running"

    story(tell)


def test_a_pod_past_its_deadline_fails(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        await it.create(activeDeadlineSeconds=20)
        await it.settle(15)
        assert (await it.get()).status.phase == "Running"
        await it.settle(10)
        pod = await it.get()
        assert (pod.status.phase, pod.status.reason) == ("Failed", "DeadlineExceeded")
        assert pod.status.message == "Pod was active on the node longer than the specified deadline"
        assert it.runtime.running("main") == []

    story(tell)


def test_hooks_run_around_the_containers_life(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        ran: list[str] = []

        def answer(_: str, command: Any) -> v.ExecSyncResponse:
            ran.append(command[0])
            return v.ExecSyncResponse()

        it.runtime.exec_answer = answer
        lifecycle = {
            "postStart": {"exec": {"command": ["after"]}},
            "preStop": {"exec": {"command": ["before"]}},
        }
        await it.create(containers=[{"name": "main", "image": IMAGE, "lifecycle": lifecycle}])
        await it.settle()
        assert ran == ["after"]
        await it.client.delete(Pod, "pod", "default")
        await it.settle()
        assert ran == ["after", "before"]

    story(tell)


def test_a_failed_post_start_hook_restarts_the_container(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        it.runtime.exec_answer = lambda _, __: v.ExecSyncResponse(b"", b"sorry", 2)
        lifecycle = {"postStart": {"exec": {"command": ["after"]}}}
        await it.create(containers=[{"name": "main", "image": IMAGE, "lifecycle": lifecycle}])
        await it.settle(2)
        said = await it.events()
        assert ("Warning", "FailedPostStartHook", "PostStartHook failed") in said
        assert ("Normal", "Killing", "FailedPostStartHook") in said
        assert (await it.get()).status.containerStatuses[0].restartCount >= 1  # type: ignore[index]

    story(tell)


def test_a_new_image_replaces_the_running_container(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        it.runtime.add_image("web:2")
        await it.create()
        await it.settle()
        patch = {"spec": {"containers": [{"name": "main", "image": "web:2"}]}}
        await it.client.patch(Pod, "pod", "default", patch, type="strategic")
        await it.settle(2)
        [status] = (await it.get()).status.containerStatuses or []
        assert (status.image, status.restartCount) == ("web:2", 1)
        message = "Container main definition changed, will be restarted"
        assert ("Normal", "Killing", message) in await it.events()

    story(tell)


def test_the_status_is_restored_when_somebody_overwrites_it(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        await it.create()
        await it.settle()
        body = {"status": {"phase": "Pending", "podIP": "1.2.3.4"}}
        await it.client.patch(Pod, "pod", "default", body, subresource="status")
        await it.settle()
        status = (await it.get()).status
        assert (status.phase, status.podIP) == ("Running", "10.88.0.1")

    story(tell)


def test_conditions_of_others_and_readiness_gates_count(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        await it.create(readinessGates=[{"conditionType": "example.com/lb"}])
        await it.settle()
        pod = await it.get()
        ready = next(c for c in pod.status.conditions or () if c.type == "Ready")
        assert (ready.status, ready.reason) == ("False", "ReadinessGatesNotReady")
        gate = {"type": "example.com/lb", "status": "True"}
        body = {"status": {"conditions": [gate]}}
        await it.client.patch(Pod, "pod", "default", body, type="strategic", subresource="status")
        await it.settle()
        assert conditions(await it.get())["Ready"] == "True"
        assert conditions(await it.get())["example.com/lb"] == "True"

    story(tell)


def test_nothing_is_written_when_nothing_changes(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        await it.create()
        await it.settle(5)
        version = (await it.get()).metadata.resourceVersion
        await it.settle(600)
        assert (await it.get()).metadata.resourceVersion == version

    story(tell)


def test_a_short_silence_of_the_runtime_is_forgiven(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        def status() -> list[RuntimeFailure]:
            return [RuntimeFailure("starting", "UNAVAILABLE")]

        it.runtime.failures["status"] = status()
        it.runtime.lose_events()
        await it.settle(1)
        assert await _ready(it) == "True"
        it.runtime.failures["status"] = status() * 100
        await it.settle(330)
        assert await _ready(it) == "False"
        it.runtime.failures.clear()
        await it.settle(11)
        assert await _ready(it) == "True"

    story(tell)


async def _ready(it: NodeUnderTest) -> str:
    node = await it.client.get(Node, "one")
    return next(c.status for c in node.status.conditions or () if c.type == "Ready")


def test_a_runtime_class_chooses_the_handler(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        meta = {"name": "fast"}
        await it.client.create(
            codec.from_tree({"metadata": meta, "handler": "quick"}, RuntimeClass)
        )
        await it.create(runtimeClassName="fast")
        await it.settle()
        [sandbox] = await it.runtime.sandboxes()
        assert (await it.runtime.sandbox_status(sandbox.id)).runtime_handler == "quick"

    story(tell)


def test_a_sandbox_that_was_made_after_all_is_used(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        it.runtime.failures["sandbox_status"] = [RuntimeFailure("connection lost", "UNAVAILABLE")]
        await it.create()
        await it.settle(2)
        assert (await it.get()).status.phase == "Running"
        assert len(await it.runtime.sandboxes()) == 1
        assert it.runtime.calls.count("run_sandbox") == 1

    story(tell)


def test_nobody_else_on_the_machine_reads_what_pods_have(story: Any, tmp_path: Path) -> None:
    async def tell(it: NodeUnderTest) -> None:
        pods = [p for p in tmp_path.rglob("pods") if p.parent.name != "logs"]
        assert pods
        assert [p.stat().st_mode & 0o777 for p in pods] == [0o750] * len(pods)

    story(tell)


def test_what_a_killed_kubelet_left_is_removed_by_the_next(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        await it.create("stays")
        await it.settle(2)
        stays = (await it.get("stays")).metadata.uid
        await it.kill_kubelet()
        config = it.kubelet.config
        (config.logs_dir / "default_gone_u-1" / "main").mkdir(parents=True)
        (config.logs_dir / "something else").mkdir()
        (config.logs_dir / f"default_stays_{stays}").mkdir(exist_ok=True)
        (config.pods_dir / "u-1" / "volumes").mkdir(parents=True)
        (config.pods_dir / "a file").touch()
        await it.start_kubelet()
        await it.settle(1)
        kept = {path.name for path in config.logs_dir.iterdir()}
        assert kept == {"something else", f"default_stays_{stays}"}
        assert not (config.pods_dir / "u-1").exists()
        assert (await it.get("stays")).status.phase == "Running"

    story(tell)
