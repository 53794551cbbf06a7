"""Autoscaling on nodes whose kubelets are played, and say what they are told of the load."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.conformance.wire import MERGE
from tests.conformance.workloads import conditions, deployment
from tests.conformance.world import World, world

if TYPE_CHECKING:
    from tests.conformance.wire import Tree


class Load:
    """What the pods of a node use: a load that is shared by all of them, in cores."""

    def __init__(self, w: World) -> None:
        self.w = w
        self.cores = 0.0
        self._used: dict[str, float] = {}
        self._at = w.clock.monotonic()
        self._node = ""
        w.server.services.nodes = self

    def client(self, node: str) -> Load:
        self._node = node
        return self

    async def request(self, method: str, target: str, *, timeout: float) -> Any:
        del method, target, timeout
        node = self._node
        pods = [p for p in await self.w.resource("v1", "pods").items() if running(p)]
        seconds, self._at = self.w.clock.monotonic() - self._at, self.w.clock.monotonic()
        for pod in pods:
            uid = pod["metadata"]["uid"]
            self._used[uid] = self._used.get(uid, 0.0) + seconds * self.cores / len(pods)
        return Answer([p for p in pods if p["spec"]["nodeName"] == node], self._used, node)

    async def close(self) -> None:
        pass


class Answer:
    """A kubelet's summary."""

    status = 200

    def __init__(self, pods: list[Tree], used: dict[str, float], node: str) -> None:
        self._pods, self._used, self._node = pods, used, node

    async def read(self) -> bytes:
        def counted(seconds: float) -> Tree:
            return {
                "cpu": {"usageCoreNanoSeconds": int(seconds * 1e9)},
                "memory": {"workingSetBytes": 10 << 20},
            }

        pods = [
            {
                "podRef": {key: p["metadata"][key] for key in ("name", "namespace", "uid")},
                "containers": [{"name": "c", **counted(self._used[p["metadata"]["uid"]])}],
            }
            for p in self._pods
        ]
        return json.dumps({"node": {"nodeName": self._node, **counted(0)}, "pods": pods}).encode()


def running(pod: Tree) -> bool:
    return pod["status"]["phase"] == "Running"


def autoscaler(most: int = 10, **spec: Any) -> Tree:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}
    metric = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}
    metrics = [{"type": "Resource", "resource": metric}]
    return {
        "metadata": {"name": "a"},
        "spec": {"scaleTargetRef": target, "maxReplicas": most, "metrics": metrics, **spec},
    }


async def start(w: World, replicas: int = 1) -> tuple[str, Load]:
    namespace = await w.namespace()
    load = Load(w)
    body = deployment("d", replicas)
    container = body["spec"]["template"]["spec"]["containers"][0]
    container["resources"] = {"requests": {"cpu": "200m"}}
    await w.resource("apps/v1", "deployments", namespace).create(body)
    return namespace, load


@world(nodes=2, scheduler=True)
async def test_replicas_follow_the_load(w: World) -> None:
    namespace, load = await start(w)
    autoscalers = w.resource("autoscaling/v2", "horizontalpodautoscalers", namespace)
    deployments = w.resource("apps/v1", "deployments", namespace)
    await autoscalers.create(autoscaler())

    async def has(count: int) -> bool:
        found: int = (await deployments.get("d"))["spec"]["replicas"]
        return found == count

    load.cores = 0.5  # at half of 200m each, that is work for five
    await w.wait(lambda: has(5), 900, 5)
    found = await autoscalers.get("a")
    assert conditions(found) == {
        "AbleToScale": "True", "ScalingActive": "True", "ScalingLimited": "False",
    }  # fmt: skip
    load.cores = 8.0
    await w.wait(lambda: has(10), 900, 5)
    found = await autoscalers.get("a")
    assert conditions(found)["ScalingLimited"] == "True"
    load.cores = 0.0
    await w.settle(200)
    assert await has(10)  # it waits before it goes down
    await w.wait(lambda: has(1), 900, 5)
    events = await w.resource("v1", "events", namespace).items()
    told = {event["message"] for event in events if event["reason"] == "SuccessfulRescale"}
    assert "New size: 1; reason: All metrics below target" in told
    above = "reason: cpu resource utilization (percentage of request) above target"
    assert any(text.endswith(above) for text in told)


@world(nodes=2, scheduler=True)
async def test_what_is_seen_is_what_happened_since_the_last_look(w: World) -> None:
    """An autoscaler without a stabilisation window takes all away with the second look."""
    namespace, load = await start(w)
    at_once = {"scaleDown": {"stabilizationWindowSeconds": 0}}
    autoscalers = w.resource("autoscaling/v2", "horizontalpodautoscalers", namespace)
    await autoscalers.create(autoscaler(behavior=at_once))
    deployments = w.resource("apps/v1", "deployments", namespace)

    async def has(count: int) -> bool:
        found: int = (await deployments.get("d"))["spec"]["replicas"]
        return found == count

    load.cores = 0.5
    await w.wait(lambda: has(5), 62, 1)
    await w.settle(100)
    load.cores = 0.0
    await w.wait(lambda: has(1), 31, 1)


@world(nodes=1, scheduler=True)
async def test_bounds_come_before_metrics(w: World) -> None:
    namespace, _ = await start(w, 6)
    deployments = w.resource("apps/v1", "deployments", namespace)
    autoscalers = w.resource("autoscaling/v2", "horizontalpodautoscalers", namespace)
    await autoscalers.create(autoscaler(4, minReplicas=2))

    async def has(count: int) -> bool:
        found: int = (await deployments.get("d"))["spec"]["replicas"]
        return found == count

    await w.wait(lambda: has(4))
    await deployments.patch("d", {"spec": {"replicas": 0}}, MERGE)

    async def disabled() -> bool:
        found = await autoscalers.get("a")
        return any(c["reason"] == "ScalingDisabled" for c in found["status"].get("conditions", ()))

    await w.wait(disabled)
    assert await has(0)


@world(nodes=1, scheduler=True)
async def test_what_is_wrong_is_said(w: World) -> None:
    namespace, _ = await start(w)
    autoscalers = w.resource("autoscaling/v2", "horizontalpodautoscalers", namespace)
    body = autoscaler()
    body["spec"]["scaleTargetRef"]["name"] = "other"
    await autoscalers.create(body)

    async def reason(kind: str) -> str:
        found = await autoscalers.get("a")
        by_type = {c["type"]: c for c in found.get("status", {}).get("conditions", ())}
        return by_type.get(kind, {}).get("reason", "")

    async def no_scale() -> bool:
        return await reason("AbleToScale") == "FailedGetScale"

    await w.wait(no_scale)
    metric = {"metric": {"name": "queue"}, "target": {"type": "AverageValue", "averageValue": "30"}}
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
        "metrics": [{"type": "External", "external": metric}],
    }
    await autoscalers.patch("a", {"spec": spec}, MERGE)

    async def no_metric() -> bool:
        return await reason("ScalingActive") == "FailedGetExternalMetric"

    await w.wait(no_metric)
