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


async def add_node(sender, i):
    await sender.send("POST", "/api/v1/nodes", json=node(i), accept=(409,))
    # admission says that a new node is not ready; no controller is needed to take that back
    path = f"/api/v1/nodes/bench-node-{i}"
    await sender.send("PATCH", path, headers=MERGE, data=b'{"spec":{"taints":null}}')


async def unbound(sender, path):
    one = await sender.send("GET", f"{path}?limit=1&fieldSelector=spec.nodeName%3D")
    return bool(one["items"])


async def schedule(target, nodes, pods):
    """Return the seconds until all nodes, pods and bindings were there; and the pods' CPU."""
    path = f"/api/v1/namespaces/{NAMESPACE}/pods"
    async with clusters.session(target, CONNECTIONS) as sender:
        began = time.perf_counter()
        await sender.times(nodes, lambda i: add_node(sender, i))
        made_nodes, cpu = time.perf_counter(), clusters.cost(target)
        await sender.times(pods, lambda _: sender.send("POST", path, json=pod()))
        created = time.perf_counter()
        while await unbound(sender, path):
            if time.perf_counter() - created > PATIENCE:
                raise SystemExit(f"gave up: pods without a node after {PATIENCE:.0f} s")
            await asyncio.sleep(0.1)
        bound, cpu = time.perf_counter(), clusters.cost(target) - cpu
        if target.directory is None:  # somebody else's cluster: leave nothing behind
            await sender.send("DELETE", f"/api/v1/namespaces/{NAMESPACE}")
            await sender.times(
                nodes, lambda i: sender.send("DELETE", f"/api/v1/nodes/bench-node-{i}")
            )
    return made_nodes - began, created - made_nodes, bound - made_nodes, cpu


def measure(target, nodes=1000, pods=3000):
    """Return pods per second from the first create to the last binding."""
    target.namespace(NAMESPACE)
    making, creating, all_bound, cpu = asyncio.run(schedule(target, nodes, pods))
    print(
        f"{nodes} nodes in {making:.1f} s; {pods} pods created in {creating:.1f} s "
        f"({pods / creating:,.0f}/s), bound {all_bound - creating:.1f} s later: "
        f"{pods / all_bound:,.0f} pods/s from the first create, {cpu:.1f} s of CPU",
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
