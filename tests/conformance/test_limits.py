"""LimitRanges, PriorityClasses, RuntimeClasses, and what they do to pods."""

from __future__ import annotations

import copy

from tests.conformance.marks import conforms
from tests.conformance.operations import operations
from tests.conformance.wire import JSON_PATCH, MERGE, STRATEGIC, Resource
from tests.conformance.world import World, refused, world


def pod(
    name: str, requests: dict | None = None, limits: dict | None = None, **spec: object
) -> dict:
    resources = {key: value for key, value in (("requests", requests), ("limits", limits)) if value}
    container = {"name": "pause", "image": "pause", "resources": resources}
    return {"metadata": {"name": name}, "spec": {"containers": [container], **spec}}


def limit_range(name: str, **labels: str) -> dict:
    def amounts(cpu: str, memory: str, storage: str) -> dict:
        return {"cpu": cpu, "memory": memory, "ephemeral-storage": storage}

    limit = {
        "type": "Container",
        "min": amounts("50m", "100Mi", "100Gi"),
        "max": amounts("500m", "500Mi", "500Gi"),
        "default": amounts("500m", "500Mi", "500Gi"),
        "defaultRequest": amounts("100m", "200Mi", "200Gi"),
        "maxLimitRequestRatio": {},
    }
    return {"metadata": {"name": name, "labels": labels}, "spec": {"limits": [limit]}}


def resources_of(tree: dict) -> dict:
    return tree["spec"]["containers"][0]["resources"]


@conforms(
    "[sig-scheduling] LimitRange should create a LimitRange with defaults and ensure pod has those"
    " defaults applied. [Conformance]"
)
@world()
async def test_limit_ranges_fill_in(w: World) -> None:
    namespace = await w.namespace()
    ranges = w.resource("v1", "limitranges", namespace)
    pods = w.resource("v1", "pods", namespace)
    async with await ranges.watch() as watch:
        made = await ranges.create(limit_range("limits"))
        assert await watch.expect("ADDED") == [made]
    (limit,) = made["spec"]["limits"]
    assert limit["default"] == {"cpu": "500m", "memory": "500Mi", "ephemeral-storage": "500Gi"}

    bare = resources_of(await pods.create(pod("no-resources")))
    assert bare["requests"] == limit["defaultRequest"]
    assert bare["limits"] == limit["default"]
    partly = pod(
        "partly",
        {"cpu": "300m", "memory": "250Mi", "ephemeral-storage": "150Gi"},
        {"memory": "300Mi"},
    )
    merged = resources_of(await pods.create(partly))
    assert merged["requests"] == {"cpu": "300m", "memory": "250Mi", "ephemeral-storage": "150Gi"}
    assert merged["limits"] == {"cpu": "500m", "memory": "300Mi", "ephemeral-storage": "500Gi"}
    # a limit without a request is the request too
    limited = resources_of(await pods.create(pod("limited", None, {"cpu": "300m"})))
    assert limited["requests"]["cpu"] == "300m"
    assert limited["requests"]["memory"] == "200Mi"

    little = {"cpu": "10m", "memory": "50Mi", "ephemeral-storage": "50Gi"}
    with refused(403, "Forbidden", "minimum cpu usage per Container is 50m, but request is 10m"):
        await pods.create(pod("too-little", little))
    much = {"cpu": "600m", "memory": "600Mi", "ephemeral-storage": "600Gi"}
    with refused(403, "Forbidden", "maximum cpu usage per Container is 500m, but limit is 600m"):
        await pods.create(pod("too-much", {}, much))

    smaller = copy.deepcopy(made)
    smaller["spec"]["limits"][0]["min"] = {
        "cpu": "9m",
        "memory": "49Mi",
        "ephemeral-storage": "49Gi",
    }
    updated = await ranges.update(smaller)
    assert updated["spec"]["limits"][0]["min"]["cpu"] == "9m"
    await pods.create(pod("too-little", little))
    with refused(403, "Forbidden", "maximum cpu usage per Container is 500m, but limit is 600m"):
        await pods.create(pod("too-much", {}, much))
    await ranges.delete("limits")
    assert await ranges.missing("limits")
    await pods.create(pod("too-much", {}, much))


@conforms(
    "[sig-scheduling] LimitRange should list, patch and delete a LimitRange by collection"
    " [Conformance]"
)
@world()
async def test_limit_ranges_in_two_namespaces(w: World) -> None:
    one = w.resource("v1", "limitranges", await w.namespace())
    two = w.resource("v1", "limitranges", await w.namespace())
    await one.create(limit_range("limits", test="two"))
    await two.create(limit_range("limits", test="two"))
    assert len(await one.items("test=two", everywhere=True)) == 2
    change = {
        "metadata": {"labels": {"limits": "patched"}},
        "spec": {"limits": [{"type": "Container", "min": {"cpu": "40m"}}]},
    }
    patched = await one.patch("limits", change, STRATEGIC)
    assert patched["metadata"]["labels"] == {"test": "two", "limits": "patched"}
    assert patched["spec"]["limits"][0]["min"] == {"cpu": "40m"}
    await one.delete_collection("limits=patched")
    assert await one.items("limits=patched") == []
    (left,) = await one.items("test=two", everywhere=True)
    assert left["metadata"]["namespace"] == two.namespace


