"""Watches: which events come, in which order, from which revision."""

from __future__ import annotations

import asyncio
import random

from tests.conformance.marks import conforms
from tests.conformance.wire import version
from tests.conformance.world import World, world

LABEL = "watch-this-configmap"


def config_map(name: str, label: str, **data: str) -> dict:
    return {"metadata": {"name": name, "labels": {LABEL: label}}, "data": data}


@conforms(
    "[sig-api-machinery] Watchers should observe add, update, and delete watch notifications on"
    " configmaps [Conformance]"
)
@world()
async def test_each_watcher_sees_what_its_selector_selects(w: World) -> None:
    maps = w.resource("v1", "configmaps", await w.namespace())
    async with (
        await maps.watch(f"{LABEL}=A") as a,
        await maps.watch(f"{LABEL}=B") as b,
        await maps.watch(f"{LABEL} in (A,B)") as both,
    ):
        made = await maps.create(config_map("a", "A"))
        assert await a.expect("ADDED") == [made]
        assert await both.expect("ADDED") == [made]
        for number in ("1", "2"):
            made["data"] = {"mutation": number}
            made = await maps.update(made)
            assert await a.expect("MODIFIED") == [made]
            assert await both.expect("MODIFIED") == [made]
        await maps.delete("a")
        (gone,) = await a.expect("DELETED")
        assert await both.expect("DELETED") == [gone]
        assert version(gone) > version(made)
        assert gone["data"] == made["data"]
        await b.quiet()

        made = await maps.create(config_map("b", "B"))
        assert await b.expect("ADDED") == [made]
        assert await both.expect("ADDED") == [made]
        await maps.delete("b")
        assert await b.expect("DELETED") == await both.expect("DELETED")
        await a.quiet()
        await both.quiet()


@conforms(
    "[sig-api-machinery] Watchers should be able to start watching from a specific resource version"
    " [Conformance]"
)
@world()
async def test_watching_from_a_revision_of_the_past(w: World) -> None:
    maps = w.resource("v1", "configmaps", await w.namespace())
    made = await maps.create(config_map("c", "from-version"))
    first = await maps.update({**made, "data": {"mutation": "1"}})
    second = await maps.update({**first, "data": {"mutation": "2"}})
    await maps.delete("c")
    since = first["metadata"]["resourceVersion"]
    async with await maps.watch(f"{LABEL}=from-version", since=since) as watch:
        changed, gone = await watch.expect("MODIFIED", "DELETED")
        assert changed == second
        assert gone["data"] == {"mutation": "2"}
        assert version(gone) > version(second)
        await watch.quiet()


@conforms(
    "[sig-api-machinery] Watchers should be able to restart watching from the last resource version"
    " observed by the previous watch [Conformance]"
)
@world()
async def test_watching_goes_on_where_it_ended(w: World) -> None:
    maps = w.resource("v1", "configmaps", await w.namespace())
    selector = f"{LABEL}=closed-and-restarted"
    async with await maps.watch(selector) as watch:
        made = await maps.create(config_map("c", "closed-and-restarted"))
        first = await maps.update({**made, "data": {"mutation": "1"}})
        assert await watch.expect("ADDED", "MODIFIED") == [made, first]
    second = await maps.update({**first, "data": {"mutation": "2"}})
    since = first["metadata"]["resourceVersion"]
    async with await maps.watch(selector, since=since) as watch:
        assert await watch.expect("MODIFIED") == [second]
        await maps.delete("c")
        (gone,) = await watch.expect("DELETED")
    # a deleted object carries the revision of its deletion: nothing comes twice
    async with await maps.watch(selector, since=gone["metadata"]["resourceVersion"]) as watch:
        await watch.quiet()


@conforms(
    "[sig-api-machinery] Watchers should observe an object deletion if it stops meeting the"
    " requirements of the selector [Conformance]"
)
@world()
async def test_leaving_a_selection_looks_like_a_deletion(w: World) -> None:
    maps = w.resource("v1", "configmaps", await w.namespace())
    async with await maps.watch(f"{LABEL}=label-changed-and-restored") as watch:
        made = await maps.create(config_map("c", "label-changed-and-restored"))
        first = await maps.update({**made, "data": {"mutation": "1"}})
        first["metadata"]["labels"][LABEL] = "wrong"
        out = await maps.update(first)
        added, changed, gone = await watch.expect("ADDED", "MODIFIED", "DELETED")
        assert (added, changed["data"]) == (made, {"mutation": "1"})
        # the event shows what was selected last, at the revision of what came after it
        assert gone["metadata"]["labels"][LABEL] == "label-changed-and-restored"
        assert gone["metadata"]["resourceVersion"] == out["metadata"]["resourceVersion"]
        second = await maps.update({**out, "data": {"mutation": "2"}})
        await watch.quiet()
        second["metadata"]["labels"][LABEL] = "label-changed-and-restored"
        back = await maps.update(second)
        third = await maps.update({**back, "data": {"mutation": "3"}})
        await maps.delete("c")
        added, changed, gone = await watch.expect("ADDED", "MODIFIED", "DELETED")
        assert (added, changed) == (back, third)
        assert gone["data"] == {"mutation": "3"}


@conforms(
    "[sig-api-machinery] Watchers should receive events on concurrent watches in same order"
    " [Conformance]"
)
@world()
async def test_all_watches_see_the_same_order(w: World) -> None:
    maps = w.resource("v1", "configmaps", await w.namespace())
    stop = asyncio.Event()

    async def write() -> None:
        """Create, change and delete what there is by turns, every few milliseconds."""
        rng, there, number = random.Random(7), [], 0
        while not stop.is_set():
            action = rng.choice(("create", "update", "delete"))
            if action == "create" or not there:
                name = f"c-{number}"
                await maps.create({"metadata": {"name": name}, "data": {}})
                there.append(name)
            elif action == "update":
                name = rng.choice(there)
                await maps.update({"metadata": {"name": name}, "data": {"n": str(number)}})
            else:
                await maps.delete(there.pop(rng.randrange(len(there))))
            number += 1
            await asyncio.sleep(0.005)

    since = (await maps.list())["metadata"]["resourceVersion"]
    writing = asyncio.create_task(write())
    watches = [await maps.watch(since=since)]
    try:
        for _ in range(100):
            _, obj = await watches[0].next()
            since = obj["metadata"]["resourceVersion"]
            for other in watches[1:]:
                _, same = await other.next()
                assert same == obj
            watches.append(await maps.watch(since=since))
    finally:
        stop.set()
        await writing
        for watch in watches:
            await watch.close()
