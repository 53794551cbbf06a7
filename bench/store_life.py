"""The life of stored data: how large the file gets, and what happens with much of it.

Usage: bench/store_life.py [--updates N] [--objects N] [--size BYTES]

* a thousand objects are updated a million times by 32 writers: the size of the file against what is
  current, and the p99 of writes in the first and in the last tenth;
* a snapshot is taken of 150,000 objects while 32 writers go on, and restored;
* an API server starts with those 150,000 objects, and streams a list of 100,000 of them.
"""

import argparse
import asyncio
import contextlib
import json
import random
import shutil
import tempfile
import threading
import time
from pathlib import Path

import clusters
import uvloop

from kybern.store import snapshot
from kybern.store.interface import ADDED, Entry, Event
from kybern.store.kv.sqlite import SqliteEngine
from kybern.store.kv.sqlite_file import File
from kybern.store.objects import Store

WRITERS = 32
HOT = 1000
NAMESPACES = 50


def main():
    flags = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    flags.add_argument("--updates", type=int, default=1_000_000)
    flags.add_argument("--objects", type=int, default=150_000)
    flags.add_argument("--size", type=int, default=3000)
    args = flags.parse_args()
    print(report(*updates(args.updates, args.size)))
    print(f"snapshot of {args.objects:,} objects: {snapshots(args.objects, args.size)}")
    listed = args.objects * 2 // 3
    print(f"{args.objects:,} objects, {listed:,} listed: {large(args.objects, listed, args.size)}")


