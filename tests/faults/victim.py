"""A process to be killed: 32 clients of a store on one file, and compaction beside them.

Arguments: the file, a seed, a name for this run. Every operation is reported on standard output,
when it is called and when it is answered.
"""

from __future__ import annotations

import asyncio
import random
import sys
from typing import TYPE_CHECKING

from tests.faults.history import StoreClient, some_work, to_pipe

from kybern.store.kv.sqlite import SqliteEngine
from kybern.store.objects import Store

if TYPE_CHECKING:
    from kybern.store.kv.interface import Engine

CLIENTS = 32
KEYS = [f"/registry/configmaps/{space}/{name}" for space in "abc" for name in range(8)]


async def compact_at_random(engine: Engine, rng: random.Random) -> None:
    """Forget the past every now and then, up to a random revision."""
    while True:
        await asyncio.sleep(rng.random() * 0.1)
        await engine.compact(max(engine.revision - rng.randrange(1500), engine.compacted))


async def main(path: str, seed: str, run: str) -> None:
    engine = await SqliteEngine.open(path)
    store, recorder = Store(engine), to_pipe(1)

    async def work(name: str) -> None:
        rng = random.Random(f"{seed} {name}")
        client = StoreClient(name, store, recorder, rng)
        while True:
            await some_work(client, KEYS, rng)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        for number in range(CLIENTS):
            group.create_task(work(f"{run}-{number}"))
        group.create_task(compact_at_random(engine, random.Random(seed)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
