"""Migration to and from etcd: clients never see a smaller revision taken for a newer one."""

from __future__ import annotations

import asyncio

import pytest
from tests.contracts.store.etcd_fixture import etcd

from kybern.store import etcd_note
from kybern.store.interface import Compacted, StoreFailed
from kybern.store.kv.sqlite import SqliteEngine
from kybern.store.migrate import migrate
from kybern.store.migrate_etcd import EtcdSource, EtcdTarget
from kybern.store.migrate_sqlite import SqliteSource, SqliteTarget
from kybern.store.objects import Store

PODS = "/registry/pods/"


@pytest.fixture(scope="module")
def members():
    with etcd() as running:
        yield running


@pytest.fixture
def address(members, request):
    """An etcd with a prefix for each test."""
    from dataclasses import replace

    return replace(members.address, prefix=f"/{request.node.name.replace('_', '-')}/registry")


def quiet(_done, _all):
    pass


async def copy(source, target, report=quiet):
    try:
        try:
            return await migrate(source, target, report)
        finally:
            await target.close()
    finally:
        await source.close()


async def filled(path, objects=300):
    """A file with objects, of which some were changed and some deleted."""
    store = Store(await SqliteEngine.open(path))

    async def live_of(number):
        key = f"{PODS}a/{number:03}"
        ttl = 5000 if number % 10 == 1 else None
        entry = await store.create(key, b'{"metadata":{},"n":%d}' % number, ttl=ttl)
        if number % 3 == 0:
            entry = await store.update(key, b'{"metadata":{},"n":"changed"}', entry)
        if number % 7 == 0:
            await store.delete(key, entry)

    async with asyncio.TaskGroup() as group:
        for number in range(objects):
            group.create_task(live_of(number))
    found = {e.key: e.data for e in store.list(PODS).entries}
    revision = store.revision
    await store.close()
    return found, revision


def test_there_and_back(tmp_path, live, address):
    async def main():
        before, revision = await filled(tmp_path / "a.db")
        done = await copy(SqliteSource(tmp_path / "a.db"), await EtcdTarget.open(address))
        assert (done.objects, done.resumed) == (len(before), 0)

        store = Store(await etcd_note.opened(address))
        entries = store.list(PODS).entries
        assert {e.key: e.data for e in entries} == before
        assert min(e.revision for e in entries) > revision
        assert {e.key for e in entries if e.expires} == {
            key for key, data in before.items() if key.endswith("1") and b"changed" not in data
        }
        for known in (1, revision):
            with pytest.raises(Compacted):
                store.watch(PODS, known)
        watcher = store.watch(PODS, store.revision)
        made = await store.create(f"{PODS}a/new", b'{"metadata":{}}')
        assert made.revision > revision
        (event,) = await anext(watcher)
        assert event.entry is made is store.get(made.key)
        watcher.close()
        there = {e.key: (e.data, e.revision, e.created) for e in store.list(PODS).entries}
        await store.close()

        await copy(await EtcdSource.open(address), SqliteTarget(tmp_path / "b.db"))
        store = Store(await SqliteEngine.open(tmp_path / "b.db"))
        back = {e.key: (e.data, e.revision, e.created) for e in store.list(PODS).entries}
        assert back == there
        assert store.revision >= made.revision
        await store.close()

    live(main())


def test_interrupted_it_goes_on_and_nobody_serves_a_part(tmp_path, live, address):
    async def main():
        before, _ = await filled(tmp_path / "a.db", 2500)

        def give_up(done, _every):
            if done > 1000:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            await copy(SqliteSource(tmp_path / "a.db"), await EtcdTarget.open(address), give_up)
        with pytest.raises(StoreFailed, match="is to become a copy of sqlite:"):
            await etcd_note.opened(address)
        await filled(tmp_path / "other.db", 5)
        with pytest.raises(StoreFailed, match="go on with that one, or remove it"):
            await copy(SqliteSource(tmp_path / "other.db"), await EtcdTarget.open(address))
        done = await copy(SqliteSource(tmp_path / "a.db"), await EtcdTarget.open(address))
        assert (done.objects, done.resumed) == (len(before), 2000)
        store = Store(await etcd_note.opened(address))
        assert {e.key: e.data for e in store.list(PODS).entries} == before
        await store.close()
        with pytest.raises(StoreFailed, match="holds objects already"):
            await copy(SqliteSource(tmp_path / "a.db"), await EtcdTarget.open(address))

    live(main())


def test_a_source_that_is_written_to_is_noticed(tmp_path, live, address):
    async def main():
        store = Store(await etcd_note.opened(address))
        await store.create(f"{PODS}a/x", b'{"metadata":{}}')
        source = await EtcdSource.open(address)
        await store.create(f"{PODS}a/y", b'{"metadata":{}}')
        with pytest.raises(StoreFailed, match="somebody wrote to etcd://"):
            await copy(source, SqliteTarget(tmp_path / "b.db"))
        await store.close()

    live(main())


def test_what_is_there_goes_when_it_is_to_be_replaced(tmp_path, live, address):
    async def main():
        before, _ = await filled(tmp_path / "a.db", 30)
        store = Store(await etcd_note.opened(address))
        old = await store.create(f"{PODS}a/old", b'{"metadata":{}}')
        await store.close()
        target = await EtcdTarget.open(address, first=1_000_000, replace=True)
        await copy(SqliteSource(tmp_path / "a.db"), target)
        store = Store(await etcd_note.opened(address))
        assert {e.key: e.data for e in store.list(PODS).entries} == before
        assert min(e.revision for e in store.list(PODS).entries) > 1_000_000
        with pytest.raises(Compacted):
            store.watch(PODS, old.revision)
        await store.close()

    live(main())
