"""An etcd that has no space left: writes say so, reads go on, and with space all is well again."""

from __future__ import annotations

import asyncio
import random
import subprocess

import pytest
from tests.contracts.store.etcd_fixture import etcd
from tests.faults import linearizability
from tests.faults.history import Recorder, StoreClient, audit

from kybern.store.interface import StoreFailed
from kybern.store.kv.etcd.engine import EtcdEngine
from kybern.store.objects import Store

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

QUOTA = 8_000_000
KEYS = [f"/registry/configmaps/a/{number}" for number in range(40)]


def test_an_etcd_without_space(seed):
    recorder = Recorder()

    async def main(address, command) -> None:
        store = Store(await EtcdEngine.open(address), compact_every=0)
        rng = random.Random(seed)

        async def fill(client: StoreClient, key: str) -> None:
            with pytest.raises(StoreFailed, match=r"has no space left: compact and defragment it"):
                while True:
                    await (client.update(key) if client.known(key) else client.create(key))

        clients = [
            StoreClient(f"c{number}", store, recorder, rng, padding=100_000) for number in range(40)
        ]
        async with asyncio.TaskGroup() as group:
            for client, key in zip(clients, KEYS, strict=True):
                group.create_task(fill(client, key))
        await audit(store, recorder, "full", KEYS)
        await store.compact(store.revision)
        for words in (["defrag"], ["alarm", "disarm"]):
            await asyncio.to_thread(
                subprocess.run, [*command, *words], check=True, capture_output=True
            )
        for client, key in zip(clients, KEYS, strict=True):
            await client.read(key)
            await (client.update(key) if client.known(key) else client.create(key))
        await store.close()
        store = Store(await EtcdEngine.open(address))
        await audit(store, recorder, "after", KEYS)
        await store.close()

    with etcd() as members:
        (member,) = members.members
        member.kill()
        member.command.append(f"--quota-backend-bytes={QUOTA}")
        members.start()
        command = ["etcdctl", f"--endpoints={member.address}"]
        asyncio.run(main(members.address, command))
    assert linearizability.check(recorder.operations) > 80
