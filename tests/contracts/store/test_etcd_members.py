"""An etcd of three members with TLS: it loses one, and nothing that was answered."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import uvloop
from tests.contracts.store.etcd_fixture import Member, Members, etcd
from tests.contracts.store.test_store_shared import pod, run, store_on

from kybern.store.interface import KeyExists, Mismatch, StoreFailed
from kybern.store.kv.etcd.engine import EtcdEngine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kybern.store.objects import Store

PODS = "/registry/pods/"
WRITERS = 16


@pytest.fixture(scope="module")
def members() -> Iterator[Members]:
    """One etcd for all of this file; each test leaves it whole."""
    with etcd(3, tls=True) as members:
        yield members


@pytest.fixture
def whole(members: Members) -> Iterator[Members]:
    yield members
    for member in members.members:
        if member.process is not None:
            member.signal(signal.SIGCONT)
    members.start()


async def leader(members: Members) -> int:
    """Return the number of the member that leads."""
    for number, name in enumerate(members.address.members):
        engine = await EtcdEngine.open(replace(members.address, members=(name,)))
        try:
            status = await engine.status()
            if status.leader == status.header.member_id:
                return number
        finally:
            await engine.close()
    raise AssertionError("nobody leads")


class Writing:
    """Writers that go on whatever happens, and remember what they were told."""

    def __init__(self, store: Store, name: str) -> None:
        self.store = store
        self.prefix = f"{PODS}{name}/"
        self.answered: dict[str, int] = {}
        self.unknown: set[str] = set()
        self.failures = 0
        self.enough = asyncio.Event()

    async def write(self, worker: int) -> None:
        number = 0
        while not self.enough.is_set():
            key = f"{self.prefix}{worker}-{number}"
            number += 1
            try:
                self.answered[key] = (await self.store.create(key, pod())).revision
            except StoreFailed:
                self.failures += 1
                self.unknown.add(key)

    async def more(self, count: int) -> None:
        """Wait until that many more were answered."""
        until = len(self.answered) + count
        while len(self.answered) < until:
            await asyncio.sleep(0.01)

    def check(self, store: Store) -> None:
        there = {entry.key: entry.revision for entry in store.list(self.prefix).entries}
        assert {key: there.get(key) for key in self.answered} == self.answered
        assert there.keys() - self.answered.keys() <= self.unknown


def while_writing(members: Members, name: str, fault) -> None:
    """Let writers and a watcher meet with a fault; then everything must agree."""

    async def story() -> None:
        async with store_on(members.address) as store:
            writing = Writing(store, name)
            watcher = store.watch(writing.prefix, store.revision, buffer=1_000_000)
            async with asyncio.TaskGroup() as group:
                for worker in range(WRITERS):
                    group.create_task(writing.write(worker))
                await writing.more(200)
                await fault(store)
                await writing.more(200)
                writing.enough.set()
            await store.fresh()
            writing.check(store)
            seen: dict[str, int] = {}
            while batch := watcher.take():
                for event in batch:
                    assert event.type == "ADDED"
                    assert event.entry.key not in seen
                    assert event.revision > max(seen.values(), default=0)
                    seen[event.entry.key] = event.revision
            assert seen == {e.key: e.revision for e in store.list(writing.prefix).entries}
            async with store_on(members.address) as again:
                writing.check(again)

    run(story())


def test_the_leader_is_killed(whole, monkeypatch):
    monkeypatch.setattr("kybern.store.kv.etcd.connection.CALL_SECONDS", 2.0)

    async def fault(store):
        number = await leader(whole)
        # We speak to the one that dies.
        while store._engine._connection.member != number:
            store._engine._connection.leave(store._engine._connection.member)
        whole.members[number].kill()

    while_writing(whole, "killed", fault)


def test_our_member_hangs_without_the_others(whole, monkeypatch):
    monkeypatch.setattr("kybern.store.kv.etcd.connection.CALL_SECONDS", 1.0)

    async def fault(store):
        member: Member = whole.members[store._engine._connection.member]
        member.signal(signal.SIGSTOP)

    while_writing(whole, "hung", fault)


def test_without_a_majority_nothing_is_answered_and_after_it_all_goes_on(whole, monkeypatch):
    monkeypatch.setattr("kybern.store.kv.etcd.connection.CALL_SECONDS", 1.0)
    monkeypatch.setattr("kybern.store.kv.etcd.connection.PATIENCE", 1.0)

    async def story():
        async with store_on(whole.address) as store:
            entry = await store.create(f"{PODS}majority/x", pod())
            for member in whole.members[1:]:
                member.kill()
            with pytest.raises(StoreFailed):
                await store.fresh()
            with pytest.raises(StoreFailed):
                await store.update(entry.key, pod("y"), entry)
            assert store.get(entry.key) is entry
            await asyncio.to_thread(whole.start)
            monkeypatch.undo()
            await store.fresh()
            # What was not answered happened once or not at all.
            current = store.get(entry.key)
            assert (current is entry) == (current.data == pod())
            with contextlib.suppress(Mismatch):
                await store.update(entry.key, pod("z"), entry)
            assert store.get(entry.key).data in (pod("y"), pod("z"))

    run(story())


def test_a_stranger_is_refused(members, monkeypatch):
    monkeypatch.setattr("kybern.store.kv.etcd.connection.PATIENCE", 0.2)

    async def story():
        address = members.address
        for wrong, said in (
            (replace(address, certfile=None, keyfile=None), "--etcd-certfile"),
            (replace(address, cafile=address.certfile), "--etcd-cafile"),
        ):
            with pytest.raises(StoreFailed, match=said):
                await EtcdEngine.open(wrong)
        with pytest.raises(StoreFailed, match="cannot read"):
            await EtcdEngine.open(replace(address, cafile=members.directory / "none"))

    uvloop.run(story())


def test_two_stores_by_different_members_agree(members):
    async def story():
        names = members.address.members
        async with (
            store_on(replace(members.address, members=(names[0],))) as one,
            store_on(replace(members.address, members=(names[1],))) as other,
        ):
            for number in range(30):
                writer, reader = (one, other) if number % 2 else (other, one)
                entry = await writer.create(f"{PODS}agree/{number}", pod(str(number)))
                await reader.fresh()
                assert reader.get(entry.key).revision == entry.revision
                with pytest.raises(KeyExists):
                    await reader.create(entry.key, pod())

    run(story())
