"""What `Store` promises on every engine: `kybern.store.interface`."""

from __future__ import annotations

import asyncio
import json

import pytest

from kybern.store.interface import (
    Compacted,
    FutureRevision,
    KeyExists,
    Mismatch,
    WatcherTooSlow,
)
from kybern.store.objects import Store
from kybern.store.watch_cache import Window

PODS = "/registry/pods/"


def pod(name="x", **more):
    tree = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name, **more}}
    return json.dumps(tree, separators=(",", ":")).encode()


def names(listing):
    return [entry.key.rpartition("/")[2] for entry in listing.entries]


async def collect(watcher, count):
    """Read that many events."""
    events = []
    async for batch in watcher:
        events += batch
        if len(events) >= count:
            break
    assert len(events) == count
    return events


def brief(events):
    return [(event.type, event.entry.key.rpartition("/")[2], event.revision) for event in events]


class TestReading:
    def test_sees_every_answered_write(self, contract):
        async def body(store):
            async def life(number):
                key = f"{PODS}ns/{number}"
                entry = await store.create(key, pod())
                assert store.get(key) is entry
                assert store.revision >= entry.revision
                entry = await store.update(key, pod("y"), entry)
                assert store.get(key) is entry
                assert entry in store.list(PODS).entries
                await store.delete(key, entry)
                assert store.get(key) is None

            async with asyncio.TaskGroup() as group:
                for number in range(40):
                    group.create_task(life(number))

        contract.store(body)

    def test_the_wire_form_has_the_resource_version(self, contract):
        async def body(store):
            entry = await store.create(f"{PODS}a/x", pod(labels={"metadata": "{"}))
            assert json.loads(entry.wire)["metadata"]["resourceVersion"] == str(entry.revision)
            assert entry.data == pod(labels={"metadata": "{"})
            gone = await store.delete(entry.key, entry)
            assert json.loads(gone.wire)["metadata"]["resourceVersion"] == str(gone.revision)
            assert gone.revision == entry.revision + 1

        contract.store(body)

    def test_errors_tell_what_is_there(self, contract):
        async def body(store):
            old = await store.create(f"{PODS}a/x", pod())
            with pytest.raises(KeyExists) as exists:
                await store.create(old.key, pod())
            assert exists.value.current is old
            new = await store.update(old.key, pod("y"), old)
            with pytest.raises(Mismatch) as mismatch:
                await store.update(old.key, pod("z"), old)
            assert mismatch.value.current is new
            with pytest.raises(Mismatch):
                await store.delete(old.key, old)
            await store.delete(new.key, new)
            with pytest.raises(Mismatch) as missing:
                await store.delete(new.key, new)
            assert missing.value.current is None

        contract.store(body)

    def test_lists_a_collection_or_a_namespace(self, contract):
        async def body(store):
            for key in ("pods/a/1", "pods/a-b/1", "pods/ab/1", "podtemplates/a/1", "poddy/x"):
                await store.create(f"/registry/{key}", pod())
            assert [e.key for e in store.list(PODS).entries] == [
                f"{PODS}a-b/1",
                f"{PODS}a/1",
                f"{PODS}ab/1",
            ]
            assert [e.key for e in store.list(f"{PODS}a/").entries] == [f"{PODS}a/1"]
            assert store.list("/registry/none/").entries == []
            assert len(store.list("/registry/").entries) == 5
            assert store.count(PODS) == 3

        contract.store(body)

    def test_pages_are_of_one_list(self, contract):
        async def body(store):
            for number in range(0, 20, 2):
                await store.create(f"{PODS}a/{number:02}", pod())
            first = store.list(PODS, limit=4)
            assert (names(first), first.remaining) == (["00", "02", "04", "06"], 6)
            # What happens between the pages does not show.
            await store.create(f"{PODS}a/07", pod())
            eight = store.get(f"{PODS}a/08")
            await store.update(eight.key, pod("changed"), eight)
            await store.delete(f"{PODS}a/10", store.get(f"{PODS}a/10"))
            for start in (store.list, None):
                after, rest = first.entries[-1].key, []
                while True:
                    if start is None:
                        page = await store.list_at(PODS, first.revision, start_after=after, limit=4)
                    else:
                        page = store.list(PODS, start_after=after, limit=4, revision=first.revision)
                    assert page.revision == first.revision
                    rest += page.entries
                    assert page.remaining == 6 - len(rest)
                    if not page.more:
                        break
                    after = page.entries[-1].key
                assert [e.key[-2:] for e in rest] == ["08", "10", "12", "14", "16", "18"]
                assert rest[0] is eight
            assert names(store.list(PODS, start_after=first.entries[-1].key, limit=2)) == [
                "07",
                "08",
            ]

        contract.store(body)

    def test_a_limit_that_fits_exactly_leaves_nothing(self, contract):
        async def body(store):
            for number in range(3):
                await store.create(f"{PODS}a/{number}", pod())
            assert not store.list(PODS, limit=3).more
            assert not store.list(PODS, limit=100).more
            assert store.list(PODS, limit=2).remaining == 1

        contract.store(body)

    def test_revisions_that_cannot_be_had(self, contract):
        async def body(store):
            entry = await store.create(f"{PODS}a/1", pod())
            await store.update(entry.key, pod("y"), entry)
            with pytest.raises(FutureRevision):
                store.list(PODS, revision=4)
            with pytest.raises(FutureRevision):
                await store.list_at(PODS, 4)
            await store.compact(3)
            with pytest.raises(Compacted):
                store.list(PODS, revision=2)
            with pytest.raises(Compacted):
                await store.list_at(PODS, 2)
            assert names(store.list(PODS, revision=3)) == ["1"]

        contract.store(body)

    def test_attributes_are_computed_once_when_asked(self, contract):
        async def body(store):
            calls = []

            def attributes(data):
                calls.append(data)
                return json.loads(data)["metadata"]["name"]

            before = await store.create(f"{PODS}a/1", pod("one"))
            store.collection(PODS, attributes=attributes)
            after = await store.create(f"{PODS}a/2", pod("two"))
            other = await store.create("/registry/nodes/n", pod("n"))
            assert calls == []
            assert [before.attributes, after.attributes, other.attributes] == ["one", "two", None]
            assert [before.attributes, after.attributes] == ["one", "two"]
            assert len(calls) == 2

        contract.store(body)


