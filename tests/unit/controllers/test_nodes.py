"""Nodes that fall silent, and what becomes of their pods, against the real API server."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from tests.unit.controllers.cluster import cluster

from kybern.api import errors
from kybern.api.coordination.v1 import Lease, LeaseSpec
from kybern.api.core.v1 import (
    Container,
    Node,
    NodeSpec,
    Pod,
    PodSpec,
    Taint,
    Toleration,
)
from kybern.api.meta.v1 import ObjectMeta
from kybern.lib.clock import rfc3339, rfc3339_micro, run_virtual

ALL = ("nodelifecycle", "taint-eviction", "podgc")


class Kubelet:
    """Beats for a node until it is stopped."""

    def __init__(self, it, name, zone="z"):
        self.it = it
        self.name = name
        self.zone = zone

    async def start(self):
        it = self.it
        labels = {"topology.kubernetes.io/zone": self.zone}
        with contextlib.suppress(errors.AlreadyExists):
            await it.client.create(Node(metadata=ObjectMeta(name=self.name, labels=labels)))
        with contextlib.suppress(errors.AlreadyExists):
            metadata = ObjectMeta(name=self.name, namespace="kube-node-lease")
            await it.client.create(Lease(metadata=metadata, spec=LeaseSpec()))
        await self.report("True")
        self.task = it.tasks.spawn(self.beat(), name=self.name)

    async def report(self, ready):
        stamp = rfc3339(self.it.clock.now())
        condition = {
            "type": "Ready", "status": ready, "reason": "KubeletReady",
            "lastHeartbeatTime": stamp, "lastTransitionTime": stamp,
        }  # fmt: skip
        others = [
            {"type": kind, "status": "False", "lastHeartbeatTime": stamp}
            for kind in ("MemoryPressure", "DiskPressure", "PIDPressure")
        ]
        body = {"status": {"conditions": [condition, *others]}}
        await self.it.client.patch(
            Node, self.name, "", body, type="strategic", subresource="status"
        )

    async def beat(self):
        while True:
            body = {"spec": {"renewTime": rfc3339_micro(self.it.clock.now())}}
            await self.it.client.patch(Lease, self.name, "kube-node-lease", body)
            await asyncio.sleep(10)

    def die(self):
        self.task.cancel()


async def nodes(it, count, zones="z"):
    await it.namespace("kube-node-lease")
    kubelets = [Kubelet(it, f"n{i}", zones[i % len(zones)]) for i in range(count)]
    for kubelet in kubelets:
        await kubelet.start()
    await it.settle(5)
    return kubelets


async def pod_on(it, name, node, **spec):
    metadata = ObjectMeta(name=name, namespace="default")
    container = Container(name="main", image="x")
    await it.client.create(
        Pod(metadata=metadata, spec=PodSpec(containers=[container], nodeName=node, **spec))
    )
    body = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}
    await it.client.patch(Pod, name, "default", body, type="strategic", subresource="status")


async def ready(it, name):
    node = await it.client.get(Node, name)
    return next(c for c in node.status.conditions if c.type == "Ready")


async def taints(it, name):
    node = await it.client.get(Node, name)
    return {(taint.key.split("/")[1], taint.effect) for taint in node.spec.taints or ()}


def tolerate(seconds):
    return [
        Toleration(
            key=f"node.kubernetes.io/{key}",
            operator="Exists",
            effect="NoExecute",
            tolerationSeconds=seconds,
        )
        for key in ("not-ready", "unreachable")
    ]


def test_a_silent_node_becomes_unknown_and_loses_its_pods():
    async def main():
        async with cluster(*ALL, nodes=False) as it:
            first, *_ = await nodes(it, 3)
            await pod_on(it, "short", "n0", tolerations=tolerate(30))
            await pod_on(it, "long", "n0", tolerations=tolerate(3000))
            await pod_on(it, "elsewhere", "n1", tolerations=tolerate(30))
            await it.settle(300)
            assert (await ready(it, "n0")).status == "True"
            assert await taints(it, "n0") == set()
            first.die()
            await it.settle(35)
            assert (await ready(it, "n0")).status == "True"
            await it.settle(25)
            condition = await ready(it, "n0")
            assert (condition.status, condition.reason, condition.message) == (
                "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.",
            )  # fmt: skip
            assert await taints(it, "n0") == {
                ("unreachable", "NoSchedule"), ("unreachable", "NoExecute"),
            }  # fmt: skip
            pod = await it.client.get(Pod, "long", "default")
            assert next(c for c in pod.status.conditions if c.type == "Ready").status == "False"
            await it.settle(40)
            short = await it.client.get(Pod, "short", "default")
            assert short.metadata.deletionTimestamp is not None
            target = next(c for c in short.status.conditions if c.type == "DisruptionTarget")
            assert target.reason == "DeletionByTaintManager"
            for name in ("long", "elsewhere"):
                pod = await it.client.get(Pod, name, "default")
                assert pod.metadata.deletionTimestamp is None
            events = await it.events()
            assert ("TaintManagerEviction", "Marking for deletion Pod default/short") in events
            assert ("NodeNotReady", "Node n0 status is now: NodeNotReady") in events

    run_virtual(main())


def test_a_node_that_comes_back_loses_its_taints():
    async def main():
        async with cluster(*ALL, nodes=False) as it:
            first, *_ = await nodes(it, 3)
            await pod_on(it, "a", "n0", tolerations=tolerate(300))
            first.die()
            await it.settle(90)
            assert await taints(it, "n0")
            await first.start()
            await it.settle(5)
            assert await taints(it, "n0") == set()
            await it.settle(600)
            pod = await it.client.get(Pod, "a", "default")
            assert pod.metadata.deletionTimestamp is None
            assert ("TaintManagerEviction", "Cancelling deletion of Pod default/a") in (
                await it.events()
            )

    run_virtual(main())


def test_when_all_nodes_are_silent_nobody_is_driven_off():
    async def main():
        async with cluster(*ALL, nodes=False) as it:
            kubelets = await nodes(it, 3)
            await pod_on(it, "a", "n0", tolerations=tolerate(5))
            for kubelet in kubelets:
                kubelet.die()
            await it.settle(600)
            assert await taints(it, "n0") == {("unreachable", "NoSchedule")}
            pod = await it.client.get(Pod, "a", "default")
            assert pod.metadata.deletionTimestamp is None

    run_virtual(main())


def test_nodes_of_a_zone_are_tainted_one_at_a_time():
    async def main():
        async with cluster(*ALL, nodes=False) as it:
            kubelets = await nodes(it, 6)
            for kubelet in kubelets[:2]:
                kubelet.die()
            tainted: dict[str, int] = {}
            for second in range(90):
                await it.settle(1)
                for name in ("n0", "n1"):
                    if ("unreachable", "NoExecute") in await taints(it, name):
                        tainted.setdefault(name, second)
            first, second = sorted(tainted.values())
            assert 9 <= second - first <= 12

    run_virtual(main())


def test_conditions_and_cordons_become_taints():
    async def main():
        async with cluster(*ALL, nodes=False) as it:
            first, *_ = await nodes(it, 2)
            await first.report("False")
            await it.settle(2)
            assert await taints(it, "n0") == {
                ("not-ready", "NoSchedule"), ("not-ready", "NoExecute"),
            }  # fmt: skip
            await first.report("True")
            body = {"status": {"conditions": [{"type": "DiskPressure", "status": "True"}]}}
            await it.client.patch(Node, "n0", "", body, type="strategic", subresource="status")
            await it.client.patch(Node, "n0", "", {"spec": {"unschedulable": True}})
            await it.settle(2)
            assert await taints(it, "n0") == {
                ("disk-pressure", "NoSchedule"), ("unschedulable", "NoSchedule"),
            }  # fmt: skip
            await it.client.patch(Node, "n0", "", {"spec": {"unschedulable": None}})
            await first.report("True")
            await it.settle(2)
            assert await taints(it, "n0") == set()

    run_virtual(main())


def test_a_node_that_never_reported():
    async def main():
        async with cluster(*ALL, nodes=False) as it:
            await nodes(it, 1)
            await it.client.create(Node(metadata=ObjectMeta(name="shy")))
            await it.settle(90)
            condition = await ready(it, "shy")
            assert (condition.status, condition.reason) == ("Unknown", "NodeStatusNeverUpdated")

    run_virtual(main())


def test_users_taints_are_left_alone_and_obeyed():
    async def main():
        async with cluster(*ALL, nodes=False) as it:
            await nodes(it, 2)
            await pod_on(it, "guest", "n0")
            await pod_on(it, "host", "n0", tolerations=[Toleration(operator="Exists")])
            taint = Taint(key="example.com/mine", value="x", effect="NoExecute")
            body = {"spec": {"taints": [{"key": taint.key, "value": "x", "effect": "NoExecute"}]}}
            await it.client.patch(Node, "n0", "", body)
            await it.settle(5)
            guest = await it.client.get(Pod, "guest", "default")
            assert guest.metadata.deletionTimestamp is not None
            host = await it.client.get(Pod, "host", "default")
            assert host.metadata.deletionTimestamp is None
            assert await taints(it, "n0") == {("mine", "NoExecute")}

    run_virtual(main())


def test_pods_of_a_node_that_is_gone_are_removed():
    async def main():
        async with cluster(*ALL, nodes=False) as it:
            first, *_ = await nodes(it, 2)
            await pod_on(it, "lost", "n0")
            await pod_on(it, "safe", "n1")
            first.die()
            await it.client.delete(Node, "n0")
            await it.settle(30)
            await it.client.get(Pod, "lost", "default")
            await it.settle(30)
            with pytest.raises(errors.NotFound):
                await it.client.get(Pod, "lost", "default")
            await it.client.get(Pod, "safe", "default")

    run_virtual(main())


def test_a_lost_pod_is_removed_although_somebody_wrote_in_between(monkeypatch):
    async def main():
        async with cluster(*ALL, nodes=False) as it:
            first, *_ = await nodes(it, 2)
            await pod_on(it, "lost", "n0")
            client = it.host.running["pod-garbage-collector-controller"]._client
            patch, refused = client.patch, []

            async def conflict(*args, **more):
                if not refused:
                    refused.append(args)
                    raise errors.Conflict("the object has been modified")
                return await patch(*args, **more)

            monkeypatch.setattr(client, "patch", conflict)
            first.die()
            await it.client.delete(Node, "n0")
            await it.settle(60)
            assert refused
            with pytest.raises(errors.NotFound):
                await it.client.get(Pod, "lost", "default")

    run_virtual(main())


def test_out_of_service_nodes_give_their_terminating_pods_up():
    async def main():
        async with cluster(*ALL, nodes=False) as it:
            first, *_ = await nodes(it, 2)
            await pod_on(it, "stuck", "n0", tolerations=[Toleration(operator="Exists")])
            await it.client.delete(Pod, "stuck", "default")
            first.die()
            await it.settle(100)
            await it.client.get(Pod, "stuck", "default")
            node = await it.client.get(Node, "n0")
            node.spec.taints.append(
                Taint(key="node.kubernetes.io/out-of-service", effect="NoExecute")
            )
            await it.client.update(node)
            await it.settle(5)
            with pytest.raises(errors.NotFound):
                await it.client.get(Pod, "stuck", "default")

    run_virtual(main())


def test_too_many_finished_pods_are_thinned_out():
    async def main():
        async with cluster("podgc", nodes=False, terminated_pod_gc_threshold=2) as it:
            await it.client.create(Node(metadata=ObjectMeta(name="n0"), spec=NodeSpec()))
            for number in range(5):
                await pod_on(it, f"p{number}", "n0")
                await it.settle(2)
                body = {"status": {"phase": "Succeeded"}}
                await it.client.patch(
                    Pod, f"p{number}", "default", body, type="strategic", subresource="status"
                )
            await it.settle(5)
            assert [p.metadata.name for p in await it.pods()] == ["p3", "p4"]

    run_virtual(main())
