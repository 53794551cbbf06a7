#!/usr/bin/env python3
"""How long a pod takes from its creation until a client sees it Ready, its image being there.

Usage: bench/pod_start.py [SERVER TOKEN IMAGE] [ONE_BY_ONE] [AT_ONCE]

Pods are started and deleted one at a time, then several at once; each is asked for every 20 ms.
Without SERVER, it measures a cluster of its own (root, containerd), with an image from busybox.
"""

import asyncio
import statistics
import sys
import time

import aiohttp
import clusters

PODS = "/api/v1/namespaces/default/pods"
INTERVAL = 0.02
PATIENCE = 120.0


def pod(name, image):
    container = {
        "name": "c",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sleep", "3600"],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"bench": "pod-start"}},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
    }


class Starter:
    """Starts and deletes pods, and takes the time."""

    def __init__(self, session, server, image):
        self.session, self.url, self.image = session, server + PODS, image

    async def start(self, name):
        began = time.perf_counter()
        async with self.session.post(self.url, json=pod(name, self.image)) as answer:
            if answer.status != 201:
                raise SystemExit(await answer.text())
        while not await self.is_ready(name):
            if time.perf_counter() - began > PATIENCE:
                raise SystemExit(f"gave up: pod {name} is not Ready after {PATIENCE:.0f} s")
            await asyncio.sleep(INTERVAL)
        return time.perf_counter() - began

    async def is_ready(self, name):
        async with self.session.get(f"{self.url}/{name}") as answer:
            conditions = (await answer.json())["status"].get("conditions", [])
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    async def end(self, name):
        began = time.perf_counter()
        async with self.session.delete(f"{self.url}/{name}") as answer:
            await answer.read()
        while True:
            async with self.session.get(f"{self.url}/{name}") as answer:
                await answer.read()
                if answer.status == 404:
                    return time.perf_counter() - began
            if time.perf_counter() - began > PATIENCE:
                raise SystemExit(f"gave up: pod {name} is not gone after {PATIENCE:.0f} s")
            await asyncio.sleep(INTERVAL)

    async def together(self, work, names):
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work(name)) for name in names]
        return time.perf_counter() - began, [task.result() for task in tasks]


async def run(target, image, one_by_one, at_once):
    connector = aiohttp.TCPConnector(limit=64, ssl=False)
    headers = {"Authorization": f"Bearer {target.token}"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        starter = Starter(session, target.server, image)
        starts, ends = [], []
        for i in range(one_by_one):
            starts.append(await starter.start(f"single-{i}"))
            ends.append(await starter.end(f"single-{i}"))
        names = [f"burst-{i}" for i in range(at_once)]
        all_ready, each = await starter.together(starter.start, names)
        all_gone, _ = await starter.together(starter.end, names)
    return starts, ends, all_ready, each, all_gone


def measure(target, image=clusters.IMAGE, one_by_one=10, at_once=30):
    """Return the median start, and how long it took until all of a burst were Ready."""
    target.namespace("default")
    starts, ends, all_ready, each, all_gone = asyncio.run(run(target, image, one_by_one, at_once))
    print(
        f"one at a time: Ready after p50 {statistics.median(starts):.2f} s, "
        f"longest {max(starts):.2f} s; gone after p50 {statistics.median(ends):.2f} s\n"
        f"{at_once} at once: all Ready after {all_ready:.1f} s, p50 "
        f"{statistics.median(each):.1f} s; all gone after {all_gone:.1f} s",
        flush=True,
    )
    return statistics.median(starts), all_ready


def main():
    target, rest = clusters.given(sys.argv[1:])
    image = rest.pop(0) if target is not None else clusters.IMAGE
    one_by_one, at_once = (int(word) for word in (rest + ["10", "30"][len(rest) :]))
    if target is not None:
        measure(target, image, one_by_one, at_once)
        return
    with clusters.up(image=True) as target:
        measure(target, image, one_by_one, at_once)


if __name__ == "__main__":
    main()
