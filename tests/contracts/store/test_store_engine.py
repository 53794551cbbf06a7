"""What every engine promises: `kybern.store.kv.interface`."""

from __future__ import annotations

import asyncio
import time

import pytest

from kybern.store.interface import (
    FIRST_REVISION,
    Compacted,
    FutureRevision,
    KeyExists,
    KeyMissing,
    Mismatch,
    StoreClosed,
)


def keys(listing):
    return [entry.key for entry in listing.entries]


def told(engine):
    """Collect what the listener is told."""
    events = []
    engine.attach(events.extend)
    return events


class TestWriting:
    def test_an_empty_store_is_at_the_first_revision(self, contract):
        async def body(engine):
            assert engine.revision == FIRST_REVISION
            assert (await engine.list("/")).revision == FIRST_REVISION
            assert engine.attach(lambda _: None) == ([], FIRST_REVISION)

        contract.engine(body)

    def test_each_write_is_the_next_revision(self, contract):
        async def body(engine):
            made = await engine.create("/a/1", b"one")
            assert (made.key, made.revision, made.created, made.data) == ("/a/1", 2, 2, b"one")
            changed = await engine.update("/a/1", b"two", 2)
            assert (changed.revision, changed.created, changed.data) == (3, 2, b"two")
            gone = await engine.delete("/a/1", 3)
            assert (gone.revision, gone.created, gone.data) == (4, 2, b"two")
            assert await engine.get("/a/1") is None
            again = await engine.create("/a/1", b"three")
            assert (again.revision, again.created) == (5, 5)
            assert engine.revision == 5

        contract.engine(body)

    def test_creating_what_exists_fails_and_costs_no_revision(self, contract):
        async def body(engine):
            await engine.create("/a", b"one")
            with pytest.raises(KeyExists) as error:
                await engine.create("/a", b"two")
            assert error.value.current.revision == 2
            assert (await engine.get("/a")).data == b"one"
            assert engine.revision == 2

        contract.engine(body)

    @pytest.mark.parametrize("verb", ["update", "delete"])
    def test_changing_needs_the_current_revision(self, contract, verb):
        async def body(engine):
            async def change(key, expected):
                if verb == "update":
                    return await engine.update(key, b"new", expected)
                return await engine.delete(key, expected)

            with pytest.raises(KeyMissing) as missing:
                await change("/a", 1)
            assert missing.value.current is None
            await engine.create("/a", b"one")
            await engine.update("/a", b"two", 2)
            for wrong in (1, 2, 4):
                with pytest.raises(Mismatch) as error:
                    await change("/a", wrong)
                assert error.value.current.revision == 3
            await change("/a", 3)
            assert engine.revision == 4

        contract.engine(body)

    def test_a_failed_write_fails_alone(self, contract):
        async def body(engine):
            await engine.create("/taken", b"x")

            async def create(number):
                key = "/taken" if number % 3 == 0 else f"/{number}"
                await engine.create(key, b"y")

            results = await asyncio.gather(*map(create, range(30)), return_exceptions=True)
            failed = [number for number, result in enumerate(results) if result is not None]
            assert failed == list(range(0, 30, 3))
            assert all(isinstance(results[number], KeyExists) for number in failed)
            assert engine.revision == 2 + 20

        contract.engine(body)

    def test_of_concurrent_creates_of_one_key_one_wins(self, contract):
        async def body(engine):
            async def create(number):
                return await engine.create("/one", b"%d" % number)

            results = await asyncio.gather(*map(create, range(20)), return_exceptions=True)
            winners = [result for result in results if not isinstance(result, Exception)]
            assert len(winners) == 1
            assert (await engine.get("/one")).data == winners[0].data
            assert engine.revision == 2

        contract.engine(body)

    def test_increments_by_compare_and_swap_lose_nothing(self, contract):
        async def body(engine):
            await engine.create("/counter", b"0")

            async def increment():
                while True:
                    entry = await engine.get("/counter")
                    try:
                        await engine.update(
                            "/counter", b"%d" % (int(entry.data) + 1), entry.revision
                        )
                    except Mismatch:
                        continue
                    return

            async with asyncio.TaskGroup() as group:
                for _ in range(40):
                    group.create_task(increment())
            assert (await engine.get("/counter")).data == b"40"
            assert engine.revision == 2 + 40

        contract.engine(body)

    def test_writes_to_one_key_may_be_under_way_together(self, contract):
        async def body(engine):
            events = told(engine)
            first = await engine.create("/a", b"1")
            delete = asyncio.create_task(engine.delete("/a", first.revision))
            create = asyncio.create_task(engine.create("/a", b"2"))
            late = asyncio.create_task(engine.update("/a", b"3", first.revision))
            assert (await delete).revision == 3
            assert (await create).revision == 4
            with pytest.raises(Mismatch):
                await late
            assert [event.type for event in events] == ["ADDED", "DELETED", "ADDED"]

        contract.engine(body)

    def test_values_are_any_bytes_of_any_length(self, contract):
        async def body(engine):
            values = [b"", b"\x00\xff", "жук".encode(), b"x" * 3_000_000]
            for number, value in enumerate(values):
                await engine.create(f"/{number}", value)
            assert [(await engine.get(f"/{number}")).data for number in range(4)] == values

        contract.engine(body)

    def test_a_cancelled_writer_harms_nobody(self, contract):
        async def body(engine):
            tasks = [asyncio.create_task(engine.create(f"/{n}", b"x")) for n in range(10)]
            await asyncio.sleep(0)
            for task in tasks[::2]:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(result.data == b"x" for result in results[1::2])
            await engine.create("/after", b"y")
            assert (await engine.list("/")).revision == engine.revision

        contract.engine(body)

    def test_a_closed_engine_refuses(self, contract):
        async def body(engine):
            entry = await engine.create("/a", b"x")
            await engine.close()
            await engine.close()
            with pytest.raises(StoreClosed):
                await engine.create("/b", b"x")
            with pytest.raises(StoreClosed):
                await engine.update("/a", b"x", entry.revision)
            with pytest.raises(StoreClosed):
                await engine.list("/")
            with pytest.raises(StoreClosed):
                await engine.compact(1)

        contract.engine(body)

    def test_closing_finishes_the_writes_under_way(self, contract):
        async def body(engine):
            tasks = [asyncio.create_task(engine.create(f"/{n}", b"x")) for n in range(50)]
            await asyncio.sleep(0)
            await engine.close()
            assert [(await task).data for task in tasks] == [b"x"] * 50

        contract.engine(body)


