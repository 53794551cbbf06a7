"""A store whose past is lost begins beyond what it may have answered."""

from __future__ import annotations

import pytest

from kybern.store.interface import FIRST_REVISION, Compacted
from kybern.store.kv import mvcc
from kybern.store.kv.memory import MemoryEngine
from kybern.store.objects import Store

NOW = 1_800_000_000.0


def test_beyond_the_clock_and_what_is_known():
    assert mvcc.beyond(NOW) == 1_800_000_000_000_000
    assert mvcc.beyond(NOW, 2_000_000_000_000_000) == 2_000_000_000_000_001
    assert mvcc.beyond(0.0) == FIRST_REVISION


def test_a_second_later_is_beyond_a_million_writes():
    assert mvcc.beyond(NOW + 1) >= mvcc.beyond(NOW) + 1_000_000


def test_in_memory_clients_of_the_last_process_are_told(virtual):
    async def main():
        last = Store(MemoryEngine(mvcc.beyond(NOW)))
        known = (await last.create("/registry/pods/a/x", b'{"metadata":{}}')).revision
        store = Store(MemoryEngine(mvcc.beyond(NOW + 0.001)))
        with pytest.raises(Compacted):
            store.watch("/registry/pods/", known)
        with pytest.raises(Compacted):
            await store.list_at("/registry/pods/", known)
        entry = await store.create("/registry/pods/a/x", b'{"metadata":{}}')
        assert entry.revision > known

    virtual(main())
