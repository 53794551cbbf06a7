"""Where pods go, whom they displace, and what drives them off, on nodes with played kubelets."""

from __future__ import annotations

from typing import Any

from tests.conformance.marks import conforms
from tests.conformance.wire import JSON_PATCH, Resource, Tree
from tests.conformance.workloads import conditions, deployment, is_running, pod
from tests.conformance.world import World, world

FOO = "scheduling.k8s.io/foo"


def asking(name: str, resources: dict[str, str], **spec: Any) -> Tree:
    """Return a pod with limits, which are its requests too."""
    container = {"name": "c", "image": "pause", "resources": {"limits": resources}}
    return pod(name, containers=[container], **spec)


async def unschedulable(w: World, pods: Resource, name: str) -> str:
    """Wait until the scheduler has given up on a pod for now; return why."""

    async def told() -> str:
        found = (await pods.get(name))["status"].get("conditions", ())
        scheduled = [c for c in found if c["type"] == "PodScheduled" and c["status"] == "False"]
        return scheduled[0]["message"] if scheduled else ""

    message: str = await w.wait(told)
    await w.settle(30)
    found = await pods.get(name)
    assert "nodeName" not in found["spec"]
    events = w.resource("v1", "events", pods.namespace)
    listed = await events.items(fieldSelector=f"involvedObject.name={name},reason=FailedScheduling")
    assert listed
    assert listed[0]["type"] == "Warning"
    return message


async def running(w: World, pods: Resource, name: str) -> Tree:
    await w.wait(lambda: is_running(pods, name))
    return await pods.get(name)


@conforms(
    "[sig-scheduling] SchedulerPredicates [Serial] validates that NodeSelector is respected if not"
    " matching [Conformance]"
)
@world(nodes=2, scheduler=True)
async def test_a_selector_that_no_node_matches(w: World) -> None:
    pods = w.resource("v1", "pods", await w.namespace())
    await pods.create(pod("restricted-pod", nodeSelector={"label": "nonempty"}))
    message = await unschedulable(w, pods, "restricted-pod")
    assert "2 node(s) didn't match Pod's node affinity/selector" in message


@conforms(
    "[sig-scheduling] SchedulerPredicates [Serial] validates that NodeSelector is respected if"
    " matching [Conformance]"
)
@world(nodes=2, scheduler=True)
async def test_a_selector_that_one_node_matches(w: World) -> None:
    pods = w.resource("v1", "pods", await w.namespace())
    key = "kubernetes.io/e2e-f5a0c9ad"
    await w.resource("v1", "nodes").patch("node-1", {"metadata": {"labels": {key: "42"}}})
    await pods.create(pod("with-labels", nodeSelector={key: "42"}))
    assert (await running(w, pods, "with-labels"))["spec"]["nodeName"] == "node-1"


@conforms(
    "[sig-scheduling] SchedulerPredicates [Serial] validates resource limits of pods that are"
    " allowed to run [Conformance]"
)
@world(nodes=2, scheduler=True)
async def test_no_more_than_there_is(w: World) -> None:
    pods = w.resource("v1", "pods", await w.namespace())
    for number in range(2):
        await pods.create(asking(f"filler-{number}", {"cpu": "2800m"}))
        await running(w, pods, f"filler-{number}")
    await pods.create(asking("additional", {"cpu": "2"}))
    message = await unschedulable(w, pods, "additional")
    assert message.startswith("0/2 nodes are available: 2 Insufficient cpu.")


@conforms(
    "[sig-scheduling] SchedulerPredicates [Serial] validates that there exists conflict between"
    " pods with same hostPort and protocol but one using 0.0.0.0 hostIP [Conformance]"
)
@world(nodes=1, scheduler=True)
async def test_a_port_of_all_addresses(w: World) -> None:
    pods = w.resource("v1", "pods", await w.namespace())

    def ported(name: str, address: str, protocol: str = "TCP") -> Tree:
        port = {"containerPort": 80, "hostPort": 54322, "protocol": protocol, "hostIP": address}
        return pod(name, containers=[{"name": "c", "image": "pause", "ports": [port]}])

    await pods.create(ported("pod4", "0.0.0.0"))
    await running(w, pods, "pod4")
    await pods.create(ported("pod5", "192.0.2.10"))
    assert "free ports" in await unschedulable(w, pods, "pod5")
    await pods.create(ported("pod6", "192.0.2.10", "UDP"))
    await running(w, pods, "pod6")


