"""GET on collections: pages, revisions, selectors, forms."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.unit.apiserver.harness import DEFAULT, PODS, Server, config_map, pod

from kybern.api import codec, protobuf
from kybern.api.core.v1 import ConfigMapList
from kybern.apiserver.handlers import list as list_handler
from kybern.lib.http.messages import StreamResponse

MAPS = f"{DEFAULT}/configmaps"


async def _maps(server: Server, count: int) -> None:
    for number in range(count):
        labels = {"even": str(number % 2 == 0).lower()}
        await server.post(MAPS, config_map(f"m{number:02}", labels, a="b"))


def _names(tree: dict) -> list[str]:
    return [item["metadata"]["name"] for item in tree["items"]]


def test_pages_are_of_one_moment() -> None:
    async def story() -> None:
        async with Server() as server:
            await _maps(server, 5)
            first = (await server.get(f"{MAPS}?limit=2")).tree
            assert _names(first) == ["m00", "m01"]
            assert first["metadata"]["remainingItemCount"] == 3
            token = first["metadata"]["continue"]
            await server.delete(f"{MAPS}/m03")
            await server.post(MAPS, config_map("m99"))
            second = (await server.get(f"{MAPS}?limit=2&continue={token}")).tree
            assert _names(second) == ["m02", "m03"]
            assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
            assert second["metadata"]["remainingItemCount"] == 1
            token = second["metadata"]["continue"]
            third = (await server.get(f"{MAPS}?limit=2&continue={token}")).tree
            assert _names(third) == ["m04"]
            assert "continue" not in third["metadata"]
            assert "remainingItemCount" not in third["metadata"]

    asyncio.run(story())


def test_limit_above_the_number_returns_all_without_token() -> None:
    async def story() -> None:
        async with Server() as server:
            await _maps(server, 2)
            tree = (await server.get(f"{MAPS}?limit=500")).tree
            assert len(tree["items"]) == 2
            assert set(tree["metadata"]) == {"resourceVersion"}

    asyncio.run(story())


def test_an_old_token_comes_back_with_one_that_goes_on_regardless() -> None:
    async def story() -> None:
        async with Server() as server:
            await _maps(server, 4)
            token = (await server.get(f"{MAPS}?limit=2")).tree["metadata"]["continue"]
            await server.post(MAPS, config_map("m98"))
            await server.post(MAPS, config_map("m99"))
            await server.store.compact(server.store.revision)
            for collection in server.store._collections.values():
                collection.floor = server.store.revision
                collection._batches.clear()
            gone = await server.get(f"{MAPS}?limit=2&continue={token}")
            assert gone.status == 410
            assert gone.tree["reason"] == "Expired"
            again = gone.tree["metadata"]["continue"]
            rest = (await server.get(f"{MAPS}?limit=2&continue={again}")).tree
            assert _names(rest) == ["m02", "m03"]
            assert int(rest["metadata"]["resourceVersion"]) == server.store.revision
            token = rest["metadata"]["continue"]
            last = (await server.get(f"{MAPS}?limit=9&continue={token}")).tree
            assert _names(last) == ["m98", "m99"]
            assert last["metadata"]["resourceVersion"] == rest["metadata"]["resourceVersion"]

    asyncio.run(story())


def test_selectors_choose_and_hide_the_remaining_count() -> None:
    async def story() -> None:
        async with Server() as server:
            await _maps(server, 6)
            first = (await server.get(f"{MAPS}?limit=2&labelSelector=even%3Dtrue")).tree
            assert _names(first) == ["m00", "m02"]
            assert "remainingItemCount" not in first["metadata"]
            token = first["metadata"]["continue"]
            rest = (
                await server.get(f"{MAPS}?limit=2&labelSelector=even%3Dtrue&continue={token}")
            ).tree
            assert _names(rest) == ["m04"]
            assert "continue" not in rest["metadata"]
            one = (await server.get(f"{MAPS}?fieldSelector=metadata.name%3Dm03")).tree
            assert _names(one) == ["m03"]
            everywhere = (
                await server.get("/api/v1/configmaps?fieldSelector=metadata.name%3Dm03")
            ).tree
            assert _names(everywhere) == ["m03"]
            others = (await server.get(f"{MAPS}?fieldSelector=metadata.name%21%3Dm03")).tree
            assert len(others["items"]) == 5

    asyncio.run(story())


def test_exact_revision_shows_the_past() -> None:
    async def story() -> None:
        async with Server() as server:
            await _maps(server, 2)
            then = server.store.revision
            await server.delete(f"{MAPS}/m00")
            exact = f"resourceVersion={then}&resourceVersionMatch=Exact"
            assert _names((await server.get(f"{MAPS}?{exact}")).tree) == ["m00", "m01"]
            # A revision with a limit and no match has always meant exactly that revision.
            assert _names((await server.get(f"{MAPS}?resourceVersion={then}&limit=9")).tree) == [
                "m00", "m01",
            ]  # fmt: skip
            newer = f"resourceVersion={then}&resourceVersionMatch=NotOlderThan"
            assert _names((await server.get(f"{MAPS}?{newer}")).tree) == ["m01"]
            assert _names((await server.get(f"{MAPS}?resourceVersion=0")).tree) == ["m01"]

    asyncio.run(story())


@pytest.mark.parametrize(
    ("query", "status", "text"),
    [
        ("resourceVersionMatch=Exact", 422, "resourceVersionMatch is forbidden unless"),
        ("resourceVersionMatch=Foo&resourceVersion=1", 422, "Unsupported value"),
        ("resourceVersionMatch=Exact&resourceVersion=0", 422, "is forbidden for resourceVersion"),
        ("sendInitialEvents=true", 422, "sendInitialEvents is forbidden for list"),
        ("resourceVersion=abc", 400, "strconv.ParseUint"),
        ("resourceVersion=999999", 504, "Too large resource version: 999999, current:"),
        ("limit=x", 400, "strconv.ParseInt"),
        ("continue=!!", 400, "continue key is not valid"),
        ("labelSelector=a%3D%3D%3Db", 400, "found '='"),
        ("fieldSelector=spec.x%3Db", 400, '"spec.x" is not a known field selector'),
    ],
)
def test_nonsense_is_refused(query: str, status: int, text: str) -> None:
    async def story() -> None:
        async with Server() as server:
            answer = await server.get(f"{MAPS}?{query}")
            assert answer.status == status
            assert text in answer.message

    asyncio.run(story())


def test_pods_by_node_and_phase() -> None:
    async def story() -> None:
        async with Server() as server:
            await server.post(PODS, pod("a", nodeName="n1"))
            await server.post(PODS, pod("b"))
            await server.put(f"{PODS}/a/status", {**pod("a"), "status": {"phase": "Running"}})
            on_node = await server.get("/api/v1/pods?fieldSelector=spec.nodeName%3Dn1")
            assert _names(on_node.tree) == ["a"]
            pending = await server.get("/api/v1/pods?fieldSelector=status.phase%3DPending")
            assert _names(pending.tree) == ["b"]
            both = "fieldSelector=spec.nodeName%3Dn1,status.phase%21%3DRunning"
            assert _names((await server.get(f"{PODS}?{both}")).tree) == []
            unknown = await server.get(f"{PODS}?fieldSelector=spec.foo%3D1")
            assert unknown.message == "field label not supported: spec.foo"

    asyncio.run(story())


def test_items_do_not_repeat_their_kind() -> None:
    async def story() -> None:
        async with Server() as server:
            await _maps(server, 2)
            tree = (await server.get(MAPS)).tree
            assert (tree["kind"], tree["apiVersion"]) == ("ConfigMapList", "v1")
            assert all("kind" not in item and "apiVersion" not in item for item in tree["items"])
            one = (await server.get(f"{MAPS}/m00")).tree
            assert tree["items"][0] == {
                key: value for key, value in one.items() if key not in ("kind", "apiVersion")
            }

    asyncio.run(story())


def test_tables_and_metadata_lists() -> None:
    async def story() -> None:
        async with Server() as server:
            await _maps(server, 3)
            table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
            page = (await server.get(f"{MAPS}?limit=2", accept=table)).tree
            assert page["kind"] == "Table"
            assert [row["cells"][0] for row in page["rows"]] == ["m00", "m01"]
            assert page["metadata"]["remainingItemCount"] == 1
            assert page["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
            metadata = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
            partial = (await server.get(MAPS, accept=metadata)).tree
            assert partial["kind"] == "PartialObjectMetadataList"
            assert set(partial["items"][0]) == {"kind", "apiVersion", "metadata"}

    asyncio.run(story())


def test_yaml_and_protobuf_for_those_who_take_nothing_else() -> None:
    async def story() -> None:
        async with Server() as server:
            await _maps(server, 1)
            answer = await server.get(f"{MAPS}/m00", accept="application/yaml")
            assert answer.content_type == "application/yaml"
            assert b"\nkind: ConfigMap\n" in answer.body
            binary = await server.get(MAPS, accept="application/vnd.kubernetes.protobuf")
            assert binary.body.startswith(b"k8s\0")
            both = "application/vnd.kubernetes.protobuf,application/json"
            assert (await server.get(MAPS, accept=both)).content_type == "application/json"
            nothing = await server.get(MAPS, accept="text/html")
            assert nothing.status == 406

    asyncio.run(story())


def test_a_list_of_large_objects_comes_in_pieces() -> None:
    async def story() -> None:
        async with Server() as server:
            path = f"{DEFAULT}/configmaps"
            for number in range(20):
                made = await server.post(path, config_map(f"c{number:02}", x="y" * 100_000))
                assert made.status == 201
            answer = await server.raw("GET", path)
            assert isinstance(answer, StreamResponse)
            pieces = [piece async for piece in answer.chunks]
            assert max(map(len, pieces)) < 500_000
            names = [item["metadata"]["name"] for item in json.loads(b"".join(pieces))["items"]]
            assert names == [f"c{number:02}" for number in range(20)]

    asyncio.run(story())


@pytest.mark.parametrize(
    "accept",
    [
        "application/json;as=Table;v=v1;g=meta.k8s.io",
        "application/vnd.kubernetes.protobuf",
        "application/json",
    ],
)
def test_a_list_in_pieces_is_the_list(accept: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with Server() as server:
            await _maps(server, 7)
            path = f"{MAPS}?limit=6"
            whole = await server.get(path, accept=accept)
            monkeypatch.setattr(list_handler, "LARGE", 300)
            answer = await server.raw("GET", path, accept=accept)
            assert isinstance(answer, StreamResponse)
            assert answer.content_type == whole.content_type
            pieces = [piece async for piece in answer.chunks]
            assert len(pieces) > 3
            if accept == protobuf.MEDIA_TYPE:
                one, other = (
                    protobuf.decode(body, ConfigMapList) for body in (whole.body, b"".join(pieces))
                )
                assert codec.equal(one, other)
                assert [item.metadata.name for item in other.items] == [
                    f"m{n:02}" for n in range(6)
                ]
            else:
                assert json.loads(b"".join(pieces)) == whole.tree

    asyncio.run(story())
