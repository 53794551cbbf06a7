"""DaemonSets against the real API server."""

from __future__ import annotations

from tests.unit.controllers.cluster import cluster, deployment

from kybern.api.apps.v1 import ControllerRevision, DaemonSet, DaemonSetSpec
from kybern.api.core.v1 import Node, NodeCondition, NodeStatus
from kybern.api.meta.v1 import ObjectMeta
from kybern.lib.clock import run_virtual

ALL = ("daemonset", "podgc")


def daemon_set(image="web:1", **spec):
    like = deployment("log", image=image)
    return DaemonSet(
        metadata=like.metadata,
        spec=DaemonSetSpec(selector=like.spec.selector, template=like.spec.template, **spec),
    )


async def patch(it, spec):
    await it.client.patch(DaemonSet, "log", "default", {"spec": spec}, type="strategic")


async def open_nodes(it):
    """Do what the node lifecycle controller does with nodes that are ready."""
    for node in (await it.client.list(Node))[0]:
        await it.client.patch(Node, node.metadata.name, "", {"spec": {"taints": None}})


async def images(it):
    return {pod.spec.nodeName: pod.spec.containers[0].image for pod in await it.pods()}


async def revisions(it):
    found = (await it.client.list(ControllerRevision, "default"))[0]
    return sorted(one.revision for one in found)


def test_nodes_come_and_go():
    async def main():
        async with cluster(*ALL) as it:
            await open_nodes(it)
            await it.client.create(daemon_set())
            await it.settle()
            assert (await images(it)).keys() == {"node-0", "node-1", "node-2"}
            ready = NodeStatus(conditions=[NodeCondition(type="Ready", status="True")])
            await it.client.create(Node(metadata=ObjectMeta(name="node-9"), status=ready))
            await it.settle()
            assert "node-9" not in await images(it)  # it is not ready for pods yet
            await open_nodes(it)
            await it.settle()
            assert "node-9" in await images(it)
            await it.client.delete(Node, "node-9")
            await it.settle(120)
            assert "node-9" not in await images(it)
            status = (await it.client.get(DaemonSet, "log", "default")).status
            assert (status.desiredNumberScheduled, status.numberReady) == (3, 3)
            told = [text for reason, text in await it.events() if reason == "SuccessfulCreate"]
            assert len(told) == 4
            await it.quiet()

    run_virtual(main())


def test_history_is_kept_and_cleaned_up():
    async def main():
        async with cluster(*ALL) as it:
            await open_nodes(it)
            await it.client.create(daemon_set(revisionHistoryLimit=1))
            for number in (2, 3, 4, 2):
                await it.settle(30)
                containers = [{"name": "main", "image": f"web:{number}"}]
                await patch(it, {"template": {"spec": {"containers": containers}}})
            await it.settle(30)
            assert set((await images(it)).values()) == {"web:2"}
            assert await revisions(it) == [4, 5]
            await it.quiet()

    run_virtual(main())


def test_twins_in_the_history_become_one_and_pods_stay():
    async def main():
        async with cluster(*ALL) as it:
            await open_nodes(it)
            await it.client.create(daemon_set())
            await it.settle()
            before = {pod.metadata.uid for pod in await it.pods()}
            (one,) = (await it.client.list(ControllerRevision, "default"))[0]
            one.metadata.name, one.metadata.resourceVersion, one.revision = "twin", None, 7
            one.metadata.labels["controller-revision-hash"] = "twin"
            await it.client.create(one)
            await patch(it, {"minReadySeconds": 1})
            await it.settle()
            assert await revisions(it) == [7]
            pods = await it.pods()
            assert {pod.metadata.uid for pod in pods} == before
            assert {pod.metadata.labels["controller-revision-hash"] for pod in pods} == {"twin"}
            await it.quiet()

    run_virtual(main())


def test_a_surge_keeps_every_node_served():
    async def main():
        async with cluster(*ALL) as it:
            await open_nodes(it)
            rolling = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
            await it.client.create(daemon_set())
            await patch(it, {"updateStrategy": rolling})
            await it.settle()
            seen = []
            containers = [{"name": "main", "image": "web:2"}]
            await patch(it, {"template": {"spec": {"containers": containers}}})
            for _ in range(40):
                await it.settle(0.5)
                status = (await it.client.get(DaemonSet, "log", "default")).status
                staying = [p for p in await it.pods() if p.metadata.deletionTimestamp is None]
                seen.append((status.numberAvailable or 0, len(staying)))
            assert min(available for available, _ in seen) == 3
            assert max(pods for _, pods in seen) == 4
            assert set((await images(it)).values()) == {"web:2"}
            await it.quiet()

    run_virtual(main())