async def classes(w: World, **values: int) -> None:
    resource = w.resource("scheduling.k8s.io/v1", "priorityclasses")
    for name, value in values.items():
        await resource.create({"metadata": {"name": name}, "value": value})


async def give(w: World, amount: str, *nodes: str) -> None:
    """Let nodes offer an extended resource."""
    key = FOO.replace("/", "~1")
    operations = [
        {"op": "add", "path": f"/status/{where}/{key}", "value": amount}
        for where in ("capacity", "allocatable")
    ]
    for node in nodes:
        await w.resource("v1", "nodes").patch(node, operations, JSON_PATCH, subresource="status")


async def displaced(pods: Resource, name: str) -> bool:
    if await pods.missing(name):
        return True
    return "deletionTimestamp" in (await pods.get(name))["metadata"]


async def preempted_by(w: World, pods: Resource, preemptor: Tree) -> None:
    """Fill two nodes, one of them with something less important; let one more pod come."""
    await give(w, "5", "node-0", "node-1")
    await pods.create(asking("pod0-low", {FOO: "4"}, priorityClassName="low"))
    await pods.create(asking("pod1-medium", {FOO: "4"}, priorityClassName="medium"))
    low = await running(w, pods, "pod0-low")
    await running(w, pods, "pod1-medium")
    await pods.create(preemptor)
    name = preemptor["metadata"]["name"]
    found = await running(w, pods, name)
    assert found["spec"]["nodeName"] == low["spec"]["nodeName"]
    assert await pods.missing("pod0-low")
    assert "deletionTimestamp" not in (await pods.get("pod1-medium"))["metadata"]


@conforms(
    "[sig-scheduling] SchedulerPreemption [Serial] validates basic preemption works [Conformance]"
)
@world(nodes=2, scheduler=True)
async def test_the_more_important_displaces(w: World) -> None:
    await classes(w, low=1, medium=100, high=1000)
    pods = w.resource("v1", "pods", await w.namespace())
    await preempted_by(w, pods, asking("preemptor", {FOO: "4"}, priorityClassName="high"))


@conforms(
    "[sig-scheduling] SchedulerPreemption [Serial] validates lower priority pod preemption by"
    " critical pod [Conformance]"
)
@world(nodes=2, scheduler=True)
async def test_the_critical_displaces(w: World) -> None:
    await classes(w, low=1, medium=100)
    pods = w.resource("v1", "pods", await w.namespace())
    body = asking("critical", {FOO: "4"}, priorityClassName="system-cluster-critical")
    await preempted_by(w, pods, body)


@conforms(
    "[sig-scheduling] SchedulerPreemption [Serial] validates pod disruption condition is added to"
    " the preempted pod [Conformance]"
)
@world(nodes=1, scheduler=True)
async def test_the_displaced_say_why(w: World) -> None:
    await classes(w, low=1, high=1000)
    pods = w.resource("v1", "pods", await w.namespace())
    await give(w, "1", "node-0")
    victim = asking("victim-pod", {FOO: "1"}, priorityClassName="low")
    victim["metadata"]["finalizers"] = ["example.com/test-finalizer"]
    await pods.create(victim)
    await running(w, pods, "victim-pod")
    await pods.create(asking("preemptor-pod", {FOO: "1"}, priorityClassName="high"))
    await w.wait(lambda: displaced(pods, "victim-pod"))
    found = await pods.get("victim-pod")
    (condition,) = [c for c in found["status"]["conditions"] if c["type"] == "DisruptionTarget"]
    assert (condition["status"], condition["reason"]) == ("True", "PreemptionByScheduler")
    assert conditions(found)["DisruptionTarget"] == "True"
    await pods.patch("victim-pod", {"metadata": {"finalizers": None}})
    await running(w, pods, "preemptor-pod")


