"""Whatever a client sends, it gets a Status that blames the input: no 500, no trace of Python."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.unit.apiserver.harness import (
    ADMIN,
    APPLY,
    DEFAULT,
    JSON_PATCH,
    MERGE,
    PODS,
    STRATEGIC,
    Identity,
    Server,
    config_map,
    pod,
)

HUGE = "9" * 5000
MAPS = f"{DEFAULT}/configmaps"
JSON = "application/json"
YAML = "application/yaml"


def serve(test: Any) -> None:
    async def main() -> None:
        async with Server() as server:
            assert (await server.post(PODS, pod("p"))).status == 201
            assert (await server.post(MAPS, config_map("c", a="b"))).status == 201
            await test(server)

    asyncio.run(main())


def nested(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


BODIES = {
    "a deep list": "[" * 10_000 + "]" * 10_000,
    "a deep object": nested(10_000),
    "deep below a field": f'{{"metadata":{{"annotations":{nested(2000)}}}}}',
    "deep below an unknown field": f'{{"data":{{"x":{nested(900)}}}}}',
    "open brackets": "[" * 500_000,
    "half a surrogate pair": r'{"metadata":{"name":"\ud800"}}',
    "a number of many digits": f'{{"metadata":{{"generation":{HUGE}}}}}',
    "not a number": '{"data":NaN}',
    "a number beyond all numbers": '{"data":1e999}',
    "a resourceVersion of many digits": f'{{"metadata":{{"resourceVersion":"{HUGE}"}}}}',
    "a time before time": '{"metadata":{"creationTimestamp":"0001-01-01T00:00:00+23:59"}}',
    "a time after time": '{"metadata":{"creationTimestamp":"9999-12-31T23:59:59-23:59"}}',
    "nothing": "",
    "null": "null",
    "a list": "[]",
    "a word": '"x"',
    "a wrong kind": '{"kind":[],"apiVersion":{}}',
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_bodies(body: str) -> None:
    async def story(server: Server) -> None:
        data = body.encode()
        for method, path, media in (
            ("POST", PODS, JSON),
            ("POST", PODS, YAML),
            ("PUT", f"{MAPS}/c", JSON),
            ("PUT", f"{MAPS}/c", YAML),
            ("PATCH", f"{MAPS}/c", MERGE),
            ("PATCH", f"{MAPS}/c", STRATEGIC),
            ("PATCH", f"{MAPS}/c", JSON_PATCH),
            ("PATCH", f"{MAPS}/c?fieldManager=m", APPLY),
            ("DELETE", f"{MAPS}/c?dryRun=All", JSON),
            ("DELETE", f"{MAPS}/c?dryRun=All", YAML),
        ):
            answer = await server.call(method, path, data, content_type=media)
            assert answer.status in (200, 400, 409, 415, 422), (method, media, answer.body)
            assert b"recursion" not in answer.body
            assert b"Traceback" not in answer.body

    serve(story)


@pytest.mark.parametrize(
    "options", [[], "x", 1, {"kind": 1}, {"gracePeriodSeconds": "x"}, {"preconditions": 5}]
)
def test_delete_options_of_a_wrong_shape(options: Any) -> None:
    async def story(server: Server) -> None:
        for path in (f"{MAPS}/c", MAPS):
            answer = await server.delete(path, json.dumps(options).encode())
            assert (answer.status, answer.tree["reason"]) == (400, "BadRequest"), answer.body

    serve(story)


@pytest.mark.parametrize("number", [HUGE, "99999999999999999999", "1_0", "abc", "٣"])
def test_numbers_in_queries(number: str) -> None:
    async def story(server: Server) -> None:
        for path in (
            f"{PODS}?limit={number}",
            f"{PODS}?watch=true&timeoutSeconds={number}",
            f"{PODS}/p/log?tailLines={number}",
        ):
            answer = await server.get(path)
            assert (answer.status, answer.tree["reason"]) == (400, "BadRequest"), answer.body
        answer = await server.delete(f"{PODS}/none?gracePeriodSeconds={number}")
        assert answer.status == 400, answer.body
        for path in (f"{PODS}?resourceVersion={number}", f"{PODS}/p?resourceVersion={number}"):
            answer = await server.get(path)
            assert answer.status in (400, 504), answer.body

    serve(story)


def test_a_port_that_only_looks_like_a_number() -> None:
    async def story(server: Server) -> None:
        await server.post("/api/v1/nodes", {"metadata": {"name": "n"}})
        addresses = [{"type": "InternalIP", "address": "192.0.2.1"}]
        await server.patch("/api/v1/nodes/n/status", {"status": {"addresses": addresses}})
        service = {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}
        await server.post(f"{DEFAULT}/services", service)
        for port in ("²", "x", "0", "65536", HUGE):
            answer = await server.get(f"/api/v1/nodes/n:{port}/proxy/")
            assert answer.status == 400, answer.body
            answer = await server.get(f"{DEFAULT}/services/s:{port}/proxy/")
            assert answer.status in (400, 503), answer.body

    serve(story)


def test_a_namespace_without_a_name() -> None:
    async def story(server: Server) -> None:
        answer = await server.post("/api/v1/namespaces", {})
        assert (answer.status, answer.tree["reason"]) == (422, "Invalid"), answer.body
        assert "metadata.name: Required value: name or generateName is required" in answer.message

    serve(story)


def test_copies_that_double_the_document_are_stopped() -> None:
    async def story(server: Server) -> None:
        patch = [
            {"op": "add", "path": "/metadata/annotations", "value": {"a": "b"}},
            *(
                {"op": "copy", "from": "/metadata", "path": f"/metadata/annotations/x{i}"}
                for i in range(200)
            ),
        ]
        answer = await server.patch(f"{MAPS}/c", patch, JSON_PATCH)
        assert (answer.status, answer.tree["reason"]) == (422, "Invalid"), answer.body

    serve(story)


def test_what_could_not_be_read_again_is_not_stored() -> None:
    revisions = "/apis/apps/v1/namespaces/default/controllerrevisions"

    async def story(server: Server) -> None:
        body = f'{{"metadata":{{"name":"r"}},"revision":1,"data":{nested(150)}}}'
        assert (await server.post(revisions, body.encode())).status == 201
        # Each copy puts the tree below itself: 150, 300, 600 levels.
        inner = "/data" + "/a" * 149
        patch = [{"op": "copy", "from": "/data", "path": inner + "/a"}]
        answer = await server.patch(f"{revisions}/r", patch * 2, JSON_PATCH)
        assert answer.status in (400, 422), answer.body

    serve(story)


def grant(rules: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    group = "rbac.authorization.k8s.io"
    where = f"/apis/{group}/v1/namespaces/default"
    role = {"metadata": {"name": "r"}, "rules": rules}
    binding = {
        "metadata": {"name": "r"},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "r"},
        "subjects": [{"kind": "User", "apiGroup": group, "name": "joe"}],
    }
    return [(f"{where}/roles", role), (f"{where}/rolebindings", binding)]


def test_apply_creates_only_for_those_who_may_create() -> None:
    async def story(server: Server) -> None:
        rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "patch"]}
        for path, obj in grant([rule]):
            assert (await server.post(path, obj)).status == 201
        await server.settle()
        new = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "new"}}
        path = f"{MAPS}/new?fieldManager=m"
        answer = await server.patch(path, new, APPLY, user=Identity("joe"))
        assert answer.status == 403
        assert 'User "joe" cannot create resource "configmaps"' in answer.message
        assert (await server.patch(path, new, APPLY, user=ADMIN)).status == 201
        assert (await server.patch(path, new, APPLY, user=Identity("joe"))).status == 200

    serve(story)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_only_get_and_post_lead_into_containers(method: str) -> None:
    async def story(server: Server) -> None:
        for what in ("exec", "attach", "portforward"):
            answer = await server.call(
                method, f"{PODS}/p/{what}?command=id&stdout=1",
                connection="upgrade", upgrade="websocket",
            )  # fmt: skip
            assert answer.status == 405, answer.body

    serve(story)


@pytest.mark.parametrize("text", ["YQ", "!!", "YQ==YQ=="])
def test_a_secret_that_is_not_base64(text: str) -> None:
    async def story(server: Server) -> None:
        body = {"metadata": {"name": "s"}, "data": {"k": text}}
        answer = await server.post(f"{DEFAULT}/secrets", body)
        assert answer.status == 400
        start = 'Secret in version "v1" cannot be handled as a Secret: illegal base64 data at input'
        assert answer.message.startswith(start)
        lines = {"metadata": {"name": "s"}, "data": {"k": "YWJj\nYWJj"}}
        answer = await server.post(f"{DEFAULT}/secrets", lines)
        assert answer.tree["data"] == {"k": "YWJjYWJj"}

    serve(story)
