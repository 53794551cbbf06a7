"""What the server says of requests that are odd: warnings, and refusals in upstream's words."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.unit.apiserver.harness import (
    DEFAULT,
    JSON_PATCH,
    MERGE,
    PODS,
    STRATEGIC,
    Server,
    config_map,
    pod,
)

MAPS = f"{DEFAULT}/configmaps"


def play(story: Any) -> None:
    async def main() -> None:
        async with Server() as server:
            await story(server)

    asyncio.run(main())


def test_users_of_deprecated_kinds_are_told_with_every_answer() -> None:
    async def story(server: Server) -> None:
        for path in (f"{DEFAULT}/endpoints", f"{DEFAULT}/endpoints/nope", "/api/v1/endpoints"):
            assert (await server.get(path)).header("warning") == [
                '299 - "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"'
            ]
        assert (await server.get("/api/v1/componentstatuses")).header("warning") == [
            '299 - "v1 ComponentStatus is deprecated in v1.19+"'
        ]
        assert (await server.get(MAPS)).header("warning") == []

    play(story)


def test_what_is_unwise_is_stored_and_told() -> None:
    async def story(server: Server) -> None:
        created = await server.post(PODS, pod("a.b"))
        assert created.status == 201
        assert "a DNS label is recommended: [must not contain dots]" in created.header("warning")[0]
        status = {"status": {"message": "x"}}
        for path, body in ((f"{PODS}/a.b/status", status), (f"{PODS}/a.b", {"metadata": {}})):
            assert (await server.patch(path, body, MERGE)).header("warning") == []

    play(story)


def test_what_was_stored_before_is_not_created() -> None:
    async def story(server: Server) -> None:
        body = config_map("c")
        body["metadata"]["resourceVersion"] = "12"
        refused = await server.post(MAPS, body)
        assert refused.tree == {
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "resourceVersion should not be set on objects to be created", "code": 500,
        }  # fmt: skip
        assert (await server.get(f"{MAPS}/c")).status == 404
        body["metadata"]["resourceVersion"] = "0"
        assert (await server.post(MAPS, body)).status == 201

    play(story)


@pytest.mark.parametrize("media", [MERGE, JSON_PATCH])
def test_a_patch_does_not_make_another_kind(media: str) -> None:
    async def story(server: Server) -> None:
        await server.post(MAPS, config_map("c"))
        operation = {"op": "replace", "path": "/kind", "value": "Service"}
        body: Any = {"kind": "Service"} if media == MERGE else [operation]
        refused = await server.patch(f"{MAPS}/c", body, media)
        assert refused.status == 422
        assert refused.message.endswith(
            "converting (v1.Service) to (core.ConfigMap): unknown conversion"
        )
        kept = await server.patch(f"{MAPS}/c", {"kind": "Service", "data": {"a": "b"}}, STRATEGIC)
        assert (kept.tree["kind"], kept.tree["data"]) == ("ConfigMap", {"a": "b"})

    play(story)


def test_a_strategic_patch_that_does_not_fit() -> None:
    async def story(server: Server) -> None:
        await server.post(MAPS, config_map("c"))
        refused = await server.patch(f"{MAPS}/c", {"data": {"b": 2}}, STRATEGIC)
        assert refused.message == (
            ' "" is invalid: patch: Invalid value: "map[data:map[b:2]]": '
            "cannot convert int64 to string"
        )

    play(story)


def test_a_nodes_pod_network_stays() -> None:
    async def story(server: Server) -> None:
        node = {"metadata": {"name": "n"}, "spec": {"podCIDR": "10.0.0.0/24"}}
        created = await server.post("/api/v1/nodes", node)
        assert created.tree["spec"]["podCIDRs"] == ["10.0.0.0/24"]
        refused = await server.patch(
            "/api/v1/nodes/n", {"spec": {"podCIDR": "10.0.1.0/24"}}, STRATEGIC
        )
        assert refused.status == 422
        assert "spec.podCIDRs: Forbidden: node updates may not change podCIDR" in refused.message

    play(story)


def test_annotations_count_as_changes_of_a_deployment() -> None:
    async def story(server: Server) -> None:
        path = "/apis/apps/v1/namespaces/default/deployments"
        labels = {"app": "d"}
        spec = {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod("x")["spec"]},
        }
        created = await server.post(path, {"metadata": {"name": "d"}, "spec": spec})
        assert created.tree["metadata"]["generation"] == 1
        noted = {"metadata": {"annotations": {"a": "b"}}}
        changed = await server.patch(f"{path}/d", noted, MERGE)
        assert changed.tree["metadata"]["generation"] == 2
        reported = await server.patch(
            f"{path}/d/status", {"metadata": {"annotations": {"c": "d"}}}, MERGE
        )
        assert reported.tree["metadata"]["generation"] == 2
        relabelled = await server.patch(f"{path}/d", {"metadata": {"labels": {"a": "b"}}}, MERGE)
        assert relabelled.tree["metadata"]["generation"] == 2

    play(story)
