#!/usr/bin/env python3
"""How fast pods get their nodes, through the API: from the first create to the last binding.

Usage: bench/scheduling.py [SERVER TOKEN] [NODES] [PODS]

Makes fake Ready nodes (four cores, 32 GiB, 110 pods each, three zones), then creates pods on 32
connections, and asks ten times a second whether one without a node is left. Without SERVER, it
measures `kybern up --control-plane-only`. What it made is removed again.
"""

import asyncio
import sys
import time

import aiohttp
import clusters

CONNECTIONS = 32
PATIENCE = 120.0
NAMESPACE = "bench-scheduling"
MERGE = {"Content-Type": "application/merge-patch+json"}


def node(i):
    amounts = {"cpu": "4", "memory": "32Gi", "pods": "110"}
    name = f"bench-node-{i}"
    labels = {"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": f"z{i % 3}"}
    ready = [{"type": "Ready", "status": "True"}]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "status": {"capacity": amounts, "allocatable": amounts, "conditions": ready},
    }


def pod():
    requests = {"cpu": "100m", "memory": "500Mi"}
    container = {"name": "pause", "image": "registry.k8s.io/pause:3.10",
                 "resources": {"requests": requests}}  # fmt: skip
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "pod-", "labels": {"app": "bench"}},
        "spec": {"containers": [container]},
    }


class Load:
    """Requests on a few connections."""

    def __init__(self, session, server):
        self.session, self.server = session, server

    async def send(self, method, path, accept=(), **body):
        async with self.session.request(method, self.server + path, **body) as answer:
            if answer.status >= 300 and answer.status not in accept:
                raise SystemExit(f"{method} {path}: {answer.status} {await answer.text()}")
            return await answer.json()

    async def times(self, count, one):
        """Run `one(i)` for each i below `count`, as many at a time as there are connections."""
        left = iter(range(count))

        async def work():
            for i in left:
                await one(i)

        async with asyncio.TaskGroup() as group:
            for _ in range(CONNECTIONS):
                group.create_task(work())

    async def add_node(self, i):
        await self.send("POST", "/api/v1/nodes", json=node(i), accept=(409,))
        # admission says that a new node is not ready; no controller is needed to take that back
        await self.send("PATCH", f"/api/v1/nodes/bench-node-{i}", headers=MERGE,
                        data=b'{"spec":{"taints":null}}')  # fmt: skip

    async def unbound(self, path):
        one = await self.send("GET", f"{path}?limit=1&fieldSelector=spec.nodeName%3D")
        return bool(one["items"])


async def schedule(target, nodes, pods):
    """Return the seconds until all nodes, all pods, and all bindings were there."""
    path = f"/api/v1/namespaces/{NAMESPACE}/pods"
    connector = aiohttp.TCPConnector(limit=CONNECTIONS, ssl=False)
    headers = {"Authorization": f"Bearer {target.token}"}
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(
        connector=connector, headers=headers, timeout=timeout
    ) as session:
        load = Load(session, target.server)
        began = time.perf_counter()
        await load.times(nodes, load.add_node)
        made_nodes = time.perf_counter()
        await load.times(pods, lambda _: load.send("POST", path, json=pod()))
        created = time.perf_counter()
        while await load.unbound(path):
            if time.perf_counter() - created > PATIENCE:
                raise SystemExit(f"gave up: pods without a node after {PATIENCE:.0f} s")
            await asyncio.sleep(0.1)
        bound = time.perf_counter()
        if target.directory is None:  # somebody else's cluster: leave nothing behind
            await load.send("DELETE", f"/api/v1/namespaces/{NAMESPACE}")
            await load.times(nodes, lambda i: load.send("DELETE", f"/api/v1/nodes/bench-node-{i}"))
    return made_nodes - began, created - made_nodes, bound - made_nodes


def measure(target, nodes=1000, pods=3000):
    """Return pods per second from the first create to the last binding."""
    target.namespace(NAMESPACE)
    making, creating, all_bound = asyncio.run(schedule(target, nodes, pods))
    print(
        f"{nodes} nodes in {making:.1f} s; {pods} pods created in {creating:.1f} s "
        f"({pods / creating:,.0f}/s), bound {all_bound - creating:.1f} s later: "
        f"{pods / all_bound:,.0f} pods/s from the first create",
        flush=True,
    )
    return pods / all_bound


def main():
    target, rest = clusters.given(sys.argv[1:])
    nodes, pods = (int(word) for word in (rest + ["1000", "3000"][len(rest) :]))
    if target is not None:
        measure(target, nodes, pods)
        return
    with clusters.up("--control-plane-only") as target:
        measure(target, nodes, pods)


if __name__ == "__main__":
    main()
