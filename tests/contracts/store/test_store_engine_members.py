"""The engine's contract over three members with TLS, of which each test asks another one first.

They are one etcd for all tests: each has a prefix of its own, and counts from where it begins.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.contracts.store.conftest import OneEngine
from tests.contracts.store.etcd_fixture import Members, etcd
from tests.contracts.store.test_store_engine import (  # noqa: F401  # collected here once more
    TestCompaction,
    TestHistory,
    TestListing,
    TestTelling,
    TestWriting,
)

from kybern.store.kv.etcd.engine import EtcdEngine
from kybern.store.kv.shifted import ShiftedEngine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.contracts.store.conftest import Contract

    from kybern.store.kv.interface import Engine

NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def members() -> Iterator[Members]:
    with etcd(3, tls=True) as members:
        yield members


@pytest.fixture
def contract(members: Members) -> Contract:
    number = next(NUMBERS)
    names = members.address.members
    first = number % len(names)
    address = replace(
        members.address, members=names[first:] + names[:first], prefix=f"/test-{number}"
    )

    async def open_() -> Engine:
        engine = await EtcdEngine.open(address, inside="/")
        return ShiftedEngine(engine, 1 - engine.revision)

    return OneEngine(open_, "etcd")
