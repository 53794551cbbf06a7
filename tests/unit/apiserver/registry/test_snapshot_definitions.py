"""Drivers bring upstream's definitions of the snapshot kinds along, and may take them away."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tests.unit.apiserver.harness import Server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

GROUP = "snapshot.storage.k8s.io"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
SNAPSHOTS = f"/apis/{GROUP}/v1/namespaces/default/volumesnapshots"
DEFINITION: Any = {
    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
    "metadata": {
        "name": f"volumesnapshots.{GROUP}",
        "annotations": {"api-approved.kubernetes.io": "https://github.com/kubernetes-csi"},
    },
    "spec": {
        "group": GROUP, "scope": "Namespaced",
        "names": {
            "plural": "volumesnapshots", "singular": "volumesnapshot", "kind": "VolumeSnapshot",
            "listKind": "VolumeSnapshotList", "shortNames": ["vs"],
        },
        "versions": [
            {
                "name": "v1", "served": True, "storage": True, "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object", "x-kubernetes-preserve-unknown-fields": True,
                    }
                },
            }
        ],
    },
}  # fmt: skip


def snapshot(name: str) -> Any:
    return {
        "apiVersion": f"{GROUP}/v1", "kind": "VolumeSnapshot", "metadata": {"name": name},
        "spec": {"source": {"persistentVolumeClaimName": "c"}},
    }  # fmt: skip


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await check():
            await asyncio.sleep(0)


def test_upstreams_definition_may_come_and_go() -> None:
    async def story() -> None:
        async with Server() as server:

            async def names() -> list[str]:
                answer = await server.get(SNAPSHOTS)
                assert answer.status == 200, answer.body
                return [each["metadata"]["name"] for each in answer.tree["items"]]

            async def established() -> bool:
                tree = (await server.get(f"{DEFINITIONS}/volumesnapshots.{GROUP}")).tree
                conditions = tree.get("status", {}).get("conditions") or []
                return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)

            async def gone() -> bool:
                found = await server.get(f"{DEFINITIONS}/volumesnapshots.{GROUP}")
                return found.status == 404

            async def created() -> bool:
                return (await server.post(SNAPSHOTS, snapshot("after"))).status == 201

            assert (await server.post(SNAPSHOTS, snapshot("before"))).status == 201
            for _ in range(2):
                assert (await server.post(DEFINITIONS, DEFINITION)).status == 201
                await until(established)
                listed = await server.get("/apis/apiregistration.k8s.io/v1/apiservices")
                ours = [s for s in listed.tree["items"] if s["spec"]["group"] == GROUP]
                assert len(ours) == 1
                assert (await server.post(SNAPSHOTS, snapshot("while"))).status == 201
                assert "while" in await names()
                deleted = await server.delete(f"{DEFINITIONS}/volumesnapshots.{GROUP}")
                assert deleted.status == 200
                await until(gone)
                # The objects go with their definition, as anywhere; the kind stays.
                assert await names() == []
                await until(created)
                assert await names() == ["after"]

    asyncio.run(story())
