"""Answers are never older than the question."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.apiserver.harness import DEFAULT, Server, config_map

from kybern.store.kv.memory import MemoryEngine
from kybern.store.objects import Store

MAPS = f"{DEFAULT}/configmaps"


class SharedEngine(MemoryEngine):
    """Says that others write too, and counts who wants to know."""

    shared = True

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    async def current(self) -> int:
        self.asked += 1
        return await super().current()


@pytest.mark.parametrize(
    ("target", "asks"),
    [
        (f"{MAPS}/a", 1),
        (MAPS, 1),
        (f"{MAPS}?resourceVersion=", 1),
        (f"{MAPS}?limit=1", 1),
        (f"{MAPS}?resourceVersion=0", 0),
        (f"{MAPS}/a?resourceVersion=0", 0),
        (f"{MAPS}?resourceVersion=3", 0),
        (f"{MAPS}?resourceVersion=3&resourceVersionMatch=NotOlderThan", 0),
        (f"{MAPS}?resourceVersion=1000000", 1),
        (f"{MAPS}?resourceVersion={'9' * 5000}", 1),
        (f"{MAPS}?resourceVersion=x", 1),
        (f"{MAPS}?resourceVersion=0&continue=x", 1),
        (f"{MAPS}?watch=true&timeoutSeconds=1", 1),
        (f"{MAPS}?watch=true&timeoutSeconds=1&resourceVersion=0", 0),
        (f"{MAPS}?watch=true&timeoutSeconds=1&resourceVersion=3", 0),
        (f"{MAPS}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan", 1),
        ("/api/v1", 0),
        ("/healthz", 0),
    ],
)
def test_who_has_to_be_fresh(target: str, asks: int) -> None:
    async def story() -> None:
        engine = SharedEngine()
        async with Server(store=Store(engine)) as server:
            await server.post(MAPS, config_map("a"))
            before = engine.asked
            await server.raw("GET", target)
            assert engine.asked - before == asks

    asyncio.run(story())


def test_every_change_is_judged_on_fresh_data() -> None:
    async def story() -> None:
        engine = SharedEngine()
        async with Server(store=Store(engine)) as server:
            for change in (
                server.post(MAPS, config_map("a")),
                server.put(f"{MAPS}/a", config_map("a")),
                server.delete(f"{MAPS}/a"),
            ):
                before = engine.asked
                await change
                assert engine.asked == before + 1

    asyncio.run(story())


def test_a_store_of_our_own_is_never_asked() -> None:
    async def story() -> None:
        async with Server() as server:
            names = {type(enter.__self__).__name__ for enter in server.api._enter}
            assert "RequestInfo" in names
            assert "Freshness" not in names

    asyncio.run(story())