class TestWatching:
    def test_gets_what_happens_in_order(self, contract):
        async def body(store):
            watcher = store.watch(PODS, store.revision)
            entry = await store.create(f"{PODS}a/1", pod())
            await store.create("/registry/nodes/n", pod())
            entry = await store.update(entry.key, pod("y"), entry)
            await store.delete(entry.key, entry)
            events = await collect(watcher, 3)
            assert brief(events) == [("ADDED", "1", 2), ("MODIFIED", "1", 4), ("DELETED", "1", 5)]
            assert events[1].previous.data == pod()
            line = json.loads(events[2].frame)
            assert line["type"] == "DELETED"
            assert line["object"]["metadata"] == {"resourceVersion": "5", "name": "y"}
            assert events[2].frame.endswith(b"}\n")

        contract.store(body)

    def test_scopes(self, contract):
        async def body(store):
            scopes = {
                "all": PODS,
                "namespace": f"{PODS}a/",
                "one": f"{PODS}a/1",
                "other": f"{PODS}a/11",
                "everything": "/registry/",
            }
            watchers = {name: store.watch(scope, store.revision) for name, scope in scopes.items()}
            for key in ("pods/a/1", "pods/a/2", "pods/ab/1", "nodes/n"):
                await store.create(f"/registry/{key}", pod())
            got = {name: [] for name in scopes}
            for name, watcher in watchers.items():
                while batch := watcher.take():
                    got[name] += [event.entry.key.removeprefix("/registry/") for event in batch]
            assert got == {
                "all": ["pods/a/1", "pods/a/2", "pods/ab/1"],
                "namespace": ["pods/a/1", "pods/a/2"],
                "one": ["pods/a/1"],
                "other": [],
                "everything": ["pods/a/1", "pods/a/2", "pods/ab/1", "nodes/n"],
            }

        contract.store(body)

    @pytest.mark.parametrize("scope", [PODS, f"{PODS}a/", f"{PODS}a/1"])
    def test_from_any_revision(self, contract, scope):
        async def body(store):
            entry = await store.create(f"{PODS}a/1", pod())
            for number in range(5):
                entry = await store.update(entry.key, pod(f"v{number}"), entry)
                await store.create(f"{PODS}b/{number}", pod())
            now = store.revision
            watchers = {since: store.watch(scope, since) for since in range(1, now + 1)}
            await store.delete(entry.key, entry)
            complete = [
                event.revision for event in await collect(watchers[1], 7 if scope != PODS else 12)
            ]
            for since, watcher in watchers.items():
                expected = [revision for revision in complete if revision > since]
                if since > 1:
                    events = await collect(watcher, len(expected))
                    assert [event.revision for event in events] == expected

        contract.store(body)

    def test_a_watch_of_the_future_is_refused(self, contract):
        async def body(store):
            with pytest.raises(FutureRevision) as error:
                store.watch(PODS, 2)
            assert error.value.current == 1

        contract.store(body)

    def test_list_and_watch_together_miss_nothing(self, contract):
        async def body(store):
            async def write(number):
                for again in range(10):
                    entry = await store.create(f"{PODS}{number}/{again}", pod())
                    entry = await store.update(entry.key, pod("y"), entry)
                    if again % 2:
                        await store.delete(entry.key, entry)

            async def follow():
                await asyncio.sleep(0.002)
                listing, watcher = store.snapshot_and_watch(PODS)
                state = {entry.key: entry.revision for entry in listing.entries}
                seen = listing.revision
                async for batch in watcher:
                    for event in batch:
                        assert event.revision > seen
                        seen = event.revision
                        if event.type == "DELETED":
                            del state[event.entry.key]
                        else:
                            assert (event.type == "ADDED") == (event.entry.key not in state)
                            state[event.entry.key] = event.revision
                    if seen == 1 + 20 * 25:
                        break
                assert state == {entry.key: entry.revision for entry in store.list(PODS).entries}

            async with asyncio.TaskGroup() as group:
                for _ in range(5):
                    group.create_task(follow())
                for number in range(20):
                    group.create_task(write(number))

        contract.store(body)

    def test_a_snapshot_of_one_key(self, contract):
        async def body(store):
            listing, watcher = store.snapshot_and_watch(f"{PODS}a/1")
            assert listing.entries == []
            entry = await store.create(f"{PODS}a/1", pod())
            assert brief(await collect(watcher, 1)) == [("ADDED", "1", 2)]
            assert store.snapshot_and_watch(entry.key)[0].entries == [entry]

        contract.store(body)

    def test_says_up_to_where_it_has_delivered(self, contract):
        async def body(store):
            watcher = store.watch(PODS, store.revision)
            assert watcher.revision == 1
            await store.create("/registry/nodes/n", pod())
            assert watcher.revision == 2  # nothing of that was for us
            await store.create(f"{PODS}a/1", pod())
            await store.create("/registry/nodes/m", pod())
            assert watcher.revision == 1  # there is something to read
            await collect(watcher, 1)
            assert watcher.revision == 4

        contract.store(body)

    def test_cancelling_the_wait_loses_nothing(self, contract):
        async def body(store):
            watcher = store.watch(PODS, store.revision)
            got = []
            for number in range(20):
                reader = asyncio.ensure_future(anext(watcher))
                await asyncio.sleep(0)
                if number % 3 == 0:
                    reader.cancel()
                await store.create(f"{PODS}a/{number:02}", pod())
                if number % 3 == 1:
                    reader.cancel()
                (result,) = await asyncio.gather(reader, return_exceptions=True)
                if not isinstance(result, asyncio.CancelledError):
                    got += result
            while batch := watcher.take():
                got += batch
            assert [event.revision for event in got] == list(range(2, 22))

        contract.store(body)

    def test_one_that_is_too_slow_is_cut_off(self, contract):
        async def body(store):
            slow = store.watch(PODS, store.revision, buffer=10)
            quick = store.watch(PODS, store.revision)
            seen = await store.create(f"{PODS}a/x", pod())
            await collect(slow, 1)
            for number in range(20):
                await store.create(f"{PODS}a/{number}", pod())
            with pytest.raises(WatcherTooSlow) as error:
                await anext(slow)
            assert error.value.revision == seen.revision
            assert len(await collect(quick, 21)) == 21
            again = store.watch(PODS, error.value.revision)
            assert len(await collect(again, 20)) == 20

        contract.store(body)

    def test_a_backlog_does_not_count_as_slow(self, contract):
        async def body(store):
            for number in range(50):
                await store.create(f"{PODS}a/{number}", pod())
            watcher = store.watch(PODS, 1, buffer=5)
            for number in range(5):
                await store.create(f"{PODS}b/{number}", pod())
            assert len(await collect(watcher, 55)) == 55

        contract.store(body)

    def test_closing_ends_the_iteration(self, contract):
        async def body(store):
            mine, theirs = store.watch(PODS, 1), store.watch(f"{PODS}a/", 1)

            async def read(watcher):
                return [batch async for batch in watcher]

            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(read(watcher)) for watcher in (mine, theirs)]
                await asyncio.sleep(0)
                mine.close()
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                assert tasks[0].done()
                assert not tasks[1].done()
                await store.create(f"{PODS}b/1", pod())
                await store.close()
            assert [task.result() for task in tasks] == [[], []]
            assert store.statistics()["collections"][PODS]["watchers"] == 0

        contract.store(body)


