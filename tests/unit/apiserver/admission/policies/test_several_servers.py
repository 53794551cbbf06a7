"""Two API servers over one etcd: what one has answered, the other judges by."""

from __future__ import annotations

import asyncio

from tests.contracts.store.etcd_fixture import etcd
from tests.unit.apiserver.admission.policies.making import GROUP, MAPS, bind, config_map, policy
from tests.unit.apiserver.harness import Server

from kybern.store.kv.etcd.engine import EtcdEngine
from kybern.store.objects import Store


def test_a_policy_holds_everywhere_at_once() -> None:
    async def main() -> None:
        engines = [await EtcdEngine.open(members.address) for _ in range(2)]
        one, other = [Store(engine) for engine in engines]
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(store.run()) for store in (one, other)]
            async with Server(store=one) as first, Server(store=other) as second:
                for name in ("a", "b", "c"):
                    await policy(first, f"object.metadata.name != '{name}'", name=name)
                    await bind(first, name, name)
                    assert (await second.post(MAPS, config_map(name))).status == 422
                    path = f"{GROUP}/validatingadmissionpolicybindings/{name}"
                    assert (await first.delete(path)).status == 200
                    assert (await second.post(MAPS, config_map(name))).status == 201
            for task in running:
                task.cancel()
        for store in (one, other):
            await store.close()

    with etcd() as members:
        asyncio.run(main())
