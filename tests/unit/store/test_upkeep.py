"""Expiry and compaction, in virtual time."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from kybern.lib.clock import VirtualClock
from kybern.store.interface import Compacted, StoreFull
from kybern.store.kv.memory import MemoryEngine
from kybern.store.objects import Store
from kybern.store.retention import KEEP_LEAST

EVENTS = "/registry/events/"
JSON = b'{"metadata":{}}'


@contextlib.asynccontextmanager
async def running(engine=None):
    store = Store(engine or MemoryEngine(), VirtualClock())
    task = asyncio.ensure_future(store.run())
    await asyncio.sleep(0)
    yield store
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await store.close()


class TestExpiry:
    def test_deletes_with_an_event_when_the_time_has_come(self, virtual):
        async def main():
            async with running() as store:
                await store.create(f"{EVENTS}a/kept", JSON)
                await store.create(f"{EVENTS}a/short", JSON, ttl=60)
                await store.create(f"{EVENTS}a/long", JSON, ttl=3600)
                watcher = store.watch(EVENTS, store.revision)
                await asyncio.sleep(59)
                assert store.count(EVENTS) == 3
                await asyncio.sleep(2)
                assert [e.entry.key for e in watcher.take()] == [f"{EVENTS}a/short"]
                await asyncio.sleep(3600)
                assert [e.key for e in store.list(EVENTS).entries] == [f"{EVENTS}a/kept"]

        virtual(main())

    def test_an_update_starts_it_anew_or_ends_it(self, virtual):
        async def main():
            async with running() as store:
                again = await store.create(f"{EVENTS}a/again", JSON, ttl=60)
                never = await store.create(f"{EVENTS}a/never", JSON, ttl=60)
                await asyncio.sleep(30)
                await store.update(again.key, JSON, again, ttl=60)
                await store.update(never.key, JSON, never)
                await asyncio.sleep(45)
                assert store.count(EVENTS) == 2
                await asyncio.sleep(45)
                assert [e.key for e in store.list(EVENTS).entries] == [never.key]

        virtual(main())

    def test_a_sooner_deadline_is_not_missed(self, virtual):
        async def main():
            async with running() as store:
                await store.create(f"{EVENTS}a/late", JSON, ttl=1000)
                await asyncio.sleep(1)
                await store.create(f"{EVENTS}a/soon", JSON, ttl=5)
                await asyncio.sleep(6)
                assert [e.key for e in store.list(EVENTS).entries] == [f"{EVENTS}a/late"]

        virtual(main())

    def test_many_at_once(self, virtual):
        async def main():
            async with running() as store:
                for number in range(500):
                    await store.create(f"{EVENTS}a/{number}", JSON, ttl=60)
                await asyncio.sleep(75)
                assert store.count(EVENTS) == 0

        virtual(main())

    def test_what_expired_while_nobody_looked(self, virtual):
        async def main():
            engine = MemoryEngine()
            store = Store(engine, VirtualClock())
            await store.create(f"{EVENTS}a/x", JSON, ttl=60)
            await asyncio.sleep(100)
            async with running(engine) as store:
                await asyncio.sleep(0.1)
                assert store.count(EVENTS) == 0

        virtual(main())

    def test_a_full_disk_is_tried_again(self, virtual):
        class Full(MemoryEngine):
            failures = 3

            async def delete(self, key, expected):
                if self.failures:
                    self.failures -= 1
                    raise StoreFull("no space left")
                return await super().delete(key, expected)

        async def main():
            async with running(Full()) as store:
                await store.create(f"{EVENTS}a/x", JSON, ttl=60)
                await asyncio.sleep(100)
                assert store.count(EVENTS) == 0

        virtual(main())


class TestCompaction:
    def test_five_minutes_are_kept(self, virtual):
        async def main():
            async with running() as store:
                entry = await store.create("/registry/pods/a/x", JSON)
                await store.update(entry.key, JSON, entry)
                await asyncio.sleep(301)
                early = store.revision
                entry = await store.update(entry.key, JSON, store.get(entry.key))
                await asyncio.sleep(300)
                assert store.statistics()["compacted"] == early
                with pytest.raises(Compacted):
                    store.list("/registry/pods/", revision=early - 1)
                store.watch("/registry/pods/", early)
                await asyncio.sleep(300)
                assert store.statistics()["compacted"] == store.revision

        virtual(main())

    def test_too_much_does_not_wait_for_that(self, virtual):
        async def main():
            async with running() as store:
                entry = await store.create("/registry/pods/a/x", JSON)
                for number in range(100):
                    value = b'{"metadata":{},"a":"%b"}' % (b"%d" % number * 5000)
                    entry = await store.update(entry.key, value, entry)
                await asyncio.sleep(1)
                assert store._engine.superseded <= KEEP_LEAST
                assert 1 < store.statistics()["compacted"] < store.revision

        virtual(main())

    def test_a_quiet_collection_forgets_what_is_old(self, virtual):
        async def main():
            async with running() as store:
                store.collection("/registry/pods/")
                entry = await store.create("/registry/pods/a/x", JSON)
                for _ in range(3000):
                    entry = await store.update(entry.key, JSON, entry)
                assert store.statistics()["collections"]["/registry/pods/"]["events"] == 3001
                await asyncio.sleep(301)
                assert store.statistics()["collections"]["/registry/pods/"]["events"] <= 100

        virtual(main())
