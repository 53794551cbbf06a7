#!/usr/bin/env python3
"""What very many pods cost: at rest, and when the control plane starts and has to see all of them.

Usage: bench/many_pods.py [PODS_AT_REST] [PODS_AT_START]

* At rest: a ReplicaSet's 10,000 pods run on fake nodes; nothing happens; the CPU of the control
  plane (API server, controllers and scheduler in one process) over half a minute.
* At start: 1,500 Deployments of 100 pods on 5,000 nodes, all as they should be, but for one pod
  that is missing. They are copies of what a control plane made of one Deployment, written into the
  store's file. It is started, until every controller and the scheduler have seen everything: the
  missing pod is replaced and has a node, and the process has come to rest. What else it writes is
  counted, since there is nothing to do.
"""

import asyncio
import ipaddress
import json
import sys
import time
import uuid
from dataclasses import dataclass

import clusters
import scheduling
import workloads

from kybern.controllers.ttl.plan import STEPS, step
from kybern.store.interface import ADDED, Entry, Event
from kybern.store.kv.sqlite_file import File

NETWORK = ipaddress.ip_network("100.64.0.0/10")
PATIENT = {"node_monitor_grace": 3600.0, "cluster_cidr": str(NETWORK)}
"""Fake nodes have no leases and must not count as lost; and there are more than the default has
networks for."""
NAMESPACES, PODS_OF_ONE, PODS_OF_NODE = 50, 100, 30
SETTLE = 20.0
QUIET = 0.05
"""The share of a core below which a process is at rest, over a second."""
PATIENCE = 300.0


def at_rest(pods=10_000, seconds=30.0):
    """Return percent of a core and megabytes of the control plane with so many running pods."""
    with clusters.up("--control-plane-only", settings=PATIENT) as target:
        target.namespace("bench-idle")
        asyncio.run(run_pods(target, "bench-idle", pods))
        pid = target.pids["control-plane"]
        came_to_rest(pid)
        time.sleep(SETTLE)
        before, began = clusters.cpu_seconds(pid), time.perf_counter()
        time.sleep(seconds)
        used = clusters.cpu_seconds(pid) - before
        return 100 * used / (time.perf_counter() - began), clusters.memory(pid)


async def run_pods(target, namespace, pods):
    """Have a ReplicaSet's pods run and be ready."""
    base = f"/apis/apps/v1/namespaces/{namespace}/replicasets"
    async with (
        clusters.session(target, workloads.CONNECTIONS) as sender,
        clusters.session(target, workloads.CONNECTIONS) as kubelets,
    ):
        await workloads.with_nodes(sender)
        path = f"/api/v1/namespaces/{namespace}/pods"
        playing = asyncio.create_task(workloads.play_kubelets(kubelets, path))
        await sender.send("POST", base, json=workloads.workload("many", pods))
        began = time.perf_counter()
        while True:
            found = await sender.send("GET", f"{base}/many")
            if found["status"].get("availableReplicas") == pods:
                break
            if time.perf_counter() - began > PATIENCE:
                raise SystemExit(f"gave up: {found['status']}")
            await asyncio.sleep(0.5)
        playing.cancel()