@conforms(
    "[sig-scheduling] SchedulerPreemption [Serial] PriorityClass endpoints verify PriorityClass"
    " endpoints can be operated with different HTTP methods [Conformance]"
)
@world()
async def test_priority_classes(w: World) -> None:
    classes = w.resource("scheduling.k8s.io/v1", "priorityclasses")
    await operations(w, classes, {"value": 5})
    await classes.create({"metadata": {"name": "p1"}, "value": 1})
    await classes.create({"metadata": {"name": "p2"}, "value": 2})
    assert {"p1", "p2", "system-node-critical"} <= set(await classes.names())
    for name, value in (("p1", 10), ("p2", 20)):
        change = [
            {"op": "test", "path": "/value", "value": int(name[1:])},
            {"op": "replace", "path": "/value", "value": value},
        ]
        with refused(422, "Invalid", "value: Forbidden: may not be changed in an update."):
            await classes.patch(name, change, JSON_PATCH)
        found = await classes.get(name)
        with refused(422, "Invalid", "value: Forbidden: may not be changed in an update."):
            await classes.update({**found, "value": value})
        found["description"] = "updated"
        assert (await classes.update(found))["description"] == "updated"
        patched = await classes.patch(name, {"description": "patched"}, MERGE)
        assert patched["description"] == "patched"
        assert patched["value"] == int(name[1:])
        with refused(422, "Invalid", "preemptionPolicy"):
            await classes.patch(name, {"preemptionPolicy": "Never"}, MERGE)


@conforms("[sig-node] RuntimeClass should support RuntimeClasses API operations [Conformance]")
@world()
async def test_runtime_classes(w: World) -> None:
    classes = w.resource("node.k8s.io/v1", "runtimeclasses")
    await operations(w, classes, {"handler": "conformance-runtime-class"})
    await classes.create({"metadata": {"name": "one"}, "handler": "a"})
    with refused(422, "Invalid", "handler"):
        await classes.patch("one", {"handler": "b"})


@conforms(
    "[sig-node] RuntimeClass should reject a Pod requesting a non-existent RuntimeClass"
    " [NodeConformance] [Conformance]",
    "[sig-node] RuntimeClass should reject a Pod requesting a deleted RuntimeClass"
    " [NodeConformance] [Conformance]",
)
@world()
async def test_pods_of_unknown_runtime_classes(w: World) -> None:
    pods = w.resource("v1", "pods", await w.namespace())
    classes = w.resource("node.k8s.io/v1", "runtimeclasses")
    with refused(403, "Forbidden", 'RuntimeClass "nobody" not found'):
        await pods.create(pod("p", runtimeClassName="nobody"))
    await classes.create({"metadata": {"name": "gone"}, "handler": "runc"})
    await pods.create(pod("before", runtimeClassName="gone"))
    await classes.delete("gone")
    with refused(403, "Forbidden", 'RuntimeClass "gone" not found'):
        await pods.create(pod("p", runtimeClassName="gone"))


async def scheduled(w: World, pods: Resource, name: str) -> dict:
    async def there() -> dict | None:
        found = await pods.get(name)
        return found if found["spec"].get("nodeName") else None

    return await w.wait(there)


@conforms(
    "[sig-node] RuntimeClass should schedule a Pod requesting a RuntimeClass without PodOverhead"
    " [NodeConformance] [Conformance]"
)
@world(nodes=1, scheduler=True)
async def test_pods_of_runtime_classes_are_scheduled(w: World) -> None:
    pods = w.resource("v1", "pods", await w.namespace())
    classes = w.resource("node.k8s.io/v1", "runtimeclasses")
    await classes.create({"metadata": {"name": "plain"}, "handler": "non-existing-handler"})
    await pods.create(pod("p", runtimeClassName="plain"))
    found = await scheduled(w, pods, "p")
    assert "overhead" not in found["spec"]


@conforms(
    "[sig-node] RuntimeClass should schedule a Pod requesting a RuntimeClass and initialize its"
    " Overhead [NodeConformance] [Conformance]"
)
@world(nodes=1, scheduler=True)
async def test_pods_get_the_overhead_of_their_runtime_class(w: World) -> None:
    pods = w.resource("v1", "pods", await w.namespace())
    classes = w.resource("node.k8s.io/v1", "runtimeclasses")
    overhead = {"cpu": "10m", "memory": "1Mi"}
    await classes.create(
        {"metadata": {"name": "heavy"}, "handler": "runc", "overhead": {"podFixed": overhead}}
    )
    made = await pods.create(pod("p", runtimeClassName="heavy"))
    assert made["spec"]["overhead"] == overhead
    assert (await scheduled(w, pods, "p"))["spec"]["overhead"] == overhead
    with refused(403, "Forbidden", "pod rejected: Pod's Overhead doesn't match"):
        await pods.create(pod("q", runtimeClassName="heavy", overhead={"cpu": "20m"}))
