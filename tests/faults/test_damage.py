"""A file that is not what was written: noticed when it is opened, never a wrong answer."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from typing import TYPE_CHECKING, Any
from zlib import crc32

import pytest
from tests.faults.history import value_of

from kybern.store.interface import Corrupt, StoreFailed
from kybern.store.kv.sqlite import SqliteEngine

if TYPE_CHECKING:
    from pathlib import Path


async def some_store(path: Path) -> tuple[Any, ...]:
    """Write a store with a compacted past, history, and deletions; return what is in it."""
    engine = await SqliteEngine.open(path)
    rng = random.Random(1)
    for number in range(300):
        key, value = f"/registry/pods/default/{rng.randrange(90)}", value_of(str(number), number)
        current = await engine.get(key)
        if current is None:
            await engine.create(key, value)
        elif rng.random() < 0.2:
            await engine.delete(key, current.revision)
        else:
            await engine.update(key, value, current.revision)
    await engine.compact(100)
    await engine.close()
    engine = await SqliteEngine.open(path)
    await engine.close()  # without a reader beside it everything is in one file now
    return await everything(path)


async def everything(path: Path) -> tuple[Any, ...]:
    engine = await SqliteEngine.open(path)
    try:
        entries = [(e.key, e.revision, e.created, e.data) for e in (await engine.list("/")).entries]
        page = await engine.history("/", engine.compacted, engine.revision)
        events = [
            (e.type, e.revision, e.entry.key, e.entry.data, e.previous and e.previous.data)
            for e in page.events
        ]
        return engine.revision, engine.compacted, entries, events
    finally:
        await engine.close()


def test_a_flipped_bit_is_noticed_or_does_not_matter(tmp_path, seed):
    path = tmp_path / "store.db"
    rng = random.Random(seed)

    async def main() -> None:
        good = await some_store(path)
        pristine = path.read_bytes()
        noticed = 0
        for _ in range(80):
            data = bytearray(pristine)
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            for leftover in tmp_path.glob("store.db?*"):
                leftover.unlink()
            path.write_bytes(data)
            try:
                assert await everything(path) == good
            except StoreFailed as error:
                noticed += str(path) in str(error)
        assert noticed > 10

    asyncio.run(main())


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE log SET key = '/registry/pods/default/other' WHERE revision = 200",
        "UPDATE log SET created = created + 1 WHERE revision = 200",
        "UPDATE log SET expires = 7 WHERE revision = 200",
        "UPDATE log SET key = CAST(key AS BLOB) WHERE revision = 200",
        "UPDATE log SET value = NULL WHERE revision ="
        " (SELECT max(revision) FROM log WHERE value IS NOT NULL)",
        "DELETE FROM log WHERE revision = 300",
        "DELETE FROM log WHERE revision = (SELECT min(revision) FROM log)",
        "UPDATE meta SET value = 90 WHERE name = 'compacted'",
        "DELETE FROM meta WHERE name = 'kept'",
    ],
)
def test_a_changed_or_missing_row_is_noticed(tmp_path, change):
    path = tmp_path / "store.db"

    async def main() -> None:
        await some_store(path)
        with sqlite3.connect(path) as db:
            db.execute(change)
        db.close()
        with pytest.raises(Corrupt):
            await everything(path)

    asyncio.run(main())


def test_files_whose_checksums_were_of_values_only_are_upgraded(tmp_path):
    path = tmp_path / "store.db"

    async def main() -> None:
        good = await some_store(path)
        with sqlite3.connect(path) as db:
            rows = db.execute("SELECT revision, value FROM log").fetchall()
            old = [(0 if value is None else crc32(value, rev), rev) for rev, value in rows]
            db.executemany("UPDATE log SET crc = ? WHERE revision = ?", old)
            db.execute("UPDATE meta SET value = 1 WHERE name = 'format'")
            db.execute("DELETE FROM meta WHERE name = 'kept'")
        db.close()
        assert await everything(path) == good
        assert await everything(path) == good
        with sqlite3.connect(path) as db:
            assert db.execute("SELECT value FROM meta WHERE name = 'format'").fetchone() == (2,)
        db.close()

    asyncio.run(main())
