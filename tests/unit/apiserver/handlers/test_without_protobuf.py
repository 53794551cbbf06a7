"""Kinds that have no protobuf form are not asked for one, nor read from one."""

import asyncio

import pytest
from tests.conformance.definitions import definition
from tests.unit.apiserver.harness import Server

PROTOBUF = "application/vnd.kubernetes.protobuf"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
SNAPSHOTS = "/apis/snapshot.storage.k8s.io/v1/namespaces/default/volumesnapshots"
TABS = "/apis/stable.example.com/v1/namespaces/default/crontabs"


@pytest.mark.parametrize("path", [SNAPSHOTS, TABS])
def test_json_it_is(path):
    async def story():
        async with Server() as server:
            await server.post(CRDS, definition())
            async with asyncio.timeout(10):
                while (await server.get(TABS)).status != 200:
                    await asyncio.sleep(0)
            refused = await server.get(path, accept=PROTOBUF)
            assert refused.status == 406
            assert refused.message.endswith("application/json, application/yaml")
            taken = await server.get(path, accept=f"{PROTOBUF},application/json")
            assert (taken.status, taken.content_type) == (200, "application/json")
            body = await server.post(path, b"k8s\0", content_type=PROTOBUF)
            assert body.status == 415

    asyncio.run(story())
