"""What becomes of pods whose machine dies, in upstream's times and in shorter ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kybern.cluster.settings import Settings
from tests.conformance.workloads import conditions, deployment
from tests.conformance.world import World, world

if TYPE_CHECKING:
    from tests.conformance.wire import Resource, Tree

DRIVEN_OFF = ("not-ready", "unreachable")
HASTY = Settings(data_dir="/x", node_monitor_grace=8.0)
"""`kybern up --node-monitor-grace-period 8s`."""


def tolerate(seconds: int) -> list[Tree]:
    return [
        {
            "key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute",
            "tolerationSeconds": seconds,
        }
        for key in DRIVEN_OFF
    ]  # fmt: skip


class Healing:
    """A workload of three pods, one on each node."""

    def __init__(self, w: World, namespace: str) -> None:
        self.w = w
        self.pods: Resource = w.resource("v1", "pods", namespace)
        self.nodes: Resource = w.resource("v1", "nodes")
        self.sets: Resource = w.resource("apps/v1", "statefulsets", namespace)
        self.deployments: Resource = w.resource("apps/v1", "deployments", namespace)

    def body(self, **spec: Any) -> Tree:
        body = deployment("d", 3)
        inner = body["spec"]["template"]["spec"]
        term = {"labelSelector": body["spec"]["selector"], "topologyKey": "kubernetes.io/hostname"}
        weighted = {"weight": 100, "podAffinityTerm": term}
        apart = {"preferredDuringSchedulingIgnoredDuringExecution": [weighted]}
        inner |= {"terminationGracePeriodSeconds": 30, "affinity": {"podAntiAffinity": apart}}
        inner |= spec
        return body

    async def alive(self) -> list[Tree]:
        """Return the pods that are ready where a machine lives."""
        assert self.w.kubelets is not None
        return [
            pod
            for pod in await self.pods.items()
            if conditions(pod).get("Ready") == "True"
            and "deletionTimestamp" not in pod["metadata"]
            and pod["spec"]["nodeName"] in self.w.kubelets.names
        ]

    async def three(self) -> bool:
        return len(await self.alive()) == 3

    async def kill(self, node: str = "node-1") -> float:
        """Let a node's machine die; return when, in seconds of the world."""
        assert self.w.kubelets is not None
        assert any(pod["spec"]["nodeName"] == node for pod in await self.alive())
        self.w.kubelets.die(node)
        assert not await self.three()
        return self.w.clock.monotonic()

    async def healed_after(self, limit: float) -> float:
        """Kill a node; return after how many seconds three pods are Ready elsewhere."""
        died = await self.kill()
        await self.w.wait(self.three, limit)
        return self.w.clock.monotonic() - died


async def healing(w: World) -> Healing:
    return Healing(w, await w.namespace())


@world(nodes=3, scheduler=True)
async def test_pods_are_ready_elsewhere_after_five_minutes(w: World) -> None:
    h = await healing(w)
    await h.deployments.create(h.body())
    await w.wait(h.three)
    await w.settle(123)
    died = await h.kill()

    async def unknown() -> bool:
        return conditions(await h.nodes.get("node-1"))["Ready"] == "Unknown"

    await w.wait(unknown, 60)
    noticed = w.clock.monotonic()
    assert 40 <= noticed - died <= 51  # upstream's 50 s, since the last heartbeat
    (lost,) = [p for p in await h.pods.items() if p["spec"]["nodeName"] == "node-1"]
    await w.wait(lambda: _lost_service(h, lost), 5)
    await w.wait(h.three, 400)
    assert 300 <= w.clock.monotonic() - noticed <= 302
    taints = {(t["key"], t["effect"]) for t in (await h.nodes.get("node-1"))["spec"]["taints"]}
    unreachable = "node.kubernetes.io/unreachable"
    assert taints == {(unreachable, "NoSchedule"), (unreachable, "NoExecute")}

    # Nobody confirms the end of the lost one, until its machine is back.
    (left,) = [p for p in await h.pods.items() if p["spec"]["nodeName"] == "node-1"]
    assert "deletionTimestamp" in left["metadata"]
    assert conditions(left)["DisruptionTarget"] == "True"
    assert w.kubelets is not None
    w.kubelets.come_back("node-1")
    await w.wait(lambda: h.pods.missing(left["metadata"]["name"]))
    assert conditions(await h.nodes.get("node-1"))["Ready"] != "True"  # its kubelet has to say so


async def _lost_service(h: Healing, pod: Tree) -> bool:
    return conditions(await h.pods.get(pod["metadata"]["name"]))["Ready"] == "False"


@pytest.mark.parametrize("phase", [0.0, 0.4, 0.8, 1.2, 1.49])
def test_pods_are_ready_elsewhere_within_fifteen_seconds(phase: float) -> None:
    """With a toleration of 5 s, wherever between two heartbeats the machine dies."""

    @world(
        nodes=3, scheduler=True, lease_seconds=HASTY.node_lease_seconds,
        node_monitor_grace_period=HASTY.node_monitor_grace,
    )  # fmt: skip
    async def story(w: World) -> None:
        h = await healing(w)
        await h.deployments.create(h.body(tolerations=tolerate(5)))
        await w.wait(h.three)
        await w.settle(120 + phase)
        assert await h.healed_after(30) <= 15

    story()


@world(nodes=3, scheduler=True)
async def test_a_numbered_pod_is_never_there_twice(w: World) -> None:
    """Of a StatefulSet there is no replacement while the machine may still run the pod."""
    h = await healing(w)
    body = h.body(tolerations=tolerate(5))
    await h.sets.create({**body, "spec": {**body["spec"], "serviceName": "d"}})
    await w.wait(h.three)
    (lost,) = [p for p in await h.alive() if p["spec"]["nodeName"] == "node-1"]
    await h.kill()
    await w.settle(1200)
    assert len(await h.alive()) == 2
    name = lost["metadata"]["name"]
    found = await h.pods.get(name)
    assert found["metadata"]["uid"] == lost["metadata"]["uid"]
    assert "deletionTimestamp" in found["metadata"]
    # Somebody who knows that the machine is off says so.
    taint = {"key": "node.kubernetes.io/out-of-service", "value": "gone", "effect": "NoExecute"}
    taints = (await h.nodes.get("node-1"))["spec"]["taints"]
    await h.nodes.patch("node-1", {"spec": {"taints": [*taints, taint]}})
    await w.wait(h.three, 120)
    assert (await h.pods.get(name))["metadata"]["uid"] != lost["metadata"]["uid"]


@world(nodes=3, scheduler=True)
async def test_pods_of_a_node_that_is_taken_away_are_replaced(w: World) -> None:
    h = await healing(w)
    await h.deployments.create(h.body())
    await w.wait(h.three)
    await h.kill()
    await h.nodes.delete("node-1")
    await w.wait(h.three, 120)
    assert len(await h.pods.items()) == 3
