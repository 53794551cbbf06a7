"""Runs each test of the contract against every engine, on the event loops that matter."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

import pytest
import uvloop

from kybern.store.kv.memory import MemoryEngine
from kybern.store.kv.sqlite import SqliteEngine
from kybern.store.objects import Store

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from kybern.store.kv.interface import Engine


class Contract(Protocol):
    """Runs a test's body with an open engine, or a store on one."""

    persistent: bool

    def engine(self, body: Callable[[Any], Awaitable[None]]) -> None: ...

    def store(self, body: Callable[[Store], Awaitable[None]]) -> None: ...


class _Contract:
    def __init__(self, name: str, path: Path) -> None:
        kind, _, self._loop = name.partition("-")
        self.persistent = kind == "sqlite"
        self._path = path / "store.db"

    async def _open(self) -> Engine:
        return await SqliteEngine.open(self._path) if self.persistent else MemoryEngine()

    def engine(self, body: Callable[[Any], Awaitable[None]]) -> None:
        async def main() -> None:
            engine = await self._open()
            try:
                async with asyncio.timeout(20):
                    await body(engine)
            finally:
                await engine.close()

        factory = uvloop.new_event_loop if self._loop else None
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(main())

    def store(self, body: Callable[[Store], Awaitable[None]]) -> None:
        async def with_store(engine: Engine) -> None:
            store = Store(engine)
            await body(store)
            await store.close()

        self.engine(with_store)


@pytest.fixture(params=["memory", "sqlite", "sqlite-uvloop"])
def contract(request: pytest.FixtureRequest, tmp_path: Path) -> Contract:
    return _Contract(request.param, tmp_path)


@pytest.fixture(params=["sqlite"])
def persistent(request: pytest.FixtureRequest, tmp_path: Path) -> Contract:
    """Only the engines that survive; calling it again opens the same data."""
    return _Contract(request.param, tmp_path)