class TestLongPast:
    """What the memory no longer knows comes from the engine."""

    WINDOW = Window(most=10, age=0.0, least=5)

    def on(self, contract, body):
        async def with_engine(engine):
            store = Store(engine, window=self.WINDOW)
            store.collection(PODS)
            entry = await store.create(f"{PODS}a/x", pod("0"))
            for number in range(1, 100):
                entry = await store.update(entry.key, pod(str(number)), entry)
                await store.create(f"{PODS}b/{number:02}", pod())
            await body(store)

        contract.engine(with_engine)

    def test_the_window_is_bounded(self, contract):
        async def body(store):
            assert store.statistics()["collections"][PODS]["events"] <= 10
            with pytest.raises(Compacted):
                store.list(PODS, revision=50)

        self.on(contract, body)

    @pytest.mark.parametrize("since", [1, 2, 50, 180])
    def test_watching_from_long_ago(self, contract, since):
        async def body(store):
            watchers = {scope: store.watch(scope, since) for scope in (PODS, f"{PODS}a/x")}
            assert watchers[PODS].revision == since
            x = store.get(f"{PODS}a/x")
            await store.delete(x.key, x)
            last = store.revision
            events = await collect(watchers[PODS], last - since)
            assert [event.revision for event in events] == list(range(since + 1, last + 1))
            mine = [event.revision for event in events if event.entry.key == x.key]
            events = await collect(watchers[x.key], len(mine))
            assert [event.revision for event in events] == mine

        self.on(contract, body)

    def test_listing_long_ago(self, contract):
        async def body(store):
            for revision in (2, 3, 50, 190, store.revision):
                listing = await store.list_at(PODS, revision, limit=10)
                assert listing.revision == revision
                assert len(listing.entries) + listing.remaining == revision // 2
                (x,) = (await store.list_at(f"{PODS}a/", revision)).entries
                assert json.loads(x.wire)["metadata"]["name"] == str((revision - 1) // 2)
            assert (await store.list_at(PODS, 1)).entries == []

        self.on(contract, body)

    def test_a_watch_whose_past_is_forgotten_meanwhile(self, contract):
        async def body(store):
            watcher = store.watch(PODS, 2)
            await store.compact(store.revision)
            with pytest.raises(Compacted):
                await anext(watcher)
            with pytest.raises(Compacted):
                store.watch(PODS, 2)

        self.on(contract, body)

    def test_the_window_still_serves_what_was_compacted(self, contract):
        async def body(store):
            since = store.revision - 3
            await store.compact(store.revision)
            assert len(await collect(store.watch(PODS, since), 3)) == 3
            with pytest.raises(Compacted):
                store.list(PODS, revision=since)

        self.on(contract, body)
