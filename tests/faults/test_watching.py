"""Lists and watches tell the same story, at every revision, however often one comes back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.contracts.store.etcd_fixture import etcd
from tests.faults.workload import Workload

from kybern.store.kv.etcd.engine import EtcdEngine
from kybern.store.kv.memory import MemoryEngine
from kybern.store.kv.sqlite import SqliteEngine
from kybern.store.objects import Store
from kybern.store.watch_cache import Window

if TYPE_CHECKING:
    from collections.abc import Sequence

SMALL = Window(most=150, age=0.1, least=20)  # so that much is asked of the engine


async def watch(stores: Sequence[Store], seed: int, writes: int, *lists: int) -> None:
    async with Workload(stores, seed) as work:
        await work.progress(writes)
    verdict = await work.judge(*lists)
    assert verdict.lists_compared > 100
    assert verdict.reconnects > len(work.folds)


@pytest.mark.parametrize("medium", ["memory", "sqlite"])
def test_a_fold_is_the_list_at_every_revision(medium, tmp_path, seed):
    async def main() -> None:
        memory = medium == "memory"
        engine = MemoryEngine() if memory else await SqliteEngine.open(tmp_path / "store.db")
        store = Store(engine, window=SMALL)
        await watch([store], seed, 300, 1000 if memory else 60)
        await store.close()

    asyncio.run(main())


@pytest.mark.slow
def test_a_fold_is_the_list_for_two_api_servers_over_one_etcd(seed):
    async def main() -> None:
        with etcd() as members:
            stores = [
                Store(await EtcdEngine.open(members.address), window=window)
                for window in (Window(), SMALL)
            ]
            await watch(stores, seed, 200, 300, 3)  # etcd needs 0.1 s to tell of its past
            for store in stores:
                await store.close()

    asyncio.run(main())
