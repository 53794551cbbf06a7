"""What a `Store` still knows after the process ended: only on engines that persist."""

from __future__ import annotations

import pytest
from test_store_objects import PODS, collect, pod

from kybern.store.interface import Compacted


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
