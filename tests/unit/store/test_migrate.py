"""Migration: the same objects on another medium, also when it is killed in the middle."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys

import pytest

from kybern.store.interface import Corrupt, StoreFailed, StoreLocked
from kybern.store.kv.sqlite import SqliteEngine
from kybern.store.migrate import BATCH, migrate
from kybern.store.migrate_sqlite import SqliteSource, SqliteTarget
from kybern.store.objects import Store

OBJECTS = 3 * BATCH + 17
PODS = "/registry/pods/"


async def opened(path):
    return Store(await SqliteEngine.open(path))


async def fill(path, objects=OBJECTS):
    store = await opened(path)

    async def live_of(number):
        key = f"{PODS}a/{number:05}"
        entry = await store.create(key, b'{"metadata":{},"n":%d}' % number, ttl=1e9)
        if number % 7 == 0:
            entry = await store.update(key, b'{"metadata":{},"n":"changed"}', entry)
        if number % 11 == 0:
            await store.delete(key, entry)

    async with asyncio.TaskGroup() as group:
        for number in range(objects):
            group.create_task(live_of(number))
    found = contents(store)
    revision = store.revision
    await store.close()
    return found, revision


def contents(store):
    return {e.key: (e.data, e.revision, e.created, e.expires) for e in store.list(PODS).entries}


async def copy(source, target, report=lambda _done, _all: None):
    copied = SqliteSource(source)
    try:
        made = SqliteTarget(target)
        try:
            return await migrate(copied, made, report)
        finally:
            await made.close()
    finally:
        await copied.close()


def test_revisions_and_all_go_with_it(tmp_path, live):
    async def main():
        before, revision = await fill(tmp_path / "a.db")
        told = []
        done = await copy(tmp_path / "a.db", tmp_path / "b.db", lambda *now: told.append(now))
        assert (done.objects, done.resumed) == (len(before), 0)
        assert told[-1] == (len(before), len(before))
        assert len(told) == -(-len(before) // BATCH)
        store = await opened(tmp_path / "b.db")
        assert contents(store) == before
        assert store.revision == revision
        assert (await store.create(f"{PODS}a/new", b"{}")).revision == revision + 1
        await store.close()

    live(main())


def test_interrupted_it_goes_on_where_it_was(tmp_path, live):
    def give_up(done, _all):
        if done > BATCH:
            raise KeyboardInterrupt

    async def main():
        before, _ = await fill(tmp_path / "a.db")
        with pytest.raises(KeyboardInterrupt):
            await copy(tmp_path / "a.db", tmp_path / "b.db", give_up)
        with pytest.raises(StoreFailed, match="is to become a copy"):
            await SqliteEngine.open(tmp_path / "b.db")
        done = await copy(tmp_path / "a.db", tmp_path / "b.db")
        assert (done.objects, done.resumed) == (len(before), 2 * BATCH)
        store = await opened(tmp_path / "b.db")
        assert contents(store) == before
        await store.close()

    live(main())


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from tests.unit.store.test_migrate import BATCH, copy
def report(done, every):
    if done > BATCH:
        os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(copy(Path(sys.argv[1]), Path(sys.argv[2]), report))
"""


def test_killed_in_the_middle_it_goes_on(tmp_path, live, pytestconfig):
    before, _ = live(fill(tmp_path / "a.db"))
    words = [str(tmp_path / "a.db"), str(tmp_path / "b.db"), str(pytestconfig.rootpath)]
    killed = subprocess.run([sys.executable, "-c", KILLED, *words], check=False)
    assert killed.returncode == -signal.SIGKILL

    async def main():
        done = await copy(tmp_path / "a.db", tmp_path / "b.db")
        assert (done.objects, done.resumed) == (len(before), 2 * BATCH)
        store = await opened(tmp_path / "b.db")
        assert contents(store) == before
        await store.close()

    live(main())


def test_a_target_that_holds_something_else_is_refused(tmp_path, live):
    async def main():
        await fill(tmp_path / "a.db", 20)
        await fill(tmp_path / "full.db", 20)
        with pytest.raises(StoreFailed, match=r"full\.db holds objects already"):
            await copy(tmp_path / "a.db", tmp_path / "full.db")
        await copy(tmp_path / "a.db", tmp_path / "b.db")
        with pytest.raises(StoreFailed, match="holds objects already"):
            await copy(tmp_path / "a.db", tmp_path / "b.db")

    live(main())


def test_a_source_that_went_on_meanwhile_is_refused(tmp_path, live):
    def give_up(*_):
        raise KeyboardInterrupt

    async def main():
        _, revision = await fill(tmp_path / "a.db", 20)
        with pytest.raises(KeyboardInterrupt):
            await copy(tmp_path / "a.db", tmp_path / "b.db", give_up)
        store = await opened(tmp_path / "a.db")
        await store.create(f"{PODS}a/more", b"{}")
        await store.close()
        with pytest.raises(StoreFailed, match=rf"at revision {revision}: go on with that one"):
            await copy(tmp_path / "a.db", tmp_path / "b.db")

    live(main())


def test_neither_may_be_in_use(tmp_path, live):
    async def main():
        await fill(tmp_path / "a.db", 20)
        store = await opened(tmp_path / "a.db")
        with pytest.raises(StoreLocked):
            await copy(tmp_path / "a.db", tmp_path / "b.db")
        with pytest.raises(StoreLocked):
            SqliteTarget(tmp_path / "a.db")
        await store.close()
        assert (await copy(tmp_path / "a.db", tmp_path / "b.db")).objects == 18

    live(main())


def test_a_damaged_source_is_not_copied(tmp_path, live):
    live(fill(tmp_path / "a.db", 20))
    data = (tmp_path / "a.db").read_bytes()
    (tmp_path / "a.db").write_bytes(data.replace(b'"n":5', b'"n":6'))
    with pytest.raises(Corrupt, match="wrong checksum"):
        asyncio.run(copy(tmp_path / "a.db", tmp_path / "b.db"))
    with pytest.raises(StoreFailed, match="there is no file"):
        SqliteSource(tmp_path / "none.db")
