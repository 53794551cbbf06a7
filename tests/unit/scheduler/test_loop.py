"""The whole scheduler against the real API server, in this process and in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import random
from contextlib import asynccontextmanager

import pytest
from tests.unit.scheduler.objects import a_node, a_pod

from kybern.api import errors
from kybern.api.core.pods import condition
from kybern.api.core.v1 import Event, Namespace, Node, Pod, ServiceAccount
from kybern.api.meta.v1 import ObjectMeta
from kybern.api.scheduling.v1 import PriorityClass
from kybern.apiserver.app import ApiServer
from kybern.apiserver.config import Config
from kybern.client.in_process import InProcessTransport
from kybern.client.rest import Client
from kybern.client.transport import MASTER, Identity
from kybern.lib.clock import VirtualClock
from kybern.lib.metrics import REGISTRY
from kybern.scheduler.config import SchedulerConfig
from kybern.scheduler.loop import Scheduler
from kybern.store.kv.memory import MemoryEngine
from kybern.store.objects import Store

WHO = Identity("system:kube-scheduler", ("system:masters", "system:authenticated"))
SUFFIX = " no new claims to deallocate, preemption: "


class Faulty(InProcessTransport):
    """A transport whose next bindings fail."""

    failures = 0

    async def request(self, method, path, **rest):
        if path.endswith("/binding") and self.failures:
            self.failures -= 1
            raise errors.ServiceUnavailable("not now")
        return await super().request(method, path, **rest)


class Cluster:
    """An API server, a scheduler, and somebody who talks to the first."""

    def __init__(self):
        clock = VirtualClock()
        self.store = Store(MemoryEngine(), clock)
        server = ApiServer(Config(), self.store, clock)
        self.client = Client(InProcessTransport(server.app, MASTER), clock)
        self.transport = Faulty(server.app, WHO)
        self.scheduler = Scheduler(
            SchedulerConfig(), Client(self.transport, clock), rng=random.Random(1)
        )

    async def add_node(self, name="n1", **more):
        made = await self.client.create(a_node(name, **more))
        if made.spec.taints and not more.get("taints"):
            await self.client.patch(Node, name, "", {"spec": {"taints": None}})
        status = {"status": {"allocatable": a_node(name, **more).status.allocatable}}
        await self.client.patch(Node, name, "", status, subresource="status")

    async def add_pod(self, name, **more):
        pod = a_pod(name, **more)
        pod.metadata.uid = None
        pod.status.phase = None
        if pod.spec.priority is not None:
            await self.add_class(pod.spec.priority)
            pod.spec.priorityClassName = f"p{pod.spec.priority}"
        return await self.client.create(pod)

    async def add_class(self, priority):
        kind = PriorityClass(metadata=ObjectMeta(name=f"p{priority}"), value=priority)
        with contextlib.suppress(errors.AlreadyExists):
            await self.client.create(kind)

    async def pod(self, name):
        return await self.client.get(Pod, name, "default")

    async def node_of(self, name):
        return (await self.pod(name)).spec.nodeName

    async def why(self, name):
        found = condition(await self.pod(name), "PodScheduled")
        return found and (found.status, found.reason, found.message)

    async def events(self, name):
        events, _ = await self.client.list(Event, "default")
        return [(e.type, e.reason, e.message) for e in events if e.involvedObject.name == name]


@asynccontextmanager
async def a_cluster(*nodes):
    cluster = Cluster()
    await cluster.client.create(Namespace(metadata=ObjectMeta(name="default")))
    account = ServiceAccount(metadata=ObjectMeta(name="default", namespace="default"))
    await cluster.client.create(account)
    for node in nodes:
        await cluster.add_node(**node)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(cluster.scheduler.run())
        await cluster.scheduler.ready.wait()
        yield cluster
        task.cancel()


async def soon():
    await asyncio.sleep(0.05)


def test_a_pod_gets_a_node_and_everybody_is_told(virtual):
    async def story():
        async with a_cluster({"name": "n1"}) as cluster:
            await cluster.add_pod("web", cpu="1")
            await soon()
            assert await cluster.node_of("web") == "n1"
            assert (await cluster.why("web"))[0] == "True"
            message = "Successfully assigned default/web to n1"
            assert await cluster.events("web") == [("Normal", "Scheduled", message)]
            assert cluster.scheduler.statistics()["scheduled"] == 1
            assert cluster.scheduler.statistics()["assumed_pods"] == 0

    virtual(story())


def test_a_pod_that_does_not_fit_says_so_and_runs_when_there_is_room(virtual):
    async def story():
        async with a_cluster({"name": "n1", "cpu": "2"}) as cluster:
            await cluster.add_pod("first", cpu="2")
            await soon()
            await cluster.add_pod("second", cpu="1")
            await soon()
            message = (
                f"0/1 nodes are available: 1 Insufficient cpu.{SUFFIX}"
                "0/1 nodes are available: 1 No preemption victims found for incoming pod."
            )
            assert await cluster.why("second") == ("False", "Unschedulable", message)
            assert await cluster.events("second") == [("Warning", "FailedScheduling", message)]
            await asyncio.sleep(10)
            await cluster.client.delete(Pod, "first", "default", grace=0)
            await soon()
            assert await cluster.node_of("second") == "n1"

    virtual(story())


def test_without_nodes(virtual):
    async def story():
        async with a_cluster() as cluster:
            await cluster.add_pod("web")
            await soon()
            found = ("False", "Unschedulable", "no nodes available to schedule pods")
            assert await cluster.why("web") == found
            await cluster.add_node("n1")
            await asyncio.sleep(1.1)
            assert await cluster.node_of("web") == "n1"

    virtual(story())


@pytest.mark.parametrize(
    ("node", "change"),
    [
        ({"unschedulable": True}, {"spec": {"unschedulable": None}}),
        ({"taints": [("a", "b")]}, {"spec": {"taints": None}}),
        ({}, {"metadata": {"labels": {"wanted": "yes"}}}),
    ],
)
def test_news_of_nodes(virtual, node, change):
    async def story():
        async with a_cluster({"name": "n1", **node}) as cluster:
            selector = {"wanted": "yes"} if "metadata" in change else None
            await cluster.add_pod("web", nodeSelector=selector)
            await soon()
            assert not await cluster.node_of("web")
            await cluster.client.patch(Node, "n1", "", change)
            await asyncio.sleep(1.1)
            assert await cluster.node_of("web") == "n1"

    virtual(story())


def test_pods_of_other_schedulers_and_gated_ones_are_left_alone(virtual):
    async def story():
        async with a_cluster({"name": "n1"}) as cluster:
            await cluster.add_pod("other", schedulerName="mine")
            await cluster.add_pod("gated", gates=["wait"])
            await asyncio.sleep(400)
            assert not await cluster.node_of("other")
            assert not await cluster.node_of("gated")
            patch = {"spec": {"schedulingGates": None}}
            await cluster.client.patch(Pod, "gated", "default", patch)
            await soon()
            assert await cluster.node_of("gated") == "n1"

    virtual(story())


def test_room_of_terminated_pods_is_free(virtual):
    async def story():
        async with a_cluster({"name": "n1", "cpu": "1"}) as cluster:
            await cluster.add_pod("job", cpu="1")
            await soon()
            await cluster.add_pod("next", cpu="1")
            await asyncio.sleep(2)
            assert not await cluster.node_of("next")
            done = {"status": {"phase": "Succeeded"}}
            await cluster.client.patch(Pod, "job", "default", done, subresource="status")
            await soon()
            assert await cluster.node_of("next") == "n1"

    virtual(story())


def test_a_binding_that_fails_is_taken_back_and_tried_again(virtual):
    async def story():
        async with a_cluster({"name": "n1", "cpu": "1"}) as cluster:
            cluster.transport.failures = 2
            await cluster.add_pod("web", cpu="1")
            await soon()
            assert not await cluster.node_of("web")
            assert (await cluster.why("web"))[1] == "SchedulerError"
            assert cluster.scheduler.statistics()["assumed_pods"] == 0
            await asyncio.sleep(3.5)
            assert await cluster.node_of("web") == "n1"

    virtual(story())


def test_a_pod_deleted_while_it_waits(virtual):
    async def story():
        async with a_cluster() as cluster:
            await cluster.add_pod("web")
            await soon()
            await cluster.client.delete(Pod, "web", "default")
            await soon()
            assert len(cluster.scheduler.queue) == 0

    virtual(story())


def test_many_pods_on_many_nodes_and_none_is_promised_more_than_it_has(virtual):
    async def story():
        nodes = [{"name": f"n{i}", "cpu": "2", "pods": "8"} for i in range(10)]
        async with a_cluster(*nodes) as cluster:
            async with asyncio.TaskGroup() as group:
                for i in range(90):
                    group.create_task(cluster.add_pod(f"p{i}", cpu="250m"))
            await asyncio.sleep(1)
            pods, _ = await cluster.client.list(Pod, "default")
            used = [pod.spec.nodeName for pod in pods if pod.spec.nodeName]
            assert len(used) == 80
            assert {used.count(f"n{i}") for i in range(10)} == {8}
            assert cluster.scheduler.queue.statistics()["parked"] == 10

    virtual(story())


def test_a_more_important_pod_takes_the_place_of_a_lesser_one(virtual):
    async def story():
        async with a_cluster({"name": "n1", "cpu": "1"}) as cluster:
            lesser = await cluster.add_pod("lesser", cpu="1", priority=1)
            await soon()
            important = await cluster.add_pod("important", cpu="1", priority=1000)
            await soon()
            nominated = await cluster.pod("important")
            assert nominated.status.nominatedNodeName == "n1"
            why = "0/1 nodes are available: 1 Insufficient cpu."
            assert await cluster.why("important") == ("False", "Unschedulable", why)
            victim = await cluster.pod("lesser")
            assert victim.metadata.deletionTimestamp
            target = condition(victim, "DisruptionTarget")
            assert (target.status, target.reason) == ("True", "PreemptionByScheduler")
            assert (
                "Normal",
                "Preempted",
                f"Preempted by pod {important.metadata.uid} on node n1",
            ) in await cluster.events("lesser")
            # The room that is being made is not for others.
            await cluster.add_pod("opportunist", cpu="1", priority=2)
            await asyncio.sleep(5)
            await cluster.client.delete(Pod, "lesser", "default", grace=0, uid=lesser.metadata.uid)
            await asyncio.sleep(5)
            assert await cluster.node_of("important") == "n1"
            assert not await cluster.node_of("opportunist")

    virtual(story())


def test_a_new_scheduler_finds_things_as_they_are(virtual):
    async def story():
        cluster = Cluster()
        await cluster.client.create(Namespace(metadata=ObjectMeta(name="default")))
        account = ServiceAccount(metadata=ObjectMeta(name="default", namespace="default"))
        await cluster.client.create(account)
        await cluster.add_node("n1", cpu="1")
        await cluster.add_node("n2", cpu="1")
        await cluster.add_pod("there", cpu="1", node="n1")
        await cluster.add_pod("waiting", cpu="1")
        async with asyncio.TaskGroup() as group:
            task = group.create_task(cluster.scheduler.run())
            await asyncio.sleep(1)
            assert await cluster.node_of("waiting") == "n2"
            task.cancel()

    virtual(story())


def test_it_can_be_run_again(virtual):
    async def story():
        async with a_cluster({"name": "n1", "cpu": "2"}) as cluster:
            await cluster.add_pod("first", cpu="1")
            await soon()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(cluster.scheduler.run())
            await cluster.scheduler.ready.wait()
            await cluster.add_pod("second", cpu="1")
            await cluster.add_pod("third", cpu="1")
            await soon()
            assert await cluster.node_of("second") == "n1"
            assert not await cluster.node_of("third")
            page = REGISTRY.expose().decode()
            assert 'scheduler_pending_pods{queue="unschedulable"} 1' in page
            assert 'scheduler_schedule_attempts_total{result="scheduled"} 2' in page
            task.cancel()

    virtual(story())
