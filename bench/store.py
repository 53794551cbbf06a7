"""How fast the store is, through the interface the API server uses. Prints a table.

    .venv/bin/python bench/store.py [--quick] [--directory DIR] [--engine sqlite|memory|etcd|etcd-3]

Every write is answered after fsync (SQLite, etcd). Objects are pods of 3 kB and config maps of
500 B. `etcd` is one member of Debian's etcd, `etcd-3` three with TLS; they share the processors
with us. Compare machines by the first line.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from kybern.store.kv.etcd.engine import EtcdEngine
from kybern.store.kv.memory import MemoryEngine
from kybern.store.kv.sqlite import SqliteEngine
from kybern.store.objects import Store

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.contracts.store import etcd_fixture

if TYPE_CHECKING:
    from tests.contracts.store.etcd_fixture import Members

PODS, MAPS = "/registry/pods/", "/registry/configmaps/"


def body(kind: str, name: str, size: int) -> bytes:
    head = b'{"kind":"%b","apiVersion":"v1","metadata":{"name":"%b"},"data":"' % (
        kind.encode(),
        name.encode(),
    )
    return head + b"x" * (size - len(head) - 2) + b'"}'


class Timings:
    """Latencies of one run."""

    def __init__(self) -> None:
        self.each: list[float] = []
        self.began = time.perf_counter()
        self.took = 0.0

    def stop(self) -> None:
        self.took = time.perf_counter() - self.began
        self.each.sort()

    def row(self, what: str) -> str:
        count = len(self.each)
        p50, p99 = (self.each[int(count * part)] * 1e3 for part in (0.5, 0.99))
        return (
            f"| {what} | {count / self.took:,.0f}/s | {p50:.2f} ms | {p99:.2f} ms |"
            f" {self.each[-1] * 1e3:.1f} ms |"
        )


async def drive(workers: int, count: int, work) -> Timings:
    """Let workers call `work(worker, number)` one after the other, `count` times in all."""
    timings = Timings()

    async def one(worker: int) -> None:
        for number in range(count // workers):
            began = time.perf_counter()
            await work(worker, number)
            timings.each.append(time.perf_counter() - began)

    async with asyncio.TaskGroup() as group:
        for worker in range(workers):
            group.create_task(one(worker))
    timings.stop()
    return timings


class Bench:
    def __init__(self, engine: str, directory: Path, scale: float) -> None:
        self.engine, self.directory, self.scale = engine, directory, scale
        self.members: Members | None = None
        self.running = contextlib.ExitStack()

    async def open(self) -> Store:
        if self.engine == "memory":
            return Store(MemoryEngine())
        if self.members is not None:
            return Store(await EtcdEngine.open(self.members.address))
        return Store(await SqliteEngine.open(self.directory / "store.db"))

    async def fresh(self):
        self.running.close()
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        if self.engine.startswith("etcd"):
            several = self.engine == "etcd-3"
            running = etcd_fixture.etcd(
                3 if several else 1, tls=several, where=self.directory, patient=True
            )
            self.members = self.running.enter_context(running)
        store = await self.open()
        store.collection(PODS)
        store.collection(MAPS)
        gc.collect()
        return store

    def count(self, count: int) -> int:
        return int(count * self.scale)

    async def creates(self, workers: int, size: int, watchers: int = 0, busy: float = 0.0) -> str:
        store = await self.fresh()
        prefix = PODS if size > 1000 else MAPS

        async def create(worker: int, number: int) -> None:
            name = f"p{worker}-{number}"
            await store.create(f"{prefix}ns{worker % 7}/{name}", body("Pod", name, size))

        async def watch() -> None:
            async for batch in store.watch(prefix, store.revision, buffer=1_000_000):
                b"".join([event.frame for event in batch])

        async def burn() -> None:
            # What else the event loop of an API server does: short pieces of work, all the time.
            while True:
                until = time.perf_counter() + 0.005 * busy
                while time.perf_counter() < until:
                    piece = time.perf_counter() + 0.0002
                    while time.perf_counter() < piece:
                        pass
                    await asyncio.sleep(0)
                await asyncio.sleep(0.005 * (1 - busy))

        others = [asyncio.ensure_future(watch()) for _ in range(watchers)]
        if busy:
            others.append(asyncio.ensure_future(burn()))
        timings = await drive(workers, self.count(30_000 if workers > 1 else 4_000), create)
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await store.close()
        extra = f", {watchers} watchers" if watchers else ""
        extra += f", loop {busy:.0%} busy" if busy else ""
        return timings.row(f"creates of {size} B, {workers} writers{extra}")

    async def updates(self) -> list[str]:
        store = await self.fresh()
        rng = random.Random(1)
        keys = [f"{PODS}ns/{number}" for number in range(1000)]
        for key in keys:
            await store.create(key, body("Pod", "p", 3000))

        async def update(worker: int, number: int) -> None:
            key = keys[rng.randrange(1000) // 32 * 32 % 992 + worker]
            entry = store.get(key)
            await store.update(key, body("Pod", f"v{number}", 3000), entry)

        timings = await drive(32, self.count(30_000), update)
        rows = [timings.row("updates of 1,000 objects of 3000 B, 32 writers")]
        file = self.directory / "store.db"
        if file.exists():
            full = file.stat().st_size
            began = time.perf_counter()
            await store.compact(store.revision)
            took = time.perf_counter() - began
            rows.append(
                f"| compaction of those updates | {took:.2f} s | file {full >> 20} MB before,"
                f" {file.stat().st_size >> 20} MB after | live 3 MB | |"
            )
        await store.close()
        return rows

    async def reads(self) -> list[str]:
        store = await self.fresh()
        before = rss()
        objects = 8881  # as many as upstream was measured with

        async def create(worker: int, number: int) -> None:
            name = f"p{worker}-{number}"
            await store.create(f"{PODS}ns{worker % 7}/{name}", body("Pod", name, 5900))

        await drive(83, objects, create)
        keys = [entry.key for entry in store.list(PODS).entries]
        rows = []
        for what in ("first", "next"):
            began = time.perf_counter()
            size = len(b",".join([entry.wire for entry in store.list(PODS).entries]))
            took = time.perf_counter() - began
            rows.append(
                f"| {what} list of {objects:,} pods ({size >> 20} MB), joined |"
                f" {took * 1e3:.1f} ms | | | |"
            )
        began = time.perf_counter()
        for key in keys:
            _ = store.get(key).wire
        rows.append(f"| gets | {objects / (time.perf_counter() - began):,.0f}/s | | | |")
        gc.collect()
        rows.append(
            f"| memory with them ({objects * 5900 >> 20} MB) | +{rss() - before} MB RSS | | | |"
        )
        await store.close()
        return rows

    async def opening(self) -> str:
        store = await self.fresh()
        objects = self.count(150_000)

        async def create(worker: int, number: int) -> None:
            name = f"p{worker}-{number}"
            await store.create(f"{PODS}ns{worker}/{name}", body("Pod", name, 3000))

        await drive(64, objects, create)
        await store.close()
        began = time.perf_counter()
        store = await self.open()
        took = time.perf_counter() - began
        await store.close()
        return f"| opening a file of {objects:,} objects of 3000 B | {took:.2f} s | | | |"


def rss() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") >> 20


def calibrate(directory: Path) -> str:
    with tempfile.NamedTemporaryFile(dir=directory.parent) as file:
        began, count = time.perf_counter(), 0
        while time.perf_counter() - began < 1:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
            count += 1
    return f"fsync of 4 kB: {count}/s"


async def main(arguments: argparse.Namespace) -> None:
    bench = Bench(arguments.engine, arguments.directory, 0.2 if arguments.quick else 1.0)
    print(f"{arguments.engine}, {calibrate(arguments.directory)}\n")
    print("| What | Rate | p50 | p99 | worst |\n|---|---|---|---|---|")
    for row in await bench.reads():
        print(row, flush=True)
    for setting in (
        {"workers": 1, "size": 3000},
        {"workers": 32, "size": 3000},
        {"workers": 64, "size": 3000},
        {"workers": 32, "size": 500},
        {"workers": 32, "size": 3000, "watchers": 10},
        {"workers": 32, "size": 3000, "busy": 0.5},
        {"workers": 32, "size": 3000, "busy": 0.95},
    ):
        print(await bench.creates(**setting), flush=True)
    for row in [*await bench.updates(), await bench.opening()]:
        print(row, flush=True)
    bench.running.close()
    shutil.rmtree(arguments.directory, ignore_errors=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument(
        "--engine", choices=["sqlite", "memory", "etcd", "etcd-3"], default="sqlite"
    )
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp/kybern-bench-store"))
    uvloop.run(main(parser.parse_args()))
