#!/usr/bin/env python3
"""How soon a change of a Service's endpoints is in a node's kernel, from the request on.

Usage: bench/service_changes.py [SERVICES…]      needs root and nft

Starts a cluster, makes so many Services, and changes the endpoint of one of them at a time through
the API server; `nft` is asked again and again, which takes some milliseconds each time.
"""

import asyncio
import json
import random
import statistics
import subprocess
import sys
import time

import clusters

CHANGES = 100
CORE = "/api/v1/namespaces/default"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
PATIENCE = 30.0  # seconds


async def services(target, first, last):
    """Make Services with one endpoint each; return their addresses."""
    addresses = {}
    async with clusters.session(target, 16) as sender:

        async def make(number):
            name = f"change-{first + number}"
            body = {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}}
            made = await sender.send("POST", f"{CORE}/services", json=body)
            addresses[name] = made["spec"]["clusterIP"]
            labels = {"kubernetes.io/service-name": name}
            await sender.send("POST", SLICES, json={
                "metadata": {"name": name, "labels": labels}, "addressType": "IPv4",
                "endpoints": [{"addresses": ["10.244.0.250"]}], "ports": [{"port": 80}],
            })  # fmt: skip

        await sender.times(last - first, make)
    return addresses


async def changes(target, addresses, table):
    """Change one endpoint after the other; return the seconds each took."""
    rng, took = random.Random(1), []
    async with clusters.session(target, 1) as sender:
        for number in range(CHANGES):
            name = rng.choice(sorted(addresses))
            wanted = f"10.244.1.{1 + number % 250}"
            body = json.dumps({"endpoints": [{"addresses": [wanted]}]})
            headers = {"Content-Type": "application/merge-patch+json"}
            began = time.perf_counter()
            await sender.send("PATCH", f"{SLICES}/{name}", data=body, headers=headers)
            while not is_there(table, addresses[name], wanted):
                if time.perf_counter() - began > PATIENCE:
                    raise SystemExit(f"{wanted} is not in the kernel")
            took.append(time.perf_counter() - began)
    return took


def is_there(table, address, endpoint):
    """Whether the kernel leads an address to this endpoint."""
    element = f"{{ {address} . 80 . 0 : {endpoint} . 80 }}"
    words = ["nft", f"get element ip {table} tcp-endpoints {element}"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.returncode == 0 and f"{endpoint} . 80" in done.stdout


def measure(counts):
    """Yield the number of Services, and the seconds changes took."""
    with clusters.up() as target:
        table = json.loads((target.directory / "cluster.json").read_text())["nft_table"]
        addresses = {}
        for count in counts:
            addresses |= asyncio.run(services(target, len(addresses), count))
            last = list(addresses.values())[-1]
            clusters.wait(lambda at=last: is_there(table, at, "10.244.0.250"), 60, "Services")
            yield count, asyncio.run(changes(target, addresses, table))


def p99(seconds):
    """Return the 99th percentile."""
    return sorted(seconds)[len(seconds) * 99 // 100]


def main():
    """Print a line for each number of Services."""
    for count, took in measure([int(word) for word in sys.argv[1:]] or [1000, 10_000]):
        half, most = statistics.median(took) * 1000, p99(took) * 1000
        print(f"{count:,} Services: p50 {half:.0f} ms, p99 {most:.0f} ms", flush=True)


if __name__ == "__main__":
    main()