class TestTelling:
    def test_events_come_in_order_without_gap(self, contract):
        async def body(engine):
            await engine.create("/before", b"x")
            events = []
            snapshot = engine.attach(events.extend)
            assert [entry.key for entry in snapshot.entries] == ["/before"]

            async def life(key):
                entry = await engine.create(key, b"1")
                entry = await engine.update(key, b"2", entry.revision)
                await engine.delete(key, entry.revision)

            async with asyncio.TaskGroup() as group:
                for number in range(20):
                    group.create_task(life(f"/k/{number}"))
            assert [event.revision for event in events] == list(
                range(snapshot.revision + 1, engine.revision + 1)
            )
            mine = [event for event in events if event.entry.key == "/k/7"]
            assert [event.type for event in mine] == ["ADDED", "MODIFIED", "DELETED"]
            assert [event.entry.data for event in mine] == [b"1", b"2", b"2"]
            assert mine[0].previous is None
            assert [event.previous.data for event in mine[1:]] == [b"1", b"2"]

        contract.engine(body)

    def test_a_write_is_told_before_it_is_answered(self, contract):
        async def body(engine):
            events = told(engine)

            async def create(number):
                entry = await engine.create(f"/{number}", b"x")
                assert entry.revision <= engine.revision
                assert any(event.entry is entry for event in events)

            async with asyncio.TaskGroup() as group:
                for number in range(40):
                    group.create_task(create(number))

        contract.engine(body)


