"""A process to be killed: sixteen writers on one file, each answered write reported on a pipe.

Arguments: the file, a seed, and for each writer the number of its first write.
A line per answered write: `<writer> <number> <verb> <revision>`.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys

from kybern.store.kv.sqlite import SqliteEngine

WRITERS = 16
KEYS = 5
PADDING = b"x" * 1500


def key_of(writer: int, number: int) -> str:
    return f"/registry/pods/w{writer}/{number % KEYS}"


def verb_of(exists: bool, number: int) -> str:
    if not exists:
        return "create"
    return "delete" if number % 4 == 0 else "update"


def value_of(writer: int, number: int) -> bytes:
    return b"%d %d %b" % (writer, number, PADDING[: 200 + number % 1200])


async def write(engine: SqliteEngine, writer: int, number: int) -> None:
    while True:
        key, value = key_of(writer, number), value_of(writer, number)
        current = await engine.get(key)
        verb = verb_of(current is not None, number)
        if current is None:
            entry = await engine.create(key, value)
        elif verb == "update":
            entry = await engine.update(key, value, current.revision)
        else:
            entry = await engine.delete(key, current.revision)
        os.write(1, b"%d %d %b %d\n" % (writer, number, verb.encode(), entry.revision))
        number += 1


async def forget(engine: SqliteEngine, rng: random.Random) -> None:
    while True:
        await asyncio.sleep(rng.random() * 0.1)
        await engine.compact(max(engine.revision - rng.randrange(3000), engine.compacted))


async def main(path: str, seed: str, *numbers: str) -> None:
    engine = await SqliteEngine.open(path)
    async with asyncio.TaskGroup() as group:
        for writer in range(WRITERS):
            group.create_task(write(engine, writer, int(numbers[writer])))
        group.create_task(forget(engine, random.Random(seed)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
