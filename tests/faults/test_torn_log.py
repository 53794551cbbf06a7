"""A write-ahead log of which the end is missing or is rubbish: the store is as it was earlier."""

from __future__ import annotations

import asyncio
import os
import random
from typing import TYPE_CHECKING

from tests.faults.history import value_of
from tests.faults.test_damage import everything

from kybern.store.interface import StoreFailed
from kybern.store.kv.sqlite import SqliteEngine

if TYPE_CHECKING:
    from pathlib import Path

    from kybern.store.interface import Event

WRITES = 2500  # enough for the log to have been written from its beginning again
KEYS = 60


async def write(path: Path) -> tuple[list[Event], bytes, bytes]:
    """Write a lot; return all of it, and the bytes of both files as a crash would leave them."""
    engine = await SqliteEngine.open(path)
    rng = random.Random(3)

    async def one(number: int) -> None:
        for turn in range(WRITES // KEYS):
            key = f"/registry/pods/default/{number}"
            value = value_of(f"{number}.{turn}", rng.randrange(1500))
            current = await engine.get(key)
            if current is None:
                await engine.create(key, value)
            elif rng.random() < 0.1:
                await engine.delete(key, current.revision)
            else:
                await engine.update(key, value, current.revision)

    async with asyncio.TaskGroup() as group:
        for number in range(KEYS):
            group.create_task(one(number))
    files = path.read_bytes(), path.with_name("store.db-wal").read_bytes()
    page = await engine.history("/", engine.compacted, engine.revision, 2 * WRITES)
    await engine.close()
    return list(page.events), *files


def state_at(events: list[Event], revision: int) -> list[tuple[str, int, int, bytes]]:
    """Fold the history."""
    state = {}
    for event in events:
        if event.revision > revision:
            break
        entry = event.entry
        state[entry.key] = (entry.key, entry.revision, entry.created, entry.data)
        if event.type == "DELETED":
            del state[entry.key]
    return [state[key] for key in sorted(state)]


def damaged(log: bytes, rng: random.Random) -> bytes:
    """Cut the log somewhere, or replace a piece near its end by rubbish."""
    at = rng.randrange(len(log))
    how = rng.choice(["cut", "zeros", "rubbish"])
    if how == "cut":
        return log[:at]
    piece = min(len(log) - at, rng.randrange(1, 20_000))
    middle = bytes(piece) if how == "zeros" else os.urandom(piece)
    return log[:at] + middle + log[at + piece :]


def test_what_is_left_of_the_log_counts(tmp_path, seed):
    rng = random.Random(seed)
    path = tmp_path / "store.db"
    copy = tmp_path / "copy.db"
    log_copy = tmp_path / "copy.db-wal"

    async def main() -> None:
        events, file, log = await write(path)
        earlier = refused = 0
        for _ in range(25):
            for leftover in tmp_path.glob("copy.db*"):
                leftover.unlink()
            copy.write_bytes(file)
            log_copy.write_bytes(damaged(log, rng))
            try:
                revision, _, entries, _ = await everything(copy)
            except StoreFailed as error:
                refused += "damaged" in str(error)
                continue
            assert entries == state_at(events, revision)
            earlier += revision < events[-1].revision
        assert earlier + refused > 0

    asyncio.run(main())