@conforms(
    "[sig-scheduling] SchedulerPreemption [Serial] PreemptionExecutionPath runs ReplicaSets to"
    " verify preemption running path [Conformance]"
)
@world(nodes=1, scheduler=True)
async def test_no_more_are_displaced_than_needed(w: World) -> None:
    await classes(w, p1=1, p2=2, p3=3, p4=4)
    await give(w, "1000", "node-0")
    namespace = await w.namespace()
    sets = w.resource("apps/v1", "replicasets", namespace)
    pods = w.resource("v1", "pods", namespace)

    def leveled(level: int, replicas: int, amount: str) -> Tree:
        name = f"rs-pod{level}"
        tree = deployment(name, replicas)
        spec = tree["spec"]["template"]["spec"]
        spec["priorityClassName"] = f"p{level}"
        spec["containers"][0]["resources"] = {"limits": {FOO: amount}}
        return tree

    async with await pods.watch() as watch:
        for level, replicas, amount in ((1, 1, "200"), (2, 1, "300"), (3, 1, "450")):
            await sets.create(leveled(level, replicas, amount))

            async def full(name: str = f"rs-pod{level}", replicas: int = replicas) -> bool:
                return (await sets.get(name))["status"].get("readyReplicas") == replicas

            await w.wait(full)
        await sets.create(leveled(4, 1, "500"))

        async def there() -> bool:
            return (await sets.get("rs-pod4"))["status"].get("readyReplicas") == 1

        await w.wait(there)
        await w.settle(30)
        ended = set()
        added: dict[str, int] = {}
        while not watch.empty():
            kind, tree = await watch.next()
            level = tree["metadata"]["labels"]["name"]
            if kind == "ADDED":
                added[level] = added.get(level, 0) + 1
            elif kind == "DELETED" and "nodeName" in tree["spec"]:
                ended.add(level)
    # 500 are free of 1000 when the two least important are gone: the third stays
    assert ended == {"rs-pod1", "rs-pod2"}
    assert added["rs-pod3"] == added["rs-pod4"] == 1


async def taint(w: World, node: str, *, there: bool) -> None:
    one = {"key": "kubernetes.io/e2e-evict-taint-key", "value": "evictTaintVal",
           "effect": "NoExecute"}  # fmt: skip
    await w.resource("v1", "nodes").patch(node, {"spec": {"taints": [one] if there else None}})


def tolerating(name: str, seconds: int) -> Tree:
    toleration = {
        "key": "kubernetes.io/e2e-evict-taint-key", "value": "evictTaintVal",
        "effect": "NoExecute", "tolerationSeconds": seconds,
    }  # fmt: skip
    return pod(name, tolerations=[toleration])


@conforms(
    "[sig-node] NoExecuteTaintManager Single Pod [Serial] removing taint cancels eviction"
    " [Disruptive] [Conformance]"
)
@world(nodes=1, scheduler=True)
async def test_an_eviction_called_off(w: World) -> None:
    pods = w.resource("v1", "pods", await w.namespace())
    await pods.create(tolerating("taint-eviction-4", 65))
    await running(w, pods, "taint-eviction-4")
    await taint(w, "node-0", there=True)
    await w.settle(30)
    assert not await displaced(pods, "taint-eviction-4")
    await taint(w, "node-0", there=False)
    await w.settle(130)
    assert not await displaced(pods, "taint-eviction-4")
    # and not called off, it happens when it should
    await taint(w, "node-0", there=True)
    await w.settle(60)
    assert not await displaced(pods, "taint-eviction-4")
    await w.settle(10)
    assert await displaced(pods, "taint-eviction-4")


@conforms(
    "[sig-node] NoExecuteTaintManager Multiple Pods [Serial] evicts pods with minTolerationSeconds"
    " [Disruptive] [Conformance]"
)
@world(nodes=1, scheduler=True)
async def test_each_pod_in_its_time(w: World) -> None:
    pods = w.resource("v1", "pods", await w.namespace())
    for name, seconds in (("taint-eviction-b1", 15), ("taint-eviction-b2", 35)):
        await pods.create(tolerating(name, seconds))
        await running(w, pods, name)
    await pods.create(pod("intolerant"))
    await running(w, pods, "intolerant")
    await taint(w, "node-0", there=True)
    await w.settle(5)
    assert await displaced(pods, "intolerant")
    assert not await displaced(pods, "taint-eviction-b1")
    await w.settle(15)
    assert await displaced(pods, "taint-eviction-b1")
    assert not await displaced(pods, "taint-eviction-b2")
    await w.settle(20)
    assert await displaced(pods, "taint-eviction-b2")
