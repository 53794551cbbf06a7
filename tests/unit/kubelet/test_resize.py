"""Stories of pods which change their size while they run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.kubelet.node_under_test import IMAGE, NodeUnderTest, play

from kybern.api import errors
from kybern.api.core.v1 import ContainerStatus, Node, Pod, PodCondition
from kybern.kubelet.pods import qos
from kybern.kubelet.runtime.fake import FakeRuntime
from kybern.kubelet.runtime.interface import RuntimeFailure
from kybern.kubelet.runtime.messages import container as c
from kybern.kubelet.runtime.messages import sandbox as s

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path


@pytest.fixture
def story(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    def run(tell: Callable[[NodeUnderTest], Awaitable[None]]) -> None:
        play(monkeypatch, tmp_path, tell)

    return run


def size(cpu: str = "", memory: str = "", *, limits: bool = True) -> dict[str, Any]:
    amounts = {n: a for n, a in (("cpu", cpu), ("memory", memory)) if a}
    return {"requests": amounts, **({"limits": amounts} if limits else {})}


def container(resources: dict[str, Any], name: str = "main", **more: Any) -> dict[str, Any]:
    return {"name": name, "image": IMAGE, "resources": resources, **more}


async def resize(it: NodeUnderTest, *containers: dict[str, Any], name: str = "pod") -> Pod:
    body = {"spec": {"containers": [{"name": x["name"], "resources": x["resources"]}
                                    for x in containers]}}  # fmt: skip
    pod: Pod = await it.client.patch(
        Pod, name, "default", body, type="strategic", subresource="resize"
    )
    await it.settle()
    return pod


def passing(pod: Pod) -> dict[str, PodCondition]:
    return {c.type: c for c in pod.status.conditions or () if c.type.startswith("PodResize")}


def status(pod: Pod, index: int = 0) -> ContainerStatus:
    return (pod.status.containerStatuses or [])[index]


def limits(it: NodeUnderTest, name: str = "main") -> s.LinuxContainerResources:
    found = it.runtime._containers[it.container(name)].status.resources
    assert found is not None
    assert found.linux is not None
    return found.linux


def pod_memory(it: NodeUnderTest) -> list[str]:
    files = (it.directory / "cgroup/memory").rglob("*pod*/memory.limit_in_bytes")
    return [file.read_text() for file in files]


def test_a_pod_grows_and_shrinks_while_it_runs(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        await it.create(containers=[container(size("100m", "64Mi"))])
        await it.settle()
        first = it.container()
        await resize(it, container(size("200m", "128Mi")))
        pod = await it.get()
        assert it.container() == first
        assert limits(it).cpu_quota == qos.quota(200)
        assert limits(it).cpu_shares == qos.shares(200)
        assert limits(it).memory_limit_in_bytes == 128 << 20
        assert pod_memory(it) == [str(128 << 20)]
        assert status(pod).allocatedResources == {"cpu": "200m", "memory": "128Mi"}
        resources = status(pod).resources
        assert resources is not None
        assert resources.limits == {"cpu": "200m", "memory": "128Mi"}
        assert status(pod).restartCount == 0
        assert passing(pod) == {}
        assert (pod.metadata.generation, pod.status.observedGeneration) == (2, 2)
        await resize(it, container(size("50m", "32Mi")))
        assert limits(it).memory_limit_in_bytes == 32 << 20
        assert pod_memory(it) == [str(32 << 20)]
        told = [(reason, text) for _, reason, text in await it.events() if "Resize" in reason]
        assert [reason for reason, _ in told] == ["ResizeStarted", "ResizeCompleted"] * 2
        text = told[1][1].removeprefix("Pod resize completed: ")
        assert json.loads(text) == {
            "containers": [{"name": "main", "resources": size("200m", "128Mi")}],
            "generation": 2,
        }
        kept = it.directory / "kubelet/allotments"
        assert [file.stem for file in kept.iterdir()] == [pod.metadata.uid]
        await it.client.delete(Pod, "pod", "default")
        await it.settle(8)
        assert list(kept.iterdir()) == []

    story(tell)


def test_a_container_is_restarted_where_its_policy_says_so(story: Any) -> None:
    policy = [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]

    async def tell(it: NodeUnderTest) -> None:
        await it.create(
            containers=[
                container(size("100m", "64Mi"), resizePolicy=policy),
                container(size("100m", "64Mi"), "other"),
            ]
        )
        await it.settle()
        first, other = it.container(), it.container("other")
        await resize(it, container(size("200m", "64Mi")))
        assert it.container() == first
        await resize(it, container(size("200m", "96Mi")))
        assert it.container() != first
        assert it.container("other") == other
        pod = await it.get()
        assert [status(pod, n).restartCount for n in (0, 1)] == [1, 0]
        assert pod_memory(it) == [str(160 << 20)]
        assert passing(pod) == {}
        assert ("Normal", "Killing", "Container main resize requires restart") in await it.events()

    story(tell)


async def small_node(it: NodeUnderTest, cpu: str) -> None:
    assert it.kubelet.roster is not None
    allocatable = it.kubelet.roster._tools.node.allocatable
    allocatable["cpu"] = cpu  # type: ignore[index]


def test_what_has_no_room_waits_and_what_never_fits_is_told(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        await small_node(it, "2")
        await it.create("big", containers=[container(size("1", limits=False))])
        await it.create("small", containers=[container(size("500m", limits=False))])
        await it.settle()
        await resize(it, container(size("1500m", limits=False)), name="small")
        pod = await it.get("small")
        [pending] = passing(pod).values()
        assert (pending.type, pending.reason) == ("PodResizePending", "Deferred")
        assert pending.message == (
            "Node didn't have enough resource: cpu, requested: 1500, used: 1000, capacity: 2000"
        )
        assert pending.observedGeneration == 2
        assert status(pod).allocatedResources == {"cpu": "500m"}
        assert (status(pod).resources or pod).requests == {"cpu": "500m"}  # type: ignore[union-attr]
        await resize(it, container(size("3", limits=False)), name="small")
        [pending] = passing(await it.get("small")).values()
        assert pending.reason == "Infeasible"
        message = "Node didn't have enough capacity: cpu, requested: 3000, capacity: 2000"
        assert pending.message == message
        assert (await it.reasons("small"))[-2:] == ["ResizeDeferred", "ResizeInfeasible"]
        await resize(it, container(size("1500m", limits=False)), name="small")
        await resize(it, container(size("500m", limits=False)), name="big")
        pod = await it.get("small")
        assert passing(pod) == {}
        assert status(pod).allocatedResources == {"cpu": "1500m"}

    story(tell)


def test_a_pod_which_ends_makes_room(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        await small_node(it, "2")
        await it.create("big", containers=[container(size("1", limits=False))])
        await it.create("small", containers=[container(size("500m", limits=False))])
        await it.settle()
        await resize(it, container(size("1500m", limits=False)), name="small")
        await it.create("late", containers=[container(size("600m", limits=False))])
        await it.settle()
        assert (await it.get("late")).status.reason == "OutOfcpu"
        await it.client.delete(Pod, "big", "default")
        await it.settle(8)
        assert status(await it.get("small")).allocatedResources == {"cpu": "1500m"}

    story(tell)


def test_a_resize_outlives_the_kubelet(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        await it.create(containers=[container(size("100m", "64Mi"))])
        await it.settle()
        first = it.container()
        await it.kill_kubelet()
        await resize(it, container(size("200m", "128Mi")))
        await it.start_kubelet()
        await it.settle()
        assert it.container() == first
        assert limits(it).memory_limit_in_bytes == 128 << 20
        await it.kill_kubelet()
        it.runtime.failures["update_resources"] = [RuntimeFailure("no")] * 3
        await it.start_kubelet()
        await resize(it, container(size("200m", "96Mi")))
        [progress] = passing(await it.get()).values()
        assert (progress.type, progress.reason) == ("PodResizeInProgress", "Error")
        assert progress.message == "rpc error: code = Unknown desc = no"
        pod = await it.get()
        assert status(pod).allocatedResources == {"cpu": "200m", "memory": "96Mi"}
        assert (status(pod).resources or pod).limits == {"cpu": "200m", "memory": "128Mi"}  # type: ignore[union-attr]
        await it.kill_kubelet()
        it.runtime.failures.clear()
        await it.start_kubelet()
        await it.settle()
        assert limits(it).memory_limit_in_bytes == 96 << 20
        pod = await it.get()
        assert passing(pod) == {}
        assert (status(pod).resources or pod).limits == {"cpu": "200m", "memory": "96Mi"}  # type: ignore[union-attr]
        assert status(pod).restartCount == 0

    story(tell)


def test_memory_in_use_is_not_taken_away(story: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def stats(runtime: FakeRuntime) -> list[c.ContainerStats]:
        return [
            c.ContainerStats(c.ContainerAttributes(id_), None, c.MemoryUsage(0, None, None, used))
            for id_ in runtime._containers
        ]

    used = s.UInt64Value(50 << 20)
    monkeypatch.setattr(FakeRuntime, "container_stats", stats)

    async def tell(it: NodeUnderTest) -> None:
        await it.create(containers=[container(size("100m", "64Mi"))])
        await it.settle()
        await resize(it, container(size("100m", "32Mi")))
        [progress] = passing(await it.get()).values()
        assert progress.reason == "Error"
        assert progress.message == (
            f'attempting to set container "main" memory limit ({32 << 20}) below current usage '
            f"({50 << 20})"
        )
        assert "update_resources" not in it.runtime.calls
        await resize(it, container(size("100m", "60Mi")))
        assert passing(await it.get()) == {}
        assert limits(it).memory_limit_in_bytes == 60 << 20
        kinds = [reason for _, reason, _ in await it.events() if "Resize" in reason]
        assert kinds == ["ResizeStarted", "ResizeError", "ResizeStarted", "ResizeCompleted"]

    story(tell)


def test_what_a_resize_may_not_do(story: Any) -> None:
    async def tell(it: NodeUnderTest) -> None:
        await it.create(containers=[container(size("100m", "64Mi")), container(size("1m"), "b")])
        await it.settle()
        with pytest.raises(errors.Invalid, match="Pod QOS Class may not change"):
            await resize(it, container(size("200m", "64Mi")), container(size("1m", "1Mi"), "b"))
        pod = await it.get()
        pod.spec.containers.reverse()
        with pytest.raises(errors.Invalid, match="may not be renamed or reordered on resize"):
            await it.client.update(pod, subresource="resize")
        assert (await it.client.get(Node, "one")).status.allocatable

    story(tell)
