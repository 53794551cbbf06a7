"""A thousand objects change all the time, and the file stays small: `bench/store_life.py`, short."""

from __future__ import annotations

import asyncio
import random
import sqlite3

import pytest

from kybern.store.kv.sqlite import SqliteEngine
from kybern.store.objects import Store

OBJECTS, WRITERS = 1000, 50
PODS = "/registry/pods/a/"


def body(number, size):
    return b'{"metadata":{},"data":"%b"}' % (b"%d" % number).ljust(size - 26, b"x")


@pytest.mark.slow
@pytest.mark.parametrize("size", [500, 3000])
def test_the_file_stays_within_three_times_what_is_current(tmp_path, live, size):
    path = tmp_path / "store.db"
    wal = tmp_path / "store.db-wal"
    updates = 12_000 if size == 500 else 6_000
    sizes = []

    async def main():
        store = Store(await SqliteEngine.open(path))
        keys = [f"{PODS}{number}" for number in range(OBJECTS)]
        for key in keys:
            await store.create(key, body(0, size))
        running = asyncio.ensure_future(store.run())
        rng = random.Random(1)

        async def write(mine):
            for number in range(updates // WRITERS):
                key = rng.choice(mine)
                await store.update(key, body(number, size), store.get(key))
                if number % 10 == 0:
                    sizes.append((path.stat().st_size, wal.stat().st_size))

        async with asyncio.TaskGroup() as group:
            for writer in range(WRITERS):
                group.create_task(write(keys[writer::WRITERS]))
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await store.close()

    live(main())
    assert max(file for file, _ in sizes) <= 3 * OBJECTS * size
    assert max(log for _, log in sizes) <= 32 << 20


def test_the_log_shrinks_again_after_a_long_reader(tmp_path, live):
    """A reader keeps it from starting over for as long as it reads, and not longer."""
    path, wal = tmp_path / "store.db", tmp_path / "store.db-wal"

    async def main():
        store = Store(await SqliteEngine.open(path))
        entry = await store.create(f"{PODS}x", body(0, 100))
        reader = sqlite3.connect(path, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM log").fetchone()

        async def write(count):
            nonlocal entry
            for number in range(count):
                entry = await store.update(entry.key, body(number, 400_000), entry)

        await write(100)
        assert wal.stat().st_size > 33 << 20
        reader.execute("COMMIT")
        reader.close()
        await write(20)
        assert wal.stat().st_size <= 32 << 20
        await store.close()

    live(main())


def test_the_log_starts_over_while_the_past_is_read_all_the_time(tmp_path, live):
    path, wal = tmp_path / "store.db", tmp_path / "store.db-wal"

    async def main():
        store = Store(await SqliteEngine.open(path))
        entry = await store.create(f"{PODS}x", body(0, 100))
        engine = store._engine
        reads = 0

        async def read():
            nonlocal reads
            while True:
                await engine.history(PODS, engine.compacted, engine.revision, 500)
                reads += 1

        readers = [asyncio.ensure_future(read()) for _ in range(4)]
        for number in range(400):
            entry = await store.update(entry.key, body(number, 100_000), entry)
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        assert reads > 10
        assert wal.stat().st_size <= 32 << 20
        await store.close()

    live(main())
