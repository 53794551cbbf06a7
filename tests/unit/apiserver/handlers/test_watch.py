"""Watches: what a watcher sees, from where, in which form."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.apiserver.harness import DEFAULT, MERGE, PODS, Server, config_map, pod

from kybern.lib.http.messages import StreamResponse

MAPS = f"{DEFAULT}/configmaps"
INITIAL = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"


def test_events_carry_what_the_writes_returned() -> None:
    async def story() -> None:
        async with Server() as server:
            start = server.store.revision
            async with server.watch(f"{MAPS}?resourceVersion={start}") as watch:
                created = await server.post(MAPS, config_map("a", x="1"))
                assert await watch.next() == {"type": "ADDED", "object": created.tree}
                changed = await server.patch(f"{MAPS}/a", {"data": {"x": "2"}})
                assert await watch.next() == {"type": "MODIFIED", "object": changed.tree}
                await server.delete(f"{MAPS}/a")
                last = await watch.next()
                assert last["type"] == "DELETED"
                revision = int(last["object"]["metadata"]["resourceVersion"])
                assert revision > int(changed.tree["metadata"]["resourceVersion"])
                assert last["object"]["data"] == {"x": "2"}
            async with server.watch(f"{MAPS}?resourceVersion={start}") as again:
                assert [(await again.next())["type"] for _ in range(3)] == [
                    "ADDED", "MODIFIED", "DELETED",
                ]  # fmt: skip

    asyncio.run(story())


def test_a_selector_turns_changes_into_comings_and_goings() -> None:
    async def story() -> None:
        async with Server() as server:
            path = f"{MAPS}?labelSelector=color%3Dred&resourceVersion={server.store.revision}"
            async with server.watch(path) as watch:
                await server.post(MAPS, config_map("a", {"color": "blue"}))
                await server.patch(f"{MAPS}/a", {"metadata": {"labels": {"color": "red"}}})
                assert (await watch.next())["type"] == "ADDED"
                await server.patch(f"{MAPS}/a", {"data": {"k": "v"}})
                assert (await watch.next())["type"] == "MODIFIED"
                left = await server.patch(f"{MAPS}/a", {"metadata": {"labels": {"color": "green"}}})
                gone = await watch.next()
                assert gone["type"] == "DELETED"
                assert gone["object"]["metadata"]["labels"] == {"color": "red"}
                assert (
                    gone["object"]["metadata"]["resourceVersion"]
                    == left.tree["metadata"]["resourceVersion"]
                )
                await server.patch(f"{MAPS}/a", {"data": {"k": "w"}})
                assert await watch.quiet()
                await server.delete(f"{MAPS}/a")
                assert await watch.quiet()

    asyncio.run(story())


def test_initial_events_end_with_a_marked_bookmark() -> None:
    async def story() -> None:
        async with Server() as server:
            await server.post(MAPS, config_map("a"))
            await server.post(MAPS, config_map("b"))
            async with server.watch(f"{MAPS}?{INITIAL}") as watch:
                names = [(await watch.next())["object"]["metadata"]["name"] for _ in range(2)]
                assert names == ["a", "b"]
                mark = await watch.next()
                assert mark["type"] == "BOOKMARK"
                meta = mark["object"]["metadata"]
                assert meta["annotations"] == {"k8s.io/initial-events-end": "true"}
                assert int(meta["resourceVersion"]) == server.store.revision
                assert mark["object"]["kind"] == "ConfigMap"
                await server.post(MAPS, config_map("c"))
                assert (await watch.next())["object"]["metadata"]["name"] == "c"

    asyncio.run(story())


def test_without_a_revision_the_present_comes_first() -> None:
    async def story() -> None:
        async with Server() as server:
            await server.post(MAPS, config_map("a"))
            for query in ("", "resourceVersion=0&"):
                async with server.watch(f"{MAPS}?{query}timeoutSeconds=5") as watch:
                    event = await watch.next()
                    assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "a")
                    assert await watch.quiet()

    asyncio.run(story())


def test_one_object_by_name_and_all_namespaces() -> None:
    async def story() -> None:
        async with Server() as server:
            revision = server.store.revision
            named = f"{MAPS}?fieldSelector=metadata.name%3Db&resourceVersion={revision}"
            everywhere = f"/api/v1/configmaps?resourceVersion={revision}"
            async with server.watch(named) as one, server.watch(everywhere) as all_of_them:
                await server.post(MAPS, config_map("a"))
                await server.post(MAPS, config_map("b"))
                elsewhere = "/api/v1/namespaces/kube-system/configmaps"
                await server.post(elsewhere, config_map("b"))
                assert (await one.next())["object"]["metadata"]["namespace"] == "default"
                assert await one.quiet()
                seen = [(await all_of_them.next())["object"]["metadata"] for _ in range(3)]
                assert [(m["namespace"], m["name"]) for m in seen] == [
                    ("default", "a"), ("default", "b"), ("kube-system", "b"),
                ]  # fmt: skip

    asyncio.run(story())


def test_pods_of_a_node_appear_when_they_are_bound() -> None:
    async def story() -> None:
        async with Server() as server:
            path = f"/api/v1/pods?fieldSelector=spec.nodeName%3Dn1&resourceVersion={server.store.revision}"
            async with server.watch(path) as watch:
                await server.post(PODS, pod("a"))
                assert await watch.quiet()
                await server.post(f"{PODS}/a/binding", {"target": {"kind": "Node", "name": "n1"}})
                assert (await watch.next())["type"] == "ADDED"

    asyncio.run(story())


def test_bookmarks_say_how_far_the_watch_has_come(virtual) -> None:
    async def story() -> None:
        async with Server() as server:
            path = f"{MAPS}?allowWatchBookmarks=true&resourceVersion={server.store.revision}"
            response = await server.raw("GET", f"{path}&watch=1&timeoutSeconds=90")
            await server.post(PODS, pod("elsewhere"))
            lines = [line async for line in response.chunks]
            assert len(lines) == 1
            assert b'"type":"BOOKMARK"' in lines[0]
            assert b'"resourceVersion":"%d"' % server.store.revision in lines[0]

    virtual(story())


def test_a_watch_ends_when_its_time_is_up(virtual) -> None:
    async def story() -> None:
        async with Server() as server:
            loop = asyncio.get_running_loop()
            start = loop.time()
            path = f"{MAPS}?watch=1&timeoutSeconds=30&resourceVersion={server.store.revision}"
            response = await server.raw("GET", path)
            assert [line async for line in response.chunks] == []
            assert 29 < loop.time() - start < 31

    virtual(story())


def test_too_old_a_revision_is_an_error_event() -> None:
    async def story() -> None:
        async with Server() as server:
            for number in range(3):
                await server.post(MAPS, config_map(f"m{number}"))
            await server.store.compact(server.store.revision)
            for collection in server.store._collections.values():
                collection.floor = server.store.revision
                collection._batches.clear()
            async with server.watch(f"{MAPS}?resourceVersion=2") as watch:
                event = await watch.next()
                assert event["type"] == "ERROR"
                assert (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")

    asyncio.run(story())


@pytest.mark.parametrize(
    ("query", "status", "text"),
    [
        ("sendInitialEvents=true", 422, "sendInitialEvents requires setting resourceVersionMatch"),
        ("resourceVersionMatch=NotOlderThan", 422, "forbidden for watch unless sendInitialEvents"),
        ("resourceVersion=x", 400, "strconv.ParseUint"),
        ("resourceVersion=999999", 504, "Too large resource version"),
        ("timeoutSeconds=x", 400, "strconv.ParseInt"),
    ],
)
def test_nonsense_is_refused(query: str, status: int, text: str) -> None:
    async def story() -> None:
        async with Server() as server:
            answer = await server.get(f"{MAPS}?watch=true&{query}")
            assert answer.status == status
            assert text in answer.message

    asyncio.run(story())


def test_tables_and_metadata_in_a_watch() -> None:
    async def story() -> None:
        async with Server() as server:
            await server.post(MAPS, config_map("a"))
            table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
            async with server.watch(f"{MAPS}?{INITIAL}", accept=table) as watch:
                first = (await watch.next())["object"]
                assert first["kind"] == "Table"
                assert first["columnDefinitions"]
                assert first["rows"][0]["cells"][0] == "a"
                mark = await watch.next()
                assert mark["type"] == "BOOKMARK"
                row = mark["object"]["rows"][0]
                assert row["object"]["metadata"]["annotations"] == {
                    "k8s.io/initial-events-end": "true"
                }
                await server.patch(f"{MAPS}/a", {"data": {"k": "v"}}, MERGE)
                later = (await watch.next())["object"]
                assert later["columnDefinitions"] is None
            metadata = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
            async with server.watch(f"{MAPS}?{INITIAL}", accept=metadata) as watch:
                one = (await watch.next())["object"]
                assert set(one) == {"kind", "apiVersion", "metadata"}
                assert (await watch.next())["object"]["kind"] == "PartialObjectMetadata"

    asyncio.run(story())


def test_a_client_that_leaves_takes_its_watcher_along() -> None:
    async def story() -> None:
        async with Server() as server:
            response = await server.raw("GET", f"{MAPS}?watch=1&timeoutSeconds=60")
            assert isinstance(response, StreamResponse)
            task = asyncio.ensure_future(anext(response.chunks))
            await asyncio.sleep(0)
            collection = server.store.collection("/registry/configmaps/")
            assert collection.statistics()["watchers"] == 1
            task.cancel()
            await asyncio.wait([task])
            await response.chunks.aclose()
            assert collection.statistics()["watchers"] == 0

    asyncio.run(story())