class TestListing:
    def test_keys_come_in_order_of_bytes(self, contract):
        async def body(engine):
            names = ["/r/a/1", "/r/a-b/1", "/r/a.b/1", "/r/aa/1", "/r/B/1", "/r/é/1", "/r/😀/1"]
            for name in names:
                await engine.create(name, b"x")
            await engine.create("/rr/1", b"x")
            await engine.create("/q/1", b"x")
            assert keys(await engine.list("/r/")) == sorted(names, key=str.encode)
            assert keys(await engine.list("/r/a/")) == ["/r/a/1"]

        contract.engine(body)

    def test_pages(self, contract):
        async def body(engine):
            for number in range(25):
                await engine.create(f"/p/{number:02}", b"x")
            await engine.create("/q", b"x")
            first = await engine.list("/p/", limit=10)
            assert (len(first.entries), first.remaining, first.more) == (10, 15, True)
            second = await engine.list("/p/", keys(first)[-1], 10, first.revision)
            third = await engine.list("/p/", keys(second)[-1], 10, first.revision)
            assert (third.remaining, third.more) == (0, False)
            together = keys(first) + keys(second) + keys(third)
            assert together == [f"/p/{number:02}" for number in range(25)]

        contract.engine(body)

    def test_lists_what_was(self, contract):
        async def body(engine):
            one = await engine.create("/p/1", b"a")
            await engine.create("/p/2", b"a")
            one = await engine.update("/p/1", b"b", one.revision)
            await engine.delete("/p/1", one.revision)
            await engine.create("/p/0", b"c")
            past = {
                revision: [
                    (e.key, e.data, e.revision)
                    for e in (await engine.list("/p/", revision=revision)).entries
                ]
                for revision in range(1, 7)
            }
            assert past == {
                1: [],
                2: [("/p/1", b"a", 2)],
                3: [("/p/1", b"a", 2), ("/p/2", b"a", 3)],
                4: [("/p/1", b"b", 4), ("/p/2", b"a", 3)],
                5: [("/p/2", b"a", 3)],
                6: [("/p/0", b"c", 6), ("/p/2", b"a", 3)],
            }

        contract.engine(body)

    def test_the_future_is_unknown(self, contract):
        async def body(engine):
            with pytest.raises(FutureRevision) as error:
                await engine.list("/", revision=2)
            assert error.value.current == 1
            with pytest.raises(FutureRevision):
                await engine.compact(2)

        contract.engine(body)


class TestHistory:
    def test_pages_of_the_past(self, contract):
        async def body(engine):
            for number in range(10):
                await engine.create(f"/{'ab'[number % 2]}/{number}", b"x")
            page = await engine.history("/a/", 1, engine.revision, limit=3)
            assert [event.revision for event in page.events] == [2, 4, 6]
            assert page.upto == 6
            rest = await engine.history("/a/", page.upto, engine.revision, limit=3)
            assert [event.revision for event in rest.events] == [8, 10]
            assert rest.upto == engine.revision
            assert (await engine.history("/a/", 1, 4)).events[-1].revision == 4
            assert (await engine.history("/none/", 1, 7)) == ([], 7)

        contract.engine(body)

    def test_events_are_complete(self, contract):
        async def body(engine):
            entry = await engine.create("/a", b"1")
            entry = await engine.update("/a", b"2", entry.revision)
            await engine.delete("/a", entry.revision)
            await engine.create("/a", b"3")
            events = (await engine.history("/", 1, engine.revision)).events
            found = [
                (e.type, e.revision, e.entry.created, e.entry.data, e.previous and e.previous.data)
                for e in events
            ]
            assert found == [
                ("ADDED", 2, 2, b"1", None),
                ("MODIFIED", 3, 2, b"2", b"1"),
                ("DELETED", 4, 2, b"2", b"2"),
                ("ADDED", 5, 5, b"3", None),
            ]

        contract.engine(body)


