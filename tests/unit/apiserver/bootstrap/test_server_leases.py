"""Several API servers over one store know of each other, and of nobody who is gone."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from tests.unit.apiserver.harness import DEFAULT, Server

from kybern.apiserver.bootstrap.server_leases import identity_of
from kybern.lib.clock import VirtualClock, run_virtual
from kybern.store.interface import StoreFailed
from kybern.store.kv.memory import MemoryEngine
from kybern.store.objects import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from kybern.store.interface import Entry

SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"


class SharedStore(Store):
    """A store that several servers write to."""

    shared = True
    down = False

    async def create(self, key: str, data: bytes, ttl: float | None = None) -> Entry:
        if self.down:
            raise StoreFailed("no quorum")
        return await super().create(key, data, ttl)

    async def update(
        self, key: str, data: bytes, expected: Entry, ttl: float | None = None
    ) -> Entry:
        if self.down:
            raise StoreFailed("no quorum")
        return await super().update(key, data, expected, ttl)


@asynccontextmanager
async def shared_store() -> AsyncIterator[SharedStore]:
    store = SharedStore(MemoryEngine(), VirtualClock())
    running = asyncio.create_task(store.run())
    yield store
    running.cancel()
    await asyncio.wait([running])


def server(store: Store, address: str, **more: Any) -> Server:
    return Server(store=store, clock=VirtualClock(), advertise_address=address, **more)


async def endpoints(server: Server) -> list[tuple[str, int]]:
    await asyncio.sleep(1)
    tree = (await server.get(f"{DEFAULT}/endpoints/kubernetes")).tree
    return [
        (address["ip"], subset["ports"][0]["port"])
        for subset in tree["subsets"]
        for address in subset["addresses"]
    ]


def test_the_endpoints_are_the_servers_that_live() -> None:
    async def story() -> None:
        async with shared_store() as store, server(store, "192.0.2.1") as first:
            assert await endpoints(first) == [("192.0.2.1", 6443)]
            async with server(store, "192.0.2.3") as third:
                async with server(store, "192.0.2.2") as second:
                    everybody = [("192.0.2.1", 6443), ("192.0.2.2", 6443), ("192.0.2.3", 6443)]
                    assert await endpoints(first) == everybody
                    await asyncio.sleep(60)
                    assert await endpoints(first) == everybody
                    slices = (await first.get(SLICES)).tree["items"]
                    assert [s["metadata"]["name"] for s in slices] == ["kubernetes"]
                    assert [e["addresses"] for e in slices[0]["endpoints"]] == [
                        ["192.0.2.1"], ["192.0.2.2"], ["192.0.2.3"]
                    ]  # fmt: skip
                    await second.api.leave()
                    assert await endpoints(first) == [everybody[0], everybody[2]]
                await third.settle()
            # the third ended without a word
            assert len(await endpoints(first)) == 2
            await asyncio.sleep(15)
            assert await endpoints(first) == [everybody[0]]

    run_virtual(story())


def test_a_server_is_there_again_when_the_store_is() -> None:
    async def story() -> None:
        one, two = "192.0.2.1", "192.0.2.2"
        async with shared_store() as store, server(store, one) as first, server(store, two):
            store.down = True
            await asyncio.sleep(60)
            assert store.list("/registry/masterleases/").entries == []
            store.down = False
            assert len(await endpoints(first)) == 2

    run_virtual(story())


def test_servers_on_one_machine_have_a_slice_per_port() -> None:
    async def story() -> None:
        async with shared_store() as store, server(store, "192.0.2.1", port=7001) as first:
            async with server(store, "192.0.2.1", port=7002):
                assert await endpoints(first) == [("192.0.2.1", 7001), ("192.0.2.1", 7002)]
            await asyncio.sleep(15)
            assert await endpoints(first) == [("192.0.2.1", 7001)]
            slices = (await first.get(SLICES)).tree["items"]
            assert {s["metadata"]["name"]: len(s["endpoints"]) for s in slices} == {
                "kubernetes": 1, "kubernetes-7002": 0
            }  # fmt: skip

    run_virtual(story())


def test_each_server_has_a_lease_with_its_name_until_it_is_long_dead() -> None:
    async def story() -> None:
        async with shared_store() as store, server(store, "192.0.2.1") as first:
            async with server(store, "192.0.2.1", port=7002):
                await asyncio.sleep(20)
                leases = (await first.get(LEASES)).tree["items"]
            assert len(leases) == 2
            for lease in leases:
                name = lease["metadata"]["name"]
                assert lease["spec"]["holderIdentity"].startswith(f"{name}_")
                assert lease["spec"]["leaseDurationSeconds"] == 3600
                labels = lease["metadata"]["labels"]
                assert labels["apiserver.kubernetes.io/identity"] == "kube-apiserver"
            await asyncio.sleep(3700)
            assert len((await first.get(LEASES)).tree["items"]) == 1

    run_virtual(story())


def test_a_store_of_ones_own_has_no_leases() -> None:
    async def story() -> None:
        async with Server() as alone:
            assert alone.store.list("/registry/masterleases/").entries == []
            assert (await alone.get(LEASES)).tree["items"] == []

    run_virtual(story())


def test_names_are_upstreams() -> None:
    assert identity_of("kind-control-plane") == "apiserver-c4vwjftbvpc5os2vvzle4qg27a"
