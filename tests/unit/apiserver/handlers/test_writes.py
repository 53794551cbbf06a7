"""Create, update, patch: what is taken from the client, what is decided here, what is refused."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.apiserver.harness import (
    APPLY,
    DEFAULT,
    JSON_PATCH,
    MERGE,
    PODS,
    STRATEGIC,
    Server,
    config_map,
    deployment,
    pod,
)

MAPS = f"{DEFAULT}/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


def test_system_fields_are_not_the_clients_to_set() -> None:
    async def story() -> None:
        async with Server() as server:
            body = deployment()
            body["metadata"] |= {
                "uid": "mine", "resourceVersion": "", "generation": 100, "selfLink": "x",
                "creationTimestamp": "2001-01-01T00:00:00Z",
                "deletionTimestamp": "2001-01-01T00:00:00Z",
            }  # fmt: skip
            body["status"] = {"replicas": 9}
            meta = (await server.post(DEPLOYMENTS, body)).tree
            assert meta["metadata"]["uid"] != "mine"
            assert meta["metadata"]["generation"] == 1
            assert not meta["metadata"]["creationTimestamp"].startswith("2001")
            assert "deletionTimestamp" not in meta["metadata"]
            assert meta["status"] == {}

    asyncio.run(story())


def test_generated_names_and_taken_ones() -> None:
    async def story() -> None:
        async with Server() as server:
            body = {"metadata": {"generateName": "map-"}}
            names = {(await server.post(MAPS, body)).tree["metadata"]["name"] for _ in range(5)}
            assert len(names) == 5
            assert all(n.startswith("map-") and len(n) == 9 for n in names)
            await server.post(MAPS, config_map("a"))
            taken = await server.post(MAPS, config_map("a"))
            assert (taken.status, taken.tree["reason"]) == (409, "AlreadyExists")
            assert taken.message == 'configmaps "a" already exists'

    asyncio.run(story())


def test_the_body_has_to_fit_the_path() -> None:
    async def story() -> None:
        async with Server() as server:
            elsewhere = config_map("a")
            elsewhere["metadata"]["namespace"] = "kube-system"
            answer = await server.post(MAPS, elsewhere)
            assert answer.status == 400
            assert "does not match the namespace sent on the request" in answer.message
            await server.post(MAPS, config_map("a"))
            answer = await server.put(f"{MAPS}/a", config_map("b"))
            assert answer.status == 400
            assert answer.message == (
                "the name of the object (b) does not match the name on the URL (a)"
            )
            missing = await server.post("/api/v1/namespaces/nowhere/configmaps", config_map("a"))
            assert missing.status == 404
            assert missing.message == 'namespaces "nowhere" not found'

    asyncio.run(story())


def test_a_conflict_and_an_unconditional_update() -> None:
    async def story() -> None:
        async with Server() as server:
            first = (await server.post(MAPS, config_map("a"))).tree
            second = await server.put(f"{MAPS}/a", {**first, "data": {"x": "1"}})
            assert second.status == 200
            late = await server.put(f"{MAPS}/a", {**first, "data": {"x": "2"}})
            assert (late.status, late.tree["reason"]) == (409, "Conflict")
            assert late.message == (
                'Operation cannot be fulfilled on configmaps "a": the object has been modified; '
                "please apply your changes to the latest version and try again"
            )
            anyway = await server.put(f"{MAPS}/a", config_map("a", x="3"))
            assert anyway.status == 200
            assert anyway.tree["data"] == {"x": "3"}
            other = config_map("a")
            other["metadata"]["uid"] = "another"
            assert (await server.put(f"{MAPS}/a", other)).status == 409

    asyncio.run(story())


def test_kinds_that_want_to_be_told_the_version() -> None:
    async def story() -> None:
        async with Server() as server:
            path = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
            body = {"metadata": {"name": "b"}, "spec": {"minAvailable": 1}}
            assert (await server.post(path, body)).status == 201
            answer = await server.put(f"{path}/b", body)
            assert answer.status == 422
            assert "metadata.resourceVersion: Invalid value" in answer.message
            assert "must be specified for an update" in answer.message

    asyncio.run(story())


def test_what_changes_nothing_writes_nothing() -> None:
    async def story() -> None:
        async with Server() as server:
            created = (await server.post(DEPLOYMENTS, deployment())).tree
            revision = server.store.revision
            for answer in (
                await server.put(f"{DEPLOYMENTS}/d", created),
                await server.put(f"{DEPLOYMENTS}/d", deployment()),
                await server.patch(f"{DEPLOYMENTS}/d", {"spec": {"replicas": 2}}),
                await server.patch(f"{DEPLOYMENTS}/d", {}, STRATEGIC),
                await server.patch(f"{DEPLOYMENTS}/d/status", {"status": {}}),
            ):
                assert answer.status == 200, answer.body
                assert answer.tree == created
            assert server.store.revision == revision

    asyncio.run(story())


def test_generation_counts_what_is_wanted() -> None:
    async def story() -> None:
        async with Server() as server:
            await server.post(DEPLOYMENTS, deployment())
            path = f"{DEPLOYMENTS}/d"

            async def generation(change: dict) -> int:
                return (await server.patch(path, change)).tree["metadata"]["generation"]

            assert await generation({"metadata": {"labels": {"a": "b"}}}) == 1
            assert await generation({"spec": {"replicas": 3}}) == 2
            await server.patch(f"{path}/status", {"status": {"replicas": 3}})
            # its ReplicaSets get them too
            assert await generation({"metadata": {"annotations": {"a": "b"}}}) == 3

    asyncio.run(story())


def test_status_and_spec_keep_out_of_each_others_way() -> None:
    async def story() -> None:
        async with Server() as server:
            await server.post(DEPLOYMENTS, deployment())
            path = f"{DEPLOYMENTS}/d"
            change = {
                "metadata": {"annotations": {"a": "b"}}, "spec": {"replicas": 9},
                "status": {"replicas": 5},
            }  # fmt: skip
            tree = (await server.patch(f"{path}/status", change)).tree
            assert tree["spec"]["replicas"] == 2
            assert tree["status"]["replicas"] == 5
            assert tree["metadata"]["annotations"] == {"a": "b"}
            tree = (await server.patch(path, change)).tree
            assert tree["spec"]["replicas"] == 9
            owners = [
                (e["manager"], e.get("subresource")) for e in tree["metadata"]["managedFields"]
            ]
            assert ("unknown", "status") in owners

    asyncio.run(story())


def test_every_kind_of_patch() -> None:
    async def story() -> None:
        async with Server() as server:
            await server.post(PODS, pod("p", containers=[
                {"name": "a", "image": "one"}, {"name": "b", "image": "two"},
            ]))  # fmt: skip
            path = f"{PODS}/p"
            strategic = {"spec": {"containers": [{"name": "b", "image": "three"}]}}
            tree = (await server.patch(path, strategic, STRATEGIC)).tree
            assert [c["image"] for c in tree["spec"]["containers"]] == ["one", "three"]
            json_patch = [{"op": "replace", "path": "/spec/containers/0/image", "value": "four"}]
            tree = (await server.patch(path, json_patch, JSON_PATCH)).tree
            assert tree["spec"]["containers"][0]["image"] == "four"
            merge = {"metadata": {"labels": {"app": None, "x": "y"}}}
            tree = (await server.patch(path, merge, MERGE)).tree
            assert tree["metadata"]["labels"] == {"x": "y"}
            nonsense = await server.patch(path, {}, "text/plain")
            assert nonsense.status == 415
            assert "application/apply-patch+yaml" in nonsense.message

    asyncio.run(story())


def test_apply_creates_changes_and_gives_up() -> None:
    async def story() -> None:
        async with Server() as server:
            path = f"{MAPS}/a?fieldManager=me"

            async def apply(data: dict, query: str = "") -> tuple[int, dict]:
                body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"},
                        "data": data}  # fmt: skip
                answer = await server.patch(path + query, body, APPLY)
                return answer.status, answer.tree

            assert (await apply({"x": "1", "y": "1"}))[0] == 201
            revision = server.store.revision
            assert (await apply({"x": "1", "y": "1"}))[0] == 200
            assert server.store.revision == revision
            status, tree = await apply({"x": "2"})
            assert (status, tree["data"]) == (200, {"x": "2"})
            await server.patch(f"{MAPS}/a?fieldManager=you", {"data": {"x": "3"}})
            status, tree = await apply({"x": "4"})
            assert status == 409
            assert tree["details"]["causes"][0]["reason"] == "FieldManagerConflict"
            status, tree = await apply({"x": "4"}, "&force=true")
            assert (status, tree["data"]) == (200, {"x": "4"})
            unnamed = await server.patch(f"{MAPS}/a", {}, APPLY)
            assert unnamed.status == 422
            assert "is required for apply patch" in unnamed.message

    asyncio.run(story())


def test_a_patch_is_tried_again_when_others_are_faster() -> None:
    async def story() -> None:
        async with Server() as server:
            await server.post(MAPS, config_map("a"))
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(server.patch(f"{MAPS}/a", {"data": {f"k{i}": "v"}}))
                    for i in range(4)
                ]
            assert [task.result().status for task in tasks] == [200] * 4
            tree = (await server.get(f"{MAPS}/a")).tree
            assert set(tree["data"]) == {"k0", "k1", "k2", "k3"}

    asyncio.run(story())


def test_a_patch_that_names_a_version_is_not_tried_again() -> None:
    async def story() -> None:
        async with Server() as server:
            old = (await server.post(MAPS, config_map("a"))).tree["metadata"]["resourceVersion"]
            await server.patch(f"{MAPS}/a", {"data": {"x": "1"}})
            body = {"metadata": {"resourceVersion": old}, "data": {"x": "2"}}
            assert (await server.patch(f"{MAPS}/a", body)).status == 409

    asyncio.run(story())


def test_dry_run_stores_nothing_and_answers_the_same() -> None:
    async def story() -> None:
        async with Server() as server:
            revision = server.store.revision
            tree = (await server.post(f"{PODS}?dryRun=All", pod("p"))).tree
            assert tree["spec"]["restartPolicy"] == "Always"
            assert tree["metadata"]["uid"]
            assert "resourceVersion" not in tree["metadata"]
            assert server.store.revision == revision
            real = (await server.post(PODS, pod("p"))).tree
            again = await server.post(f"{PODS}?dryRun=All", pod("p"))
            assert again.status == 409
            changed = await server.patch(
                f"{PODS}/p?dryRun=All", {"metadata": {"labels": {"a": "b"}}}
            )
            assert (
                changed.tree["metadata"]["resourceVersion"] == real["metadata"]["resourceVersion"]
            )
            assert changed.tree["metadata"]["labels"] == {"a": "b", "app": "p"}
            gone = await server.delete(f"{PODS}/p?dryRun=All")
            assert gone.status == 200
            assert (await server.get(f"{PODS}/p")).body == (await server.get(f"{PODS}/p")).body
            assert (await server.get(f"{PODS}/p")).tree == real
            bad = await server.post(f"{PODS}?dryRun=Some", pod("q"))
            assert bad.status == 422
            assert 'dryRun: Unsupported value: ["Some"]' in bad.message.replace("[]string{", "[")

    asyncio.run(story())


def test_unknown_and_duplicate_fields_as_the_request_wants() -> None:
    async def story() -> None:
        async with Server() as server:
            odd = pod("p", unknownField=1)
            strict = await server.post(f"{PODS}?fieldValidation=Strict", odd)
            assert strict.status == 400
            assert 'strict decoding error: unknown field "spec.unknownField"' in strict.message
            warned = await server.post(f"{PODS}?fieldValidation=Warn", odd)
            assert warned.status == 201
            assert warned.header("warning") == ['299 - "unknown field \\"spec.unknownField\\""']
            ignored = await server.put(f"{PODS}/p?fieldValidation=Ignore", {
                **warned.tree, "nonsense": 1,
            })  # fmt: skip
            assert ignored.status == 200
            assert ignored.header("warning") == []
            patched = await server.patch(
                f"{PODS}/p?fieldValidation=Strict", {"spec": {"foo": 1}}, STRATEGIC
            )
            assert patched.status == 422
            assert 'strict decoding error: unknown field "spec.foo"' in patched.message
            other = await server.post(f"{PODS}?fieldValidation=Maybe", odd)
            assert other.status == 422

    asyncio.run(story())


@pytest.mark.parametrize(
    ("body", "media", "status", "text"),
    [
        (b"{", "application/json", 400, "json parse error"),
        (b"[]", "application/json", 400, ""),
        (b'"x"', "", 400, ""),
        (b"\xff\xfe\x00", "application/json", 400, ""),
        (b"", "application/json", 400, ""),
        (b"a: [", "application/yaml", 400, "error converting YAML to JSON"),
        (b"k8s\0\xff\xff", "application/vnd.kubernetes.protobuf", 400, ""),
        (b"not protobuf", "application/vnd.kubernetes.protobuf", 400, ""),
        (b'{"kind":"Service","apiVersion":"v1"}', "application/json", 400, "does not match"),
        (b'{"apiVersion":"apps/v1","kind":"Pod"}', "application/json", 400, "does not match"),
        (b'{"spec":{"containers":5}}', "application/json", 400, "json: cannot unmarshal number"),
        (b"x", "text/plain", 415, "accepted media types include"),
        (b"x" * (3 * 1024 * 1024 + 1), "application/json", 413, "limit is 3145728"),
        (b"[" * 100_000, "application/json", 400, ""),
    ],
)
def test_bad_bodies_get_a_status_and_never_a_traceback(
    body: bytes, media: str, status: int, text: str
) -> None:
    async def story() -> None:
        async with Server() as server:
            answer = await server.post(PODS, body, content_type=media)
            assert answer.status == status, answer.body
            assert answer.tree["kind"] == "Status"
            assert text in answer.message

    asyncio.run(story())


def test_yaml_bodies() -> None:
    async def story() -> None:
        async with Server() as server:
            text = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: y}\ndata: {a: b}\n"
            answer = await server.post(MAPS, text, content_type="application/yaml")
            assert answer.status == 201
            assert answer.tree["data"] == {"a": "b"}

    asyncio.run(story())


def test_immutable_maps() -> None:
    async def story() -> None:
        async with Server() as server:
            await server.post(MAPS, {**config_map("a", x="1"), "immutable": True})
            changed = await server.patch(f"{MAPS}/a", {"data": {"x": "2"}})
            assert changed.status == 422
            assert "field is immutable when `immutable` is set" in changed.message
            labelled = await server.patch(f"{MAPS}/a", {"metadata": {"labels": {"a": "b"}}})
            assert labelled.status == 200

    asyncio.run(story())


def test_put_creates_where_the_kind_allows_it() -> None:
    async def story() -> None:
        async with Server() as server:
            path = "/apis/coordination.k8s.io/v1/namespaces/default/leases/l"
            assert (await server.put(path, {"metadata": {"name": "l"}})).status == 201
            assert (await server.put(f"{MAPS}/nope", config_map("nope"))).status == 404

    asyncio.run(story())


def test_methods_that_make_no_sense() -> None:
    async def story() -> None:
        async with Server() as server:
            for method, path in (
                ("PUT", MAPS), ("PATCH", MAPS), ("POST", f"{MAPS}/a"), ("POST", "/api/v1/pods"),
                ("GET", "/apis/authentication.k8s.io/v1/tokenreviews"),
                ("DELETE", "/api/v1/namespaces"), ("POST", "/version"),
            ):  # fmt: skip
                answer = await server.call(method, path, {})
                assert answer.status == 405, (method, path, answer.body)
                assert answer.message == (
                    "the server does not allow this method on the requested resource"
                )
            for path in ("/apis/none.io/v1/pods", "/nope", "/api/v2"):
                answer = await server.get(path)
                assert (answer.status, answer.body) == (404, b"404 page not found\n"), path
            for path in (
                "/api/v1/foos", "/api/v1/pods/p", "/api/v1/namespaces/default/nodes",
                f"{PODS}/p/nothing", f"{PODS}/p/status/more",
            ):  # fmt: skip
                answer = await server.get(path)
                assert answer.status == 404, path
                assert answer.message == "the server could not find the requested resource", path

    asyncio.run(story())