class TestCompaction:
    async def _some(self, engine):
        kept = await engine.create("/kept", b"k1")  # 2
        gone = await engine.create("/gone", b"g")  # 3
        kept = await engine.update("/kept", b"k2", kept.revision)  # 4
        await engine.delete("/gone", gone.revision)  # 5
        await engine.update("/kept", b"k3", kept.revision)  # 6
        await engine.create("/new", b"n")  # 7

    def test_the_past_before_it_is_gone_and_after_it_is_not(self, contract):
        async def body(engine):
            await self._some(engine)
            await engine.compact(5)
            assert engine.compacted == 5
            for revision in (1, 4):
                with pytest.raises(Compacted) as error:
                    await engine.list("/", revision=revision)
                assert error.value.oldest == 5
                with pytest.raises(Compacted):
                    await engine.history("/", revision, 7)
            assert [e.data for e in (await engine.list("/", revision=5)).entries] == [b"k2"]
            assert [e.data for e in (await engine.list("/", revision=6)).entries] == [b"k3"]
            events = (await engine.history("/", 5, 7)).events
            assert [(e.type, e.revision) for e in events] == [("MODIFIED", 6), ("ADDED", 7)]
            assert events[0].previous.data == b"k2"

        contract.engine(body)

    def test_the_present_stays(self, contract):
        async def body(engine):
            await self._some(engine)
            before = engine.superseded
            await engine.compact(7)
            assert before > engine.superseded == 0
            listing = await engine.list("/")
            assert [(e.key, e.data, e.revision, e.created) for e in listing.entries] == [
                ("/kept", b"k3", 6, 2),
                ("/new", b"n", 7, 7),
            ]
            assert (await engine.create("/x", b"x")).revision == 8

        contract.engine(body)

    def test_twice_or_backwards_changes_nothing(self, contract):
        async def body(engine):
            await self._some(engine)
            await engine.compact(5)
            await engine.compact(5)
            await engine.compact(3)
            assert engine.compacted == 5

        contract.engine(body)

    def test_goes_on_under_load(self, contract):
        async def body(engine):
            entry = await engine.create("/hot", b"0")

            async def write():
                nonlocal entry
                for number in range(400):
                    entry = await engine.update("/hot", b"%d" % number, entry.revision)

            async def forget():
                for _ in range(10):
                    await asyncio.sleep(0.005)
                    await engine.compact(engine.revision)

            async with asyncio.TaskGroup() as group:
                group.create_task(write())
                group.create_task(forget())
            await engine.compact(engine.revision)
            assert (await engine.get("/hot")).data == b"399"
            assert engine.superseded == 0

        contract.engine(body)


class TestSurviving:
    def test_everything_is_there_again(self, persistent):
        seen = {}
        later = time.time() + 3600

        async def write(engine):
            for number in range(100):
                await engine.create(f"/k/{number}", b"%d" % number)
            entry = await engine.get("/k/1")
            await engine.update("/k/1", b"changed", entry.revision, expires=later)
            entry = await engine.get("/k/2")
            await engine.delete("/k/2", entry.revision)
            seen["entries"] = [
                (e.key, e.data, e.revision, e.created) for e in (await engine.list("/")).entries
            ]
            seen["revision"] = engine.revision

        async def read(engine):
            entries = (await engine.list("/")).entries
            assert [(e.key, e.data, e.revision, e.created) for e in entries] == seen["entries"]
            expires = {e.key: e.expires for e in entries if e.expires}
            # etcd keeps a minute's keys together, and counts in seconds.
            assert expires == {"/k/1": pytest.approx(later, abs=120 if engine.shared else 0)}
            assert engine.revision == seen["revision"]
            assert (await engine.history("/", 1, engine.revision)).events[0].revision == 2
            assert (await engine.list("/k/", revision=50)).entries
            assert (await engine.create("/new", b"")).revision == seen["revision"] + 1

        persistent.engine(write)
        persistent.engine(read)

    def test_revisions_go_on_when_everything_was_deleted_and_forgotten(self, persistent):
        async def empty(engine):
            for number in range(10):
                entry = await engine.create(f"/{number}", b"x")
                await engine.delete(entry.key, entry.revision)
            await engine.compact(engine.revision)
            assert engine.revision == 21

        async def go_on(engine):
            assert (engine.revision, engine.compacted) == (21, 21)
            assert (await engine.list("/")).entries == []
            assert (await engine.create("/0", b"y")).revision == 22

        async def and_on(engine):
            assert engine.revision == 22
            assert (await engine.get("/0")).data == b"y"

        persistent.engine(empty)
        persistent.engine(go_on)
        persistent.engine(and_on)
