"""Watches: which events come, in which order, from which revision."""

from __future__ import annotations

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
