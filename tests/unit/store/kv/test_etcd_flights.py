"""Our writes and the watch, in every order in which they can come."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from kybern.lib.tasks import Tasks
from kybern.store.interface import StoreClosed, StoreFailed
from kybern.store.kv.etcd import messages as m
from kybern.store.kv.etcd.flights import Flight, Flights, arrive
from kybern.store.kv.etcd.leases import MOST_KEYS, Leases
from kybern.store.kv.etcd.mirror import Mirror
from kybern.store.kv.etcd.together import Together


class Desk:
    """A mirror with flights, and what was told."""

    def __init__(self) -> None:
        self.mirror = Mirror()
        self.mirror.replace([], 1)
        self.told: list[str] = []
        self.flights = Flights(self.mirror, self.tell)

    def tell(self, events) -> None:
        self.told += [f"{event.revision}{event.entry.key}" for event in events]

    async def fly(self, key: str, revision: int, data: bytes | None = b"x"):
        """Send a write and have it answered at once."""
        flight = Flight(key, data, 0.0)
        await self.flights.begin(flight)
        landed = self.flights.land(flight, revision)
        self.flights.end(flight)
        return landed

    def watched(self, revision: int, key: str) -> None:
        """What the engine does with what the watch brings, for one write."""
        if revision <= self.mirror.revision:
            return
        events, done = [], []
        flight = self.flights.at(revision)
        event = (
            self.flights.apply(flight, revision)
            if flight
            else self.mirror.put(key, revision, b"theirs")
        )
        events.append(event)
        done += [(flight, event.entry)] if flight else []
        if not flight:
            self.flights.saw(event)
        self.flights.following(events, done)
        self.tell(events)
        arrive(done)


@pytest.mark.parametrize("order", list(itertools.permutations((2, 3, 4))))
@pytest.mark.parametrize("watched", [(), (2,), (2, 3), (2, 3, 4)])
def test_answers_in_any_order_are_told_in_order(order, watched):
    async def story():
        desk = Desk()
        landings = {revision: await desk.fly(f"/{revision}", revision) for revision in order}
        for revision in watched:
            desk.watched(revision, f"/{revision}")
        entries = [await landings[revision] for revision in (2, 3, 4)]
        assert [entry.revision for entry in entries] == [2, 3, 4]
        assert desk.told == ["2/2", "3/3", "4/4"]
        assert [desk.mirror.current[f"/{n}"] for n in (2, 3, 4)] == entries

    asyncio.run(story())


def test_a_write_waits_for_what_came_before_it_from_elsewhere():
    async def story():
        desk = Desk()
        landed = await desk.fly("/ours", 3)
        await asyncio.sleep(0)
        assert not landed.done()
        assert desk.told == []
        desk.watched(2, "/theirs")
        assert desk.told == ["2/theirs", "3/ours"]
        assert landed.result().revision == 3

    asyncio.run(story())


def test_the_watch_may_be_quicker_than_the_answer():
    async def story():
        desk = Desk()
        flight = Flight("/a", b"theirs", 12.5)
        await desk.flights.begin(flight)
        desk.watched(2, "/a")
        desk.watched(3, "/a")  # somebody has changed it already
        entry = await desk.flights.land(flight, 2)
        assert (entry.revision, entry.expires) == (2, 12.5)
        assert desk.mirror.current["/a"].revision == 3

    asyncio.run(story())


def test_writes_to_a_key_take_turns_in_order():
    async def story():
        desk, order = Desk(), []

        async def write(name):
            flight = Flight("/a", b"x", 0.0)
            await desk.flights.begin(flight)
            order.append(name)
            await asyncio.sleep(0)
            desk.flights.end(flight)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(write(number)) for number in range(5)]
            await asyncio.sleep(0)
            tasks[2].cancel()
        assert order == [0, 1, 3, 4]
        assert len(desk.flights) == 0

    asyncio.run(story())


def test_jumping_over_writes_answers_them():
    async def story():
        desk = Desk()
        landed = await desk.fly("/a", 5)
        desk.mirror.replace([], 9)  # it was deleted meanwhile
        arrive(desk.flights.overtaken())
        assert (await landed).revision == 5
        lost = await desk.fly("/b", 12)
        desk.flights.give_up("all is dark")
        with pytest.raises(StoreFailed, match="/b is written, at revision 12, .* all is dark"):
            await lost

    asyncio.run(story())


def test_what_is_superseded_is_counted_until_it_is_compacted():
    mirror = Mirror()
    mirror.replace([], 1)
    mirror.put("/a", 2, b"12345")
    assert mirror.superseded == 0
    mirror.put("/a", 3, b"123")
    mirror.delete("/a", 4)
    assert mirror.superseded == 8
    assert mirror.delete("/a", 5) is None
    mirror.compacted(3)
    assert mirror.superseded == 8  # counted together with what came soon after
    mirror.compacted(5)
    assert mirror.superseded == 0


class TestTogether:
    def test_who_comes_late_gets_a_later_answer(self):
        async def story():
            asked, gate = [], asyncio.Event()

            async def ask():
                asked.append(None)
                await gate.wait()
                return len(asked)

            async with Tasks("test") as tasks:
                question = Together(ask, tasks, "ask")
                early = [asyncio.create_task(question()) for _ in range(3)]
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                late = [asyncio.create_task(question()) for _ in range(3)]
                await asyncio.sleep(0)
                late[0].cancel()
                gate.set()
                assert [await task for task in early] == [1, 1, 1]
                assert [await task for task in late[1:]] == [2, 2]
                assert await question() == 3

        asyncio.run(story())

    def test_failures_and_the_end_reach_everybody(self):
        async def story():
            async def ask():
                await asyncio.sleep(0)
                raise StoreFailed("no")

            async def never():
                await asyncio.Event().wait()

            async with Tasks("test") as tasks:
                question = Together(ask, tasks, "ask")
                results = await asyncio.gather(question(), question(), return_exceptions=True)
                assert [str(result) for result in results] == ["no", "no"]
                waiting = asyncio.create_task(Together(never, tasks, "wait")())
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            with pytest.raises(StoreClosed):
                await waiting

        asyncio.run(story())


class Granting:
    """Grants what is asked for."""

    def __init__(self) -> None:
        self.granted: list[int] = []

    async def call(self, method, request):
        assert method is m.LEASE_GRANT
        self.granted.append(request.ttl)
        await asyncio.sleep(0)
        return m.Lease(id=len(self.granted), ttl=request.ttl)


class Hand:
    """A clock that is set by hand."""

    time = 100.0

    def monotonic(self) -> float:
        return self.time


def test_leases_are_shared_for_a_while():
    async def story():
        etcd, clock = Granting(), Hand()
        leases = Leases(etcd, clock)
        assert set(await asyncio.gather(*(leases.lease(3599.9) for _ in range(10)))) == {1}
        assert etcd.granted == [3660]
        clock.time += 59
        assert await leases.lease(3600) == 1
        clock.time += 2
        assert await leases.lease(3600) == 2
        assert await leases.lease(0.2) == 3
        assert etcd.granted == [3660, 3660, 2]
        assert await leases.lease(3600) == 2
        leases.forget(2)
        assert await leases.lease(3600) == 4
        used = {await leases.lease(3600) for _ in range(MOST_KEYS)}
        assert used == {4, 5}

    asyncio.run(story())