def at_start(pods=150_000):
    """Return what a start took, as `Start` says."""
    with clusters.up("--control-plane-only", settings=PATIENT) as target:
        copies = pods // PODS_OF_ONE // NAMESPACES * NAMESPACES
        for number in range(NAMESPACES):
            target.namespace(namespace(number))
        asyncio.run(one_deployment(target))
        came_to_rest(target.pids["control-plane"])
        clusters.stop(target)
        written = multiply(next(target.directory.rglob("state.db")), copies)
        ready = clusters.start_up(target)
        began = time.perf_counter() - ready
        pid = target.pids["control-plane"]
        asyncio.run(replaced(target, copies // NAMESPACES * PODS_OF_ONE))
        rested = came_to_rest(pid)
        head = target.must("GET", "/api/v1/namespaces?limit=1")["metadata"]
        writes = int(head["resourceVersion"]) - written
        return Start(rested - began, ready, clusters.cpu_seconds(pid), clusters.memory(pid), writes)


@dataclass
class Start:
    """A start of the control plane.

    Attributes:
        seconds: until every controller and the scheduler had seen everything, and rested.
        ready: until `/readyz` of the API server, which `kybern up` waits for.
        cpu: seconds of CPU the process used until then.
        memory: its resident megabytes after that.
        writes: what it wrote, with the missing pod, its node, its events and two statuses.
    """

    seconds: float
    ready: float
    cpu: float
    memory: float
    writes: int

    def __str__(self):
        return (
            f"{self.seconds:.1f} s (`/readyz` after {self.ready:.1f} s, {self.cpu:.1f} s of CPU, "
            f"{self.memory:,.0f} MB, {self.writes} writes)"
        )


def namespace(number):
    return f"bench-cold-{number:02}"


def deployment(number):
    return f"cold-{number:04}"


async def one_deployment(target):
    """Have one Deployment, on one node, as it should be."""
    name = namespace(0)
    pods = f"/api/v1/namespaces/{name}/pods"
    path = f"/apis/apps/v1/namespaces/{name}/deployments"
    async with clusters.session(target, workloads.CONNECTIONS) as sender:
        await scheduling.add_node(sender, 0)
        playing = asyncio.create_task(workloads.play_kubelets(sender, pods))
        await sender.send("POST", path, json=workloads.workload(deployment(0), PODS_OF_ONE))
        async for _, found in workloads.events(sender, path):
            if found["status"].get("availableReplicas") == PODS_OF_ONE:
                break
        playing.cancel()


def multiply(path, copies):
    """Write copies of a Deployment, its ReplicaSet, its pods but one, and the node.

    Return the last revision.
    """
    file = File(path)
    loaded = file.load()
    models = Models(loaded.current)
    batch, revision = [], loaded.revision

    def flush():
        file.append(batch)
        batch.clear()

    for key, data in models.all(copies):
        revision += 1
        batch.append(Event(ADDED, Entry(key, revision, revision, data), None))
        if len(batch) == 4096:
            flush()
    flush()
    file.close()
    return revision


class Models:
    """What is copied: the bytes of a store, in which names and uids are put in place of others."""

    def __init__(self, current):
        def of(resource):
            prefix = f"/registry/{resource}/"
            return [(k, e.data.decode()) for k, e in current.items() if k.startswith(prefix)]

        (self._node,) = of("minions")
        owned = f"{namespace(0)}/{deployment(0)}"
        (self._deployment,) = (item for item in of("deployments") if owned in item[0])
        (self._set,) = (item for item in of("replicasets") if owned in item[0])
        self._pods = [item for item in of("pods") if owned in item[0]]
        assert len(self._pods) == PODS_OF_ONE, len(self._pods)

    def all(self, copies):
        """Yield keys and values of the nodes, then of the copies of the Deployment."""
        nodes = copies * PODS_OF_ONE // PODS_OF_NODE + 1
        ttl = STEPS[step(nodes, 0)].seconds
        for number in range(1, nodes):
            yield self._copy(self._node, self._of_node(number, ttl))
        scheduled = 0
        for number in range(1, copies):
            change = {
                namespace(0): namespace(number % NAMESPACES),
                deployment(0): deployment(number),
                uid(self._deployment[1]): str(uuid.uuid4()),
                uid(self._set[1]): str(uuid.uuid4()),
            }
            yield self._copy(self._deployment, change)
            yield self._copy(self._set, change)
            pods = self._pods[1:] if number == copies - 1 else self._pods
            for pod in pods:
                scheduled += 1
                node = {node_name(0): node_name(scheduled // PODS_OF_NODE)}
                yield self._copy(pod, change | node | {uid(pod[1]): str(uuid.uuid4())})

    def _of_node(self, number, ttl):
        model = self._node[1]
        spec = json.loads(model)["spec"]
        network = f"{NETWORK[number << 8]}/24"
        how_long = '"node.alpha.kubernetes.io/ttl":'  # it goes by the number of nodes
        return {
            uid(model): str(uuid.uuid4()),
            node_name(0): node_name(number),
            f'"{spec["podCIDR"]}"': f'"{network}"',
            f'{how_long}"0"': f'{how_long}"{ttl}"',
        }

    @staticmethod
    def _copy(model, change):
        key, text = model
        for old, new in change.items():
            key, text = key.replace(old, new), text.replace(old, new)
        return key, text.encode()


def node_name(number):
    return f"bench-node-{number}"


def uid(text):
    return json.loads(text)["metadata"]["uid"]


async def replaced(target, wanted):
    """Wait until a namespace has so many pods with a node: the missing one is back."""
    async with clusters.session(target, 4) as sender:
        began = time.perf_counter()
        placed = set()
        path = f"/api/v1/namespaces/{namespace(NAMESPACES - 1)}/pods"
        async for _, pod in workloads.events(sender, path):
            if pod["spec"].get("nodeName"):
                placed.add(pod["metadata"]["uid"])
            if len(placed) == wanted:
                return
            if time.perf_counter() - began > PATIENCE:
                raise SystemExit("gave up: the missing pod was not replaced")


def came_to_rest(pid):
    """Wait until a process does next to nothing for a second; return when it began to."""
    deadline = time.perf_counter() + PATIENCE
    while True:
        began, before = time.perf_counter(), clusters.cpu_seconds(pid)
        time.sleep(1.0)
        now = time.perf_counter()
        if clusters.cpu_seconds(pid) - before < QUIET * (now - began):
            return began
        if now > deadline:
            raise SystemExit("gave up: the control plane does not come to rest")


def main():
    words = [int(word) for word in sys.argv[1:]]
    idle, cold = (words + [10_000, 150_000][len(words) :])[:2]
    if idle:
        percent, resident = at_rest(idle)
        print(f"{idle:,} pods at rest: {percent:.2f} % of a core, {resident:.0f} MB", flush=True)
    if cold:
        print(f"{cold:,} pods at start: {at_start(cold)}", flush=True)


if __name__ == "__main__":
    main()
