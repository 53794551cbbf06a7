#!/usr/bin/env python3
"""How fast much is removed: a namespace with very many objects, and orphans of one owner.

Usage: bench/cleanup.py [SERVER TOKEN] [OBJECTS]

Half of the objects are ConfigMaps, a quarter Secrets, a quarter pods that nobody schedules. A
namespace is gone when the API server answers 404; orphans are, when none can be listed. Without
SERVER, it measures `kybern up --control-plane-only`.
"""

import asyncio
import sys
import time

import clusters

CONNECTIONS = 32
PATIENCE = 180.0
KINDS = ("configmaps", "secrets", "configmaps", "pods")
CONTAINER = {"name": "pause", "image": "registry.k8s.io/pause:3.10"}


def body(number, owner=None):
    """Return an object; the last digits of its number say of which kind."""
    metadata = {"name": f"object-{number}", "labels": {"app": "bench"}}
    if owner is not None:
        reference = {key: owner[key] for key in ("apiVersion", "kind")}
        reference |= {key: owner["metadata"][key] for key in ("name", "uid")}
        metadata["ownerReferences"] = [reference]
    kind = KINDS[number % len(KINDS)]
    if kind == "pods":
        return {"metadata": metadata, "spec": {"schedulerName": "no", "containers": [CONTAINER]}}
    return {"metadata": metadata, "data": {"key": "eHh4" * 100}}


async def fill(sender, namespace, objects, owner=None):
    """Create so many objects."""
    base = f"/api/v1/namespaces/{namespace}"

    async def create(i):
        await sender.send("POST", f"{base}/{KINDS[i % len(KINDS)]}", json=body(i, owner))

    await sender.times(objects, create)


async def left(sender, namespace):
    """Say whether one of the objects is left."""
    for kind in sorted({*KINDS}):
        path = f"/api/v1/namespaces/{namespace}/{kind}?limit=1&labelSelector=app%3Dbench"
        if (await sender.send("GET", path))["items"]:
            return True
    return False


async def there(sender, namespace):
    """Say whether the namespace is still there."""
    found = await sender.send("GET", f"/api/v1/namespaces/{namespace}", accept=(404,))
    return found["kind"] == "Namespace"


async def remove(target, path, is_left):
    """Delete what is at the path; return the seconds until nothing is left, and CPU seconds."""
    async with clusters.session(target, 2) as sender:
        began, cpu = time.perf_counter(), clusters.cost(target)
        await sender.send("DELETE", path, json={"propagationPolicy": "Background"})
        while await is_left(sender):
            if time.perf_counter() - began > PATIENCE:
                raise SystemExit(f"gave up: {path} after {PATIENCE:.0f} s")
            await asyncio.sleep(0.1)
        return time.perf_counter() - began, clusters.cost(target) - cpu


async def a_namespace(target, name, objects):
    async with clusters.session(target, CONNECTIONS) as sender:
        await fill(sender, name, objects)
    return await remove(target, f"/api/v1/namespaces/{name}", lambda sender: there(sender, name))


async def orphans(target, namespace, objects):
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    async with clusters.session(target, CONNECTIONS) as sender:
        owner = await sender.send("POST", path, json={"metadata": {"name": "owner"}})
        await fill(sender, namespace, objects, owner)
    return await remove(target, f"{path}/owner", lambda sender: left(sender, namespace))


def measure(target, objects=10_000):
    """Return seconds: a namespace deleted, orphans collected."""
    target.namespace("bench-namespace")
    gone, cpu = asyncio.run(a_namespace(target, "bench-namespace", objects))
    print(f"namespace with {objects} objects: {gone:.1f} s, {cpu:.1f} s of CPU", flush=True)
    target.namespace("bench-orphans")
    collected, cpu = asyncio.run(orphans(target, "bench-orphans", objects))
    print(f"{objects} orphans: {collected:.1f} s, {cpu:.1f} s of CPU", flush=True)
    return gone, collected


def main():
    target, rest = clusters.given(sys.argv[1:])
    objects = int(rest[0]) if rest else 10_000
    if target is not None:
        measure(target, objects)
        return
    with clusters.up("--control-plane-only") as target:
        measure(target, objects)


if __name__ == "__main__":
    main()
