"""Several stores over one etcd: what each sees of the others, and of what goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from typing import TYPE_CHECKING

import pytest
import uvloop
from tests.contracts.store.etcd_fixture import Members, etcd
from tests.contracts.store.link import Link

from kybern.lib.clock import SYSTEM
from kybern.store.interface import (
    Compacted,
    Corrupt,
    FutureRevision,
    KeyExists,
    Mismatch,
    StoreFailed,
)
from kybern.store.kv.etcd import messages as m
from kybern.store.kv.etcd import pages
from kybern.store.kv.etcd.connection import Connection
from kybern.store.kv.etcd.engine import EtcdEngine
from kybern.store.objects import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from kybern.store.kv.etcd.address import Address

PODS = "/registry/pods/"
FALLBACK = 30.0  # nothing here waits for time; what hangs is to end


def pod(name="x"):
    tree = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name}}
    return json.dumps(tree, separators=(",", ":")).encode()


@pytest.fixture(scope="module")
def members() -> Iterator[Members]:
    """One etcd for all of this file: its tests use keys of their own."""
    with etcd() as members:
        yield members


@contextlib.asynccontextmanager
async def store_on(address: Address) -> AsyncIterator[Store]:
    store = Store(await EtcdEngine.open(address))
    try:
        yield store
    finally:
        await store.close()


@contextlib.asynccontextmanager
async def two_on(address: Address) -> AsyncIterator[tuple[Store, Store]]:
    async with store_on(address) as one, store_on(address) as other:
        yield one, other


def run(story) -> None:
    async def bounded():
        async with asyncio.timeout(FALLBACK):
            await story

    uvloop.run(bounded())


async def put(address: Address, key: bytes, value: bytes) -> None:
    """Write as somebody else would."""
    connection = Connection(address, SYSTEM)
    operation = m.Operation(put=m.PutRequest(key, value))
    await connection.call(m.TXN, m.TxnRequest([], [operation], []))
    await connection.close()


async def stored(address: Address, key: bytes) -> bytes | None:
    connection = Connection(address, SYSTEM)
    found = await pages.read(connection, key, key + b"\0", lambda kv: kv.value)
    await connection.close()
    return found.made[0] if found.made else None


class TestNeighbours:
    def test_fresh_sees_what_a_neighbour_was_answered(self, members):
        async def story():
            async with two_on(members.address) as stores:

                async def turn(worker):
                    for number in range(40):
                        mine, theirs = stores[number % 2], stores[(number + 1) % 2]
                        key = f"{PODS}turns/{worker}"
                        entry = mine.get(key)
                        if entry is None:
                            await mine.create(key, pod("0"))
                        else:
                            await mine.update(key, pod(str(number)), entry)
                        await theirs.fresh()
                        assert theirs.get(key).data == pod(str(number))

                async with asyncio.TaskGroup() as group:
                    for worker in range(8):
                        group.create_task(turn(worker))
                await stores[0].fresh()
                await stores[1].fresh()
                one, other = (
                    [(e.key, e.revision, e.created, e.data) for e in store.list(PODS).entries]
                    for store in stores
                )
                assert one == other

        run(story())

    def test_both_watch_the_same_events(self, members):
        async def story():
            async with two_on(members.address) as (one, other):
                watchers = [store.watch(f"{PODS}same/", store.revision) for store in (one, other)]

                async def write(store, name):
                    for number in range(20):
                        entry = await store.create(f"{PODS}same/{name}{number}", pod())
                        entry = await store.update(entry.key, pod("y"), entry)
                        await store.delete(entry.key, entry)

                async with asyncio.TaskGroup() as group:
                    for name in "abc":
                        group.create_task(write(one, f"one-{name}"))
                        group.create_task(write(other, f"other-{name}"))
                seen = []
                for watcher in watchers:
                    events = []
                    while len(events) < 6 * 20 * 3:
                        events += await anext(watcher)
                    seen.append([(e.type, e.entry.key, e.revision, e.entry.data) for e in events])
                assert seen[0] == seen[1]
                revisions = [revision for _, _, revision, _ in seen[0]]
                assert revisions == sorted(set(revisions))

        run(story())

    def test_what_stands_in_the_way_can_be_read(self, members):
        async def story():
            async with two_on(members.address) as (one, other):
                for number in range(20):
                    key = f"{PODS}way/{number}"
                    first = await one.create(key, pod("a"))
                    with pytest.raises(KeyExists) as exists:
                        await other.create(key, pod("b"))
                    assert other.get(key) is exists.value.current
                    seen = other.get(key)
                    second = await one.update(key, pod("c"), first)
                    with pytest.raises(Mismatch) as changed:
                        await other.update(key, pod("d"), seen)
                    assert changed.value.current.revision == second.revision
                    assert other.get(key) is changed.value.current
                    await one.delete(key, second)
                    with pytest.raises(Mismatch) as gone:
                        await other.delete(key, changed.value.current)
                    assert gone.value.current is None
                    assert other.get(key) is None

        run(story())

    def test_increments_from_both_sides_are_all_there(self, members):
        async def story():
            async with two_on(members.address) as stores:
                key = f"{PODS}sum/x"
                await stores[0].create(key, pod("0"))
                await stores[1].fresh()

                async def add(store):
                    for _ in range(15):
                        while True:
                            entry = store.get(key)
                            number = int(json.loads(entry.data)["metadata"]["name"]) + 1
                            try:
                                await store.update(key, pod(str(number)), entry)
                            except Mismatch:
                                continue
                            break

                async with asyncio.TaskGroup() as group:
                    for store in stores * 4:
                        group.create_task(add(store))
                await stores[0].fresh()
                assert stores[0].get(key).data == pod(str(8 * 15))

        run(story())

    def test_fresh_does_not_wait_for_writes_elsewhere(self, members):
        async def story():
            async with store_on(members.address) as store:
                for number in range(5):
                    before = store.revision
                    await put(members.address, b"/elsewhere/x", b"%d" % number)
                    await store.fresh()
                    assert store.revision > before
                assert store.list("/").entries == store.list("/registry/").entries

        run(story())

    def test_a_thousand_readers_ask_once_or_twice(self, members):
        async def story():
            async with store_on(members.address) as store:
                connection = store._engine._connection
                calls, ask = 0, connection.call

                async def counted(*args, **more):
                    nonlocal calls
                    calls += 1
                    return await ask(*args, **more)

                connection.call = counted
                async with asyncio.TaskGroup() as group:
                    for _ in range(1000):
                        group.create_task(store.fresh())
                assert calls <= 2

        run(story())

    def test_what_expires_is_gone_everywhere(self, members):
        async def story():
            async with two_on(members.address) as (one, other):
                watchers = [store.watch(f"{PODS}short/", store.revision) for store in (one, other)]
                entry = await one.create(f"{PODS}short/x", pod(), ttl=1)
                long = await one.create(f"{PODS}short/y", pod(), ttl=3600)
                assert one.get(long.key).expires > SYSTEM.now() + 3500
                for store, watcher in zip((one, other), watchers, strict=True):
                    events = []
                    while len(events) < 3:
                        events += await anext(watcher)
                    assert [e.type for e in events] == ["ADDED", "ADDED", "DELETED"]
                    assert events[2].entry.data == pod()
                    assert store.get(entry.key) is None
                    assert store.get(long.key) is not None
                async with store_on(members.address) as third:
                    assert third.get(long.key).expires == pytest.approx(long.expires, abs=120)

        run(story())


class TestLayout:
    def test_keys_and_values_are_upstreams(self, members):
        async def story():
            async with store_on(members.address) as store:
                entry = await store.create(f"{PODS}ns/x", pod())
                key = b"/registry/pods/ns/x"
                assert await stored(members.address, key) == pod() + b"\n"
                await store.update(entry.key, b'{"metadata":{"name":"y"}}', entry)
                assert await stored(members.address, key) == b'{"metadata":{"name":"y"}}\n'

        run(story())

    def test_what_upstream_wrote_is_read(self, members):
        async def story():
            async with store_on(members.address) as store:
                await put(members.address, b"/registry/pods/ns/up", pod("up") + b"\n")
                await store.fresh()
                entry = store.get(f"{PODS}ns/up")
                assert entry.data == pod("up")
                assert b"\n" not in entry.wire
                await store.update(entry.key, pod("ours"), entry)
            async with store_on(members.address) as store:
                assert store.get(f"{PODS}ns/up").data == pod("ours")

        run(story())

    def test_another_prefix_is_another_store(self, members):
        async def story():
            address = members.address
            from dataclasses import replace

            async with store_on(replace(address, prefix="/other")) as other:
                await other.create(f"{PODS}ns/only", pod())
                assert await stored(address, b"/other/pods/ns/only") == pod() + b"\n"
                assert [e.key for e in other.list("/registry/").entries] == [f"{PODS}ns/only"]
                async with store_on(address) as store:
                    assert store.get(f"{PODS}ns/only") is None

        run(story())

    def test_protobuf_is_refused_with_the_flag_that_helps(self, members):
        async def story():
            from dataclasses import replace

            address = replace(members.address, prefix="/proto")
            async with store_on(address) as store:
                await put(address, b"/proto/pods/ns/p", b"k8s\0\n\x09")
                await store.fresh()
                with pytest.raises(Corrupt, match="--storage-media-type=application/json"):
                    _ = store.get(f"{PODS}ns/p").wire
            with pytest.raises(Corrupt, match="/registry/pods/ns/p .*--storage-media-type"):
                await EtcdEngine.open(address)

        run(story())

    def test_keys_of_several_writes_at_once_are_told_together(self, members):
        async def story():
            async with store_on(members.address) as store:
                watcher = store.watch(f"{PODS}txn/", store.revision)
                connection = Connection(members.address, SYSTEM)
                puts = [
                    m.Operation(put=m.PutRequest(b"/registry/pods/txn/%d" % n, pod()))
                    for n in range(3)
                ]
                await connection.call(m.TXN, m.TxnRequest([], puts, []))
                await connection.close()
                events = await anext(watcher)
                assert [e.entry.key[-1] for e in events] == ["0", "1", "2"]
                assert len({e.revision for e in events}) == 1
                page = await store._engine.history(
                    f"{PODS}txn/", events[0].revision - 1, store.revision, limit=1
                )
                assert len(page.events) == 3

        run(story())

    def test_a_large_snapshot_is_read_in_pages(self, members, monkeypatch):
        async def story():
            monkeypatch.setattr(pages, "AT_ONCE", 7)
            async with store_on(members.address) as store:
                for number in range(30):
                    await store.create(f"{PODS}many/{number:02}", pod())
                past = store.revision
                await store.create(f"{PODS}many/new", pod())
                async with store_on(members.address) as again:
                    assert len(again.list(f"{PODS}many/").entries) == 31
                    listing = await again._engine.list(f"{PODS}many/", limit=20, revision=past)
                    assert (len(listing.entries), listing.remaining) == (20, 10)
                    after = listing.entries[-1].key
                    listing = await again._engine.list(f"{PODS}many/", after, 20, past)
                    assert (len(listing.entries), listing.remaining) == (10, 0)

        run(story())

    def test_a_snapshot_and_how_etcd_is(self, members):
        async def story():
            async with store_on(members.address) as store:
                status = await store._engine.status()
                assert status.version.startswith("3.")
                assert status.leader
                parts = [part async for part in store._engine.snapshot()]
                assert sum(map(len, parts)) >= status.db_size

        run(story())


class TestFaults:
    def test_the_watch_goes_on_where_it_was_cut(self, members):
        async def story():
            async with (
                Link(members.address.members[0]) as link,
                store_on(members.address) as one,
                store_on(link.of(members.address)) as other,
            ):
                watcher = other.watch(f"{PODS}cut/", other.revision)
                for number in range(5):
                    link.cut()
                    await one.create(f"{PODS}cut/{number}", pod())
                    link.mend()
                    assert [e.entry.key[-1] for e in await anext(watcher)] == [str(number)]
                await other.fresh()
                assert other.problem() == ""
                assert (await other.create(f"{PODS}cut/x", pod())).revision == other.revision

        run(story())

    def test_while_cut_off_reads_and_writes_fail_and_the_old_can_be_read(
        self, members, monkeypatch
    ):
        monkeypatch.setattr("kybern.store.kv.etcd.connection.PATIENCE", 0.3)

        async def story():
            async with (
                Link(members.address.members[0]) as link,
                store_on(link.of(members.address)) as store,
            ):
                entry = await store.create(f"{PODS}off/x", pod())
                link.cut()
                with pytest.raises(StoreFailed, match="etcd at 127"):
                    await store.fresh()
                with pytest.raises(StoreFailed, match="etcd at 127"):
                    await store.create(f"{PODS}off/y", pod())
                assert "etcd at 127" in store.problem()
                assert store.get(entry.key) is entry
                link.mend()
                monkeypatch.undo()
                await store.fresh()
                # Nothing of it was sent: the answer was certain, and it can be done now.
                await store.create(f"{PODS}off/y", pod())

        run(story())

    def test_a_write_whose_answer_was_lost_is_not_sent_again(self, members):
        async def story():
            async with (
                Link(members.address.members[0]) as link,
                store_on(members.address) as one,
                store_on(link.of(members.address)) as other,
            ):
                watcher = one.watch(f"{PODS}lost/", one.revision)
                link.answers.clear()
                write = asyncio.create_task(other.create(f"{PODS}lost/x", pod()))
                events = list(await anext(watcher))  # it has happened
                link.cut()
                link.mend()
                with pytest.raises(StoreFailed):
                    await write
                await other.fresh()
                assert other.get(f"{PODS}lost/x").revision == events[0].revision
                await one.create(f"{PODS}lost/end", pod())
                events += await anext(watcher)
                assert [e.entry.key[-1] for e in events] == ["x", "d"]

        run(story())

    def test_what_was_compacted_meanwhile_cuts_watchers_off(self, members):
        async def story():
            async with (
                Link(members.address.members[0]) as link,
                store_on(members.address) as one,
                store_on(link.of(members.address)) as other,
            ):
                same = await other.create(f"{PODS}gap/same", pod())
                gone = await other.create(f"{PODS}gap/gone", pod())
                changed = await other.create(f"{PODS}gap/changed", pod())
                await one.fresh()
                since = other.revision
                watchers = [other.watch(scope, since) for scope in (PODS, f"{PODS}gap/same")]
                link.cut()
                await one.delete(gone.key, gone)
                for number in range(3):
                    current = one.get(changed.key)
                    await one.update(changed.key, pod(str(number)), current)
                await one.create(f"{PODS}gap/new", pod())
                await one.compact(one.revision)
                link.mend()
                for watcher in watchers:
                    with pytest.raises(Compacted) as error:
                        await anext(watcher)
                    assert error.value.oldest == one.revision
                await other.fresh()
                assert other.get(same.key) is same
                here, there = (
                    [(e.key, e.revision, e.data) for e in store.list(PODS).entries]
                    for store in (one, other)
                )
                assert here == there
                with pytest.raises(Compacted):
                    other.watch(PODS, since)
                watcher = other.watch(PODS, other.revision)
                await one.create(f"{PODS}gap/newer", pod())
                assert [e.entry.key for e in await anext(watcher)] == [f"{PODS}gap/newer"]

        run(story())

    def test_a_compaction_by_a_neighbour_is_learned(self, members):
        async def story():
            async with two_on(members.address) as (one, other):
                entry = await one.create(f"{PODS}past/x", pod())
                since = entry.revision
                entry = await one.update(entry.key, pod("y"), entry)
                await one.update(entry.key, pod("z"), entry)
                await one.compact(one.revision)
                await other.fresh()
                with pytest.raises(Compacted) as error:
                    await other._engine.list(PODS, revision=since)
                assert error.value.oldest == one.revision
                with pytest.raises(Compacted):
                    await other._engine.history(PODS, since, other.revision)
                await other.compact(other.revision)
                with pytest.raises(FutureRevision):
                    await other.compact(other.revision + 1)

        run(story())

    def test_an_etcd_that_was_put_back_is_read_again(self):
        async def story(members):
            async with store_on(members.address) as store:
                kept = await store.create(f"{PODS}back/kept", pod())
                members.kill()
                data = members.directory / "m0"
                shutil.copytree(data, members.directory / "copy")
                await asyncio.to_thread(members.start)
                await store.fresh()
                lost = await store.create(f"{PODS}back/lost", pod())
                for _ in range(10):
                    lost = await store.update(lost.key, pod("more"), lost)
                watcher = store.watch(PODS, store.revision)
                members.kill()
                shutil.rmtree(data)
                (members.directory / "copy").rename(data)
                await asyncio.to_thread(members.start)
                with pytest.raises(Compacted):
                    await anext(watcher)
                await store.fresh()
                assert store.revision == kept.revision
                assert store.get(lost.key) is None
                assert store.get(kept.key) is kept
                await store.create(lost.key, pod("anew"))

        with etcd() as members:
            run(story(members))
