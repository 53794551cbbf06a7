#!/usr/bin/env python3
"""How fast controllers make pods: one ReplicaSet of very many, and very many small Deployments.

Usage: bench/workloads.py [SERVER TOKEN] [PODS] [DEPLOYMENTS]

The nodes are fake, as in scheduling.py, and so are their kubelets: whoever is bound is reported
ready at once, from this process. Without SERVER, it measures `kybern up --control-plane-only`.
"""

import asyncio
import json
import sys
import time

import clusters
import msgspec
import scheduling

CONNECTIONS = 32
PATIENCE = 120.0
NODES = 200
STRATEGIC = {"Content-Type": "application/strategic-merge-patch+json"}
READY = json.dumps(
    {
        "status": {
            "phase": "Running",
            "podIP": "10.1.0.1",
            "podIPs": [{"ip": "10.1.0.1"}],
            "conditions": [
                {"type": kind, "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
                for kind in ("Ready", "ContainersReady", "Initialized")
            ],
        }
    }
)


def workload(name, replicas):
    """Return the body of a ReplicaSet or Deployment."""
    labels = {"app": name}
    container = {"name": "pause", "image": "registry.k8s.io/pause:3.10"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"metadata": {"name": name}, "spec": spec}


async def events(sender, path):
    """Yield the events of a watch, from what is there now on, and again if it is cut off."""
    url = f"{sender.server}{path}?watch=true&timeoutSeconds=600&resourceVersion=0"
    while True:
        async with sender.connection.get(url, timeout=clusters.for_ever()) as answer:
            rest = b""
            async for chunk in answer.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    event = msgspec.json.decode(line)
                    yield event["type"], event["object"]


async def play_kubelets(sender, path):
    """Report every pod that has a node as running and ready."""
    seen = set()
    async with asyncio.TaskGroup() as group:
        async for kind, pod in events(sender, path):
            uid, name = pod["metadata"]["uid"], pod["metadata"]["name"]
            if kind == "DELETED" or uid in seen or not pod["spec"].get("nodeName"):
                continue
            seen.add(uid)
            where = f"{path}/{name}/status"
            group.create_task(sender.send("PATCH", where, (404,), headers=STRATEGIC, data=READY))


async def with_nodes(sender):
    await sender.times(NODES, lambda i: scheduling.add_node(sender, i))


async def one_set(target, namespace, pods):
    """Return the seconds until all pods of a ReplicaSet exist and have a node, CPU of the first."""
    path = f"/api/v1/namespaces/{namespace}/pods"
    async with clusters.session(target, CONNECTIONS) as sender:
        await with_nodes(sender)
        began, cpu = time.perf_counter(), clusters.cost(target)
        sets = f"/apis/apps/v1/namespaces/{namespace}/replicasets"
        await sender.send("POST", sets, json=workload("many", pods))
        while await count(sender, path) < pods:
            enough(began)
            await asyncio.sleep(0.1)
        created, cpu = time.perf_counter(), clusters.cost(target) - cpu
        while await scheduling.unbound(sender, path):
            enough(began)
            await asyncio.sleep(0.1)
        return created - began, time.perf_counter() - began, cpu


async def count(sender, path):
    found = await sender.send("GET", f"{path}?limit=1")
    return len(found["items"]) + found["metadata"].get("remainingItemCount", 0)


async def many_deployments(target, namespace, deployments):
    """Return the seconds until each of many Deployments of one replica is ready, and of CPU."""
    pods = f"/api/v1/namespaces/{namespace}/pods"
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    async with (
        clusters.session(target, CONNECTIONS) as sender,
        clusters.session(target, CONNECTIONS) as kubelets,
    ):
        await with_nodes(sender)
        playing = asyncio.create_task(play_kubelets(kubelets, pods))
        began, cpu = time.perf_counter(), clusters.cost(target)
        making = asyncio.create_task(
            sender.times(
                deployments, lambda i: sender.send("POST", path, json=workload(f"web-{i}", 1))
            )
        )
        ready = set()
        async for _, found in events(kubelets, path):
            if found["status"].get("readyReplicas") == 1:
                ready.add(found["metadata"]["name"])
            if len(ready) == deployments:
                break
            enough(began)
        took, cpu = time.perf_counter() - began, clusters.cost(target) - cpu
        await making
        playing.cancel()
        return took, cpu


def enough(began):
    if time.perf_counter() - began > PATIENCE:
        raise SystemExit(f"gave up after {PATIENCE:.0f} s")


def measure(target, pods=10_000, deployments=1_000):
    """Return seconds: pods of one ReplicaSet created, Deployments ready."""
    target.namespace("bench-replicaset")
    created, bound, cpu = asyncio.run(one_set(target, "bench-replicaset", pods))
    print(
        f"one ReplicaSet: {pods} pods created in {created:.1f} s ({pods / created:,.0f}/s), "
        f"{cpu:.1f} s of CPU, all bound after {bound:.1f} s",
        flush=True,
    )
    target.namespace("bench-deployments")
    ready, cpu = asyncio.run(many_deployments(target, "bench-deployments", deployments))
    print(
        f"{deployments} Deployments of one replica ready in {ready:.1f} s, {cpu:.1f} s of CPU",
        flush=True,
    )
    return created, ready


def main():
    target, rest = clusters.given(sys.argv[1:])
    pods, deployments = (int(word) for word in (rest + ["10000", "1000"][len(rest) :]))
    if target is not None:
        measure(target, pods, deployments)
        return
    with clusters.up("--control-plane-only") as target:
        measure(target, pods, deployments)


if __name__ == "__main__":
    main()
