"""Two API servers over one etcd: a client that goes from one to the other sees one cluster."""

from __future__ import annotations

import asyncio
import contextlib
import json
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.contracts.store.etcd_fixture import Members, etcd
from tests.contracts.store.test_store_shared import run, store_on
from tests.unit.apiserver.harness import DEFAULT, Server, config_map

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

MAPS = f"{DEFAULT}/configmaps"


@pytest.fixture(scope="module")
def members() -> Iterator[Members]:
    with etcd() as members:
        yield members


@asynccontextmanager
async def two_servers(members: Members) -> AsyncIterator[tuple[Server, Server]]:
    async with (
        store_on(members.address) as one,
        store_on(members.address) as other,
        Server(store=one) as first,
        Server(store=other) as second,
    ):
        yield first, second


def test_each_sees_what_the_other_has_answered(members):
    async def story():
        async with two_servers(members) as servers:
            for number in range(20):
                here, there = servers[number % 2], servers[(number + 1) % 2]
                path = f"{MAPS}/seen-{number}"
                made = json.loads((await here.post(MAPS, config_map(f"seen-{number}"))).body)
                seen = await there.get(path)
                assert json.loads(seen.body) == made
                made["data"] = {"x": "1"}
                changed = await there.put(path, made)
                assert changed.status == 200, changed.body
                found = json.loads((await here.get(MAPS)).body)["items"]
                assert [m["data"] for m in found if m["metadata"]["name"] == f"seen-{number}"] == [
                    {"x": "1"}
                ]
                # Of two writers on the same version the second one loses, wherever it comes.
                assert (await here.put(path, made)).status == 409
                assert (await here.delete(path)).status == 200
                assert (await there.get(path)).status == 404
                assert (await there.put(path, made)).status == 404

    run(story())


def test_what_is_needed_for_a_write_may_be_new_on_the_other_server(members):
    async def story():
        async with two_servers(members) as servers:
            for number in range(10):
                here, there = servers[number % 2], servers[(number + 1) % 2]
                name = f"new-{number}"
                made = await here.post("/api/v1/namespaces", {"metadata": {"name": name}})
                assert made.status == 201, made.body
                inside = f"/api/v1/namespaces/{name}/configmaps"
                made = await there.post(inside, config_map("a"))
                assert made.status == 201, made.body

    run(story())


def test_patches_without_a_version_never_conflict(members):
    async def story():
        async with two_servers(members) as servers:
            await servers[0].post(MAPS, config_map("patched"))

            async def patch(worker):
                for number in range(10):
                    server = servers[(worker + number) % 2]
                    body = {"data": {f"{worker}-{number}": "x"}}
                    path = f"{MAPS}/patched"
                    done = await server.patch(path, body)
                    assert done.status == 200, done.body

            async with asyncio.TaskGroup() as group:
                for worker in range(8):
                    group.create_task(patch(worker))
            data = json.loads((await servers[1].get(f"{MAPS}/patched")).body)["data"]
            assert {f"{w}-{n}" for w in range(8) for n in range(10)} <= data.keys()

    run(story())


def test_a_list_goes_on_at_the_other_server(members):
    async def story():
        async with two_servers(members) as (one, other):
            space = "/api/v1/namespaces/paged/configmaps"
            await one.post("/api/v1/namespaces", {"metadata": {"name": "paged"}})
            for number in range(5):
                await one.post(space, config_map(f"p{number}"))
            first = json.loads((await one.get(f"{space}?limit=3")).body)
            await one.delete(f"{space}/p4")
            token = first["metadata"]["continue"]
            rest = json.loads((await other.get(f"{space}?limit=3&continue={token}")).body)
            names = [m["metadata"]["name"] for m in first["items"] + rest["items"]]
            assert names == [f"p{number}" for number in range(5)]
            assert rest["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]

    run(story())


def test_content_with_less_needs_no_etcd(members):
    async def story():
        async with two_servers(members) as (one, _):
            asked = one.store._engine._connection.call

            async def never(*_: object, **__: object):
                raise AssertionError("asked")

            one.store._engine._connection.call = never
            assert (await one.get(f"{MAPS}?resourceVersion=0")).status == 200
            one.store._engine._connection.call = asked

    run(story())


def test_servers_may_start_together(members):
    async def story():
        address = replace(members.address, prefix="/together")
        async with contextlib.AsyncExitStack() as stack:
            stores = [await stack.enter_async_context(store_on(address)) for _ in range(3)]
            servers = [Server(store=store) for store in stores]
            async with asyncio.TaskGroup() as group:
                for server in servers:
                    group.create_task(server.api.start())
            for server in servers:
                assert server.api.health.failing("readyz") == {}

    run(story())
