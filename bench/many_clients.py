#!/usr/bin/env python3
"""How writes do among many objects and many clients.

Usage: bench/many_clients.py [SERVER TOKEN]      without them, an API server over SQLite is started

With 5,000 secrets present, secrets are changed 200 times a second for ten seconds, each write at
its time whether or not the one before was answered: the latency counts from then. After that 1,000
clients, each with a connection of its own, write as fast as they are answered. Published for
comparison: k3s on SQLite 1.4 s mean and 32-89 % errors under concurrent writers, on etcd 0.35 s.
"""

import asyncio
import contextlib
import statistics
import sys
import time

import clusters

SECRETS, RATE, SECONDS = 5000, 200, 10
CLIENTS, EACH = 1000, 5
NAMESPACE = "bench-many"
PATH = f"/api/v1/namespaces/{NAMESPACE}/secrets"
MERGE = {"Content-Type": "application/merge-patch+json"}


def secret(number):
    data = {"password": "cGFzc3dv" * 30}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"s{number}"}, "data": data}


class Writes:
    """Latencies in seconds, and what failed."""

    def __init__(self):
        self.times, self.errors = [], []

    async def change(self, sender, number, since=None):
        """Change a secret; note how long it took since it was due."""
        began = time.perf_counter() if since is None else since
        body = {"stringData": {"changed": str(began)}}
        try:
            await sender.send("PATCH", f"{PATH}/s{number}", json=body, headers=MERGE)
        except (SystemExit, Exception) as error:  # noqa: BLE001 - counted, whatever it is
            self.errors.append(repr(error))
        else:
            self.times.append(time.perf_counter() - began)

    def report(self):
        """Return the figures as text."""
        times = sorted(self.times)
        p99 = times[int(len(times) * 0.99)]
        mean = statistics.fmean(times)
        text = f"mean {mean * 1e3:.1f} ms, p99 {p99 * 1e3:.0f} ms, {len(self.errors)} errors"
        return text + (f" ({self.errors[0]})" if self.errors else "")


async def at_a_rate(target):
    """Write so many times a second, come what may."""
    writes = Writes()
    async with clusters.session(target, 64) as sender, asyncio.TaskGroup() as group:
        began = time.perf_counter()
        for number in range(RATE * SECONDS):
            due = began + number / RATE
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(writes.change(sender, number * 7 % SECRETS, due))
    return writes


async def by_many(target):
    """Let every client write as fast as it is answered; return the writes and their rate."""
    writes = Writes()
    async with contextlib.AsyncExitStack() as stack:
        senders = [
            await stack.enter_async_context(clusters.session(target, 1)) for _ in range(CLIENTS)
        ]

        async def client(number, sender):
            for turn in range(EACH):
                await writes.change(sender, (number + turn * CLIENTS) % SECRETS)

        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number, sender in enumerate(senders):
                group.create_task(client(number, sender))
        took = time.perf_counter() - began
    return writes, len(writes.times) / took


async def fill(target):
    async with clusters.session(target, 32) as sender:
        await sender.times(
            SECRETS, lambda i: sender.send("POST", PATH, json=secret(i), accept=(409,))
        )


def measure(target):
    """Return the figures: the writes at a rate, those of many clients, and the rate of those."""
    target.namespace(NAMESPACE)
    asyncio.run(fill(target))
    paced = asyncio.run(at_a_rate(target))
    crowd, rate = asyncio.run(by_many(target))
    return paced, crowd, rate


def report(figures):
    """Return the figures as lines of text."""
    paced, crowd, rate = figures
    return [
        f"{RATE} writes/s among {SECRETS:,} secrets: {paced.report()}",
        f"{CLIENTS:,} clients at once: {rate:,.0f} writes/s, {crowd.report()}",
    ]


def main():
    target, _ = clusters.given(sys.argv[1:])
    with contextlib.ExitStack() as stack:
        if target is None:
            target = stack.enter_context(clusters.api_server_alone())
        print("\n".join(report(measure(target))))


if __name__ == "__main__":
    main()