def report(seconds, count, times, largest, log):
    """Return a line about updates."""
    first, last = times[: len(times) // 10], times[-(len(times) // 10) :]
    return (
        f"{count:,} updates of {HOT:,} objects at {count / seconds:,.0f}/s: file at most "
        f"{largest:.2f} times what is current, log {log:.0f} MB, p99 {p99(first):.1f} ms in the "
        f"first tenth, {p99(last):.1f} ms in the last"
    )


def updates(count, size):
    """Update a thousand objects; return seconds, count, seconds of each, and the largest file."""
    with directory() as path:
        return uvloop.run(_updates(path, count, size))


async def _updates(path, count, size):
    store = Store(await SqliteEngine.open(path / "state.db"))
    keys = [f"/registry/pods/a/{number:04}" for number in range(HOT)]
    for key in keys:
        await store.create(key, body(0, size))
    largest, log = 0.0, 0.0

    async def look():
        nonlocal largest, log
        while True:
            largest = max(largest, (path / "state.db").stat().st_size / (HOT * size))
            log = max(log, (path / "state.db-wal").stat().st_size / 1e6)
            await asyncio.sleep(0.2)

    times = []
    background = [asyncio.ensure_future(look()), asyncio.ensure_future(store.run())]
    began = time.perf_counter()
    await write(store, keys, size, times, range(count))
    seconds = time.perf_counter() - began
    for task in background:
        task.cancel()
    await store.close()
    return seconds, count, times, largest, log


async def write(store, keys, size, times, numbers):
    """Update keys, each writer its own, until the numbers are used up."""
    numbers = iter(numbers)
    rng = random.Random(1)
    share = len(keys) // WRITERS

    async def writer(mine):
        for number in numbers:
            key = mine[rng.randrange(share)]
            began = time.perf_counter()
            await store.update(key, body(number, size), store.get(key))
            times.append(time.perf_counter() - began)

    async with asyncio.TaskGroup() as group:
        for number in range(WRITERS):
            group.create_task(writer(keys[number * share : (number + 1) * share]))


def snapshots(objects, size):
    """Save under load, and restore; return a line."""
    with directory() as path:
        fill(path / "state.db", objects, size)
        before, during, saving = uvloop.run(_save(path, size))
        began = time.perf_counter()
        snapshot.verify(path / "saved")
        snapshot.unpack(path / "saved", path / "new.db", now=time.time(), known=0, report=quiet)
        restoring = time.perf_counter() - began
        megabytes = (path / "saved").stat().st_size / 1e6
    return (
        f"{megabytes:.0f} MB saved in {saving:.1f} s, restored in {restoring:.1f} s; p99 of writes "
        f"{before:.0f} ms before, {during:.0f} ms meanwhile"
    )


async def _save(path, size):
    store = Store(await SqliteEngine.open(path / "state.db"))
    keys = [entry.key for entry in store.list("/registry/pods/", limit=HOT).entries]
    before, during = [], []
    await write(store, keys, size, before, range(20_000))
    done = asyncio.Event()
    took = 0.0

    async def save():
        nonlocal took
        began = time.perf_counter()
        words = (str(path / "state.db"), str(path / "saved"))
        process = await asyncio.create_subprocess_exec(clusters.KYBERN[0], "-c", SAVE, *words)
        assert await process.wait() == 0
        took = time.perf_counter() - began
        done.set()

    def until_done():
        number = 0
        while not done.is_set():
            yield (number := number + 1)

    async with asyncio.TaskGroup() as group:
        group.create_task(save())
        group.create_task(write(store, keys, size, during, until_done()))
    await store.close()
    return p99(before), p99(during), took


SAVE = """
import sys
from pathlib import Path
from kybern.store import snapshot
snapshot.save(Path(sys.argv[1]), Path(sys.argv[2]), {}, "", lambda done, every: None)
"""


def large(objects, listed, size):
    """Start an API server with so many objects, and list some; return a line."""
    with clusters.api_server_alone(
        prepare=lambda path: fill(path, objects, size, listed)
    ) as target:
        pid = target.pids["apiserver"]
        resident = clusters.memory(pid)
        most = [resident]
        done = threading.Event()

        def look():
            while not done.wait(0.01):
                most[0] = max(most[0], clusters.memory(pid))

        watcher = threading.Thread(target=look)
        watcher.start()
        began = time.perf_counter()
        status, data = target.request("GET", "/api/v1/pods")
        took = time.perf_counter() - began
        done.set()
        watcher.join()
        found = len(json.loads(data)["items"])
        assert (status, found) == (200, listed), (status, found)
    return (
        f"/readyz after {target.took:.1f} s, {resident:.0f} MB resident; list "
        f"({len(data) / 1e6:.0f} MB) in {took:.1f} s, +{most[0] - resident:.0f} MB meanwhile"
    )


def fill(path, objects, size, pods=None):
    """Write a store's file with so many objects, the first of them pods, the others config maps."""
    file = File(path)
    pods = objects if pods is None else pods
    for start in range(0, objects, 4096):
        numbers = range(start, min(start + 4096, objects))
        file.append([Event(ADDED, made(number, size, number < pods), None) for number in numbers])
    file.close()


def made(number, size, is_pod):
    """Return an object as it is stored."""
    namespace = f"ns-{number % NAMESPACES:02}"
    meta = {
        "name": f"object-{number:06}",
        "namespace": namespace,
        "uid": f"00000000-0000-0000-0000-{number:012}",
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    tree = {"kind": "Pod" if is_pod else "ConfigMap", "apiVersion": "v1", "metadata": meta}
    if is_pod:
        container = {"name": "c", "image": "i", "env": [{"name": "PADDING", "value": ""}]}
        tree |= {"spec": {"nodeName": "gone", "containers": [container]}, "status": {}}
    else:
        tree["data"] = {"PADDING": "", "value": ""}
    text = json.dumps(tree, separators=(",", ":"))
    data = text.replace('"value":""', f'"value":"{"x" * (size - len(text))}"').encode()
    kind = "pods" if is_pod else "configmaps"
    key = f"/registry/{kind}/{namespace}/{meta['name']}"
    return Entry(key, number + 2, number + 2, data)


def body(number, size):
    text = b'{"kind":"Pod","apiVersion":"v1","metadata":{},"number":%d,"padding":""}' % number
    return text.replace(b'"padding":""', b'"padding":"%b"' % (b"x" * (size - len(text))))


def p99(times):
    return sorted(times)[int(len(times) * 0.99)] * 1e3


@contextlib.contextmanager
def directory():
    path = Path(tempfile.mkdtemp(prefix="kyb-life-", dir="/var/tmp"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def quiet(_done, _all):
    pass


if __name__ == "__main__":
    main()
