#!/usr/bin/env python3
"""How soon a change of a Service's endpoints is in a node's kernel, from the request on.

Usage: bench/service_changes.py [SERVICES…]      needs root and nft

Starts a cluster, makes so many Services, and changes the endpoint of one of them at a time through
the API server; `nft monitor` tells when the kernel has it.
"""

import asyncio
import json
import random
import statistics
import subprocess
import sys
import threading
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


class Monitor(threading.Thread):
    """Remembers when the kernel got which endpoint."""

    def __init__(self, table):
        super().__init__(daemon=True)
        words = ["nft", "monitor", "new", "elements"]
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        self._head = f"add element ip {table} tcp-endpoints"
        self.seen = {}

    def run(self):
        for line in self._process.stdout:
            if line.startswith(self._head):
                now = time.perf_counter()
                address, _, endpoint = line.partition("{ ")[2].partition(" : ")
                self.seen[address.split()[0], endpoint.split()[0]] = now

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self.join()


async def changes(target, addresses, monitor):
    """Change one endpoint after the other; return the seconds each took."""
    rng, took, names = random.Random(1), [], sorted(addresses)
    async with clusters.session(target, 1) as sender:
        for number in range(CHANGES):
            name = rng.choice(names)
            wanted = addresses[name], f"10.244.{1 + len(names) // 1000}.{1 + number % 250}"
            body = json.dumps({"endpoints": [{"addresses": [wanted[1]]}]})
            headers = {"Content-Type": "application/merge-patch+json"}
            monitor.seen.pop(wanted, None)
            began = time.perf_counter()
            await sender.send("PATCH", f"{SLICES}/{name}", data=body, headers=headers)
            while wanted not in monitor.seen:
                if time.perf_counter() - began > PATIENCE:
                    raise SystemExit(f"{wanted} is not in the kernel")
                await asyncio.sleep(0.001)
            took.append(monitor.seen[wanted] - began)
    return took


def measure(counts):
    """Yield the number of Services, and the seconds changes took."""
    with clusters.up() as target:
        table = json.loads((target.directory / "cluster.json").read_text())["nft_table"]
        addresses = {}
        for count in counts:
            with Monitor(table) as monitor:
                addresses |= asyncio.run(services(target, len(addresses), count))
                last = list(addresses.values())[-1], "10.244.0.250"
                clusters.wait(lambda at=last: at in monitor.seen, 60, "Services")
                yield count, asyncio.run(changes(target, addresses, monitor))


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
