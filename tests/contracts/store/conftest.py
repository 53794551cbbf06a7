"""Runs each test of the contract against every engine, on the event loops that matter."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Protocol

import pytest
import uvloop
from tests.contracts.store.etcd_fixture import Spare

from kybern.store.encryption.ciphers import AesGcm
from kybern.store.encryption.engine import EncryptingEngine
from kybern.store.encryption.rules import Resource, Rules
from kybern.store.kv.etcd.engine import EtcdEngine
from kybern.store.kv.memory import MemoryEngine
from kybern.store.kv.shifted import ShiftedEngine
from kybern.store.kv.sqlite import SqliteEngine
from kybern.store.objects import Store

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from kybern.store.kv.interface import Engine


class Contract(Protocol):
    """Runs a test's body with an open engine, or a store on one."""

    shared: bool

    def engine(self, body: Callable[[Any], Awaitable[None]]) -> None: ...

    def store(self, body: Callable[[Store], Awaitable[None]]) -> None: ...


class OneEngine:
    def __init__(self, open_: Callable[[], Awaitable[Engine]], name: str) -> None:
        self.shared = name.startswith("etcd")
        self._open = open_
        self._factory = None if name == "sqlite" else uvloop.new_event_loop

    def engine(self, body: Callable[[Any], Awaitable[None]]) -> None:
        async def main() -> None:
            engine = await self._open()
            try:
                async with asyncio.timeout(20):
                    await body(engine)
            finally:
                await engine.close()

        with asyncio.Runner(loop_factory=self._factory) as runner:
            runner.run(main())

    def store(self, body: Callable[[Store], Awaitable[None]]) -> None:
        async def with_store(engine: Engine) -> None:
            store = Store(engine)
            await body(store)
            await store.close()

        self.engine(with_store)


@contextlib.contextmanager
def _contract(name: str, path: Path, spare: Spare) -> Iterator[Contract]:
    """Make an engine's contract; each test has an etcd of its own, which counts from 1."""
    if name == "etcd":
        with spare.etcd() as members:
            yield OneEngine(lambda: EtcdEngine.open(members.address, inside="/"), name)
        return

    async def open_() -> Engine:
        if name == "memory":
            return MemoryEngine()
        if name == "shifted":
            return ShiftedEngine(MemoryEngine(first=1 - 1000), 1000)
        if name == "encrypted":
            everything = Rules({Resource("*", "*"): (AesGcm("key", bytes(32)),)})
            return EncryptingEngine(MemoryEngine(), everything)
        return await SqliteEngine.open(path / "store.db")

    yield OneEngine(open_, name)


@pytest.fixture(scope="session")
def spare() -> Iterator[Spare]:
    spare = Spare()
    yield spare
    spare.close()


@pytest.fixture(params=["memory", "encrypted", "shifted", "sqlite", "sqlite-uvloop", "etcd"])
def contract(request: pytest.FixtureRequest, tmp_path: Path, spare: Spare) -> Iterator[Contract]:
    with _contract(request.param, tmp_path, spare) as contract:
        yield contract


@pytest.fixture(params=["sqlite", "etcd"])
def persistent(request: pytest.FixtureRequest, tmp_path: Path, spare: Spare) -> Iterator[Contract]:
    """Only the engines that survive; calling it again opens the same data."""
    with _contract(request.param, tmp_path, spare) as contract:
        yield contract
