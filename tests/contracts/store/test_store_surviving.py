"""What a `Store` still knows after the process ended: only on engines that persist."""

from __future__ import annotations

import asyncio

import pytest
from tests.contracts.store.test_store_objects import PODS, collect, pod

from kybern.store.interface import Compacted
from kybern.store.objects import Store


def test_a_watch_goes_on_after_a_restart(persistent):
    async def write(store):
        entry = await store.create(f"{PODS}a/x", pod())
        entry = await store.update(entry.key, pod("y"), entry)
        await store.delete(entry.key, entry)

    async def read(store):
        assert store.revision == 4
        events = await collect(store.watch(PODS, 1), 3)
        assert [event.type for event in events] == ["ADDED", "MODIFIED", "DELETED"]
        assert events[2].entry.data == pod("y")
        assert [e.data for e in (await store.list_at(PODS, 2)).entries] == [pod()]
        assert (await store.list_at(PODS, 4)).entries == []
        await store.compact(3)

    async def compacted(store):
        with pytest.raises(Compacted):
            store.watch(PODS, 2)
        assert len(await collect(store.watch(PODS, 3), 1)) == 1

    persistent.store(write)
    persistent.store(read)
    persistent.store(compacted)


def test_what_was_to_expire_does(persistent):
    if persistent.shared:
        pytest.skip("etcd sees to that, by its own clock: test_store_shared")

    class Clock:
        def __init__(self, now):
            self.now = lambda: now
            self.monotonic = lambda: now

        async def sleep(self, seconds):
            await asyncio.sleep(seconds)

    async def write(engine):
        store = Store(engine, Clock(1_000_000.0))
        await store.create("/registry/events/a/soon", pod(), ttl=60)
        await store.create("/registry/events/a/late", pod(), ttl=3600)

    async def read(engine):
        store = Store(engine, Clock(1_000_100.0))
        watcher = store.watch("/registry/events/", store.revision)
        running = asyncio.ensure_future(store.run())
        (event,) = await anext(watcher)
        assert (event.type, event.entry.key) == ("DELETED", "/registry/events/a/soon")
        assert [e.key for e in store.list("/registry/").entries] == ["/registry/events/a/late"]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    persistent.engine(write)
    persistent.engine(read)
