"""Everything that can happen to an etcd of three members, while two API servers' stores use it.

In:   members, and clients of both stores at work.
Out:  the etcd whole again; the clients' histories, to be judged.
By:   `test_etcd`, a moment of each; `bench/faults.py`, many times and with the usual timeouts.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from typing import TYPE_CHECKING

import uvloop
from tests.faults.namespaces import Machine
from tests.faults.workload import Verdict, Workload

from kybern.lib.clock import SYSTEM
from kybern.store.kv.etcd.engine import EtcdEngine
from kybern.store.objects import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.contracts.store.etcd_fixture import Members

    from kybern.lib.clock import Clock

    Fault = Callable[["Workload", "Members"], Awaitable[None]]


LENGTH = 1.5
"""How many seconds a majority is lost, or a member stopped; the long form sets more."""


async def kill_the_leader(work: Workload, members: Members) -> None:
    victim = await leader(members)
    victim.kill()
    await work.progress()
    victim.start()
    await asyncio.to_thread(victim.wait)


async def kill_one(work: Workload, members: Members) -> None:
    """Kill the member that the first store talks to."""
    victim = members.members[work.stores[0]._engine._connection.member]
    victim.kill()
    await work.progress()
    victim.start()
    await asyncio.to_thread(victim.wait)


async def cut_off_the_leader(work: Workload, members: Members) -> None:
    """Clients still reach it; what it then says must not be believed."""
    await _cut_off(work, members, await leader(members))


async def cut_off_a_follower(work: Workload, members: Members) -> None:
    first = await leader(members)
    await _cut_off(work, members, next(m for m in machines_of(members) if m is not first))


async def lose_the_majority(work: Workload, members: Members) -> None:
    """Nothing can be written until it is back; then what was asked meanwhile is answered."""
    victims = [await leader(members)]
    victims += [machine for machine in machines_of(members) if machine is not victims[0]][:1]
    for victim in victims:
        victim.kill()
    lost = time.monotonic()
    await asyncio.sleep(LENGTH)
    assert work.answered(lost) == [], "one of three members answered a write"
    back = time.monotonic()
    for victim in victims:
        victim.start()
    for victim in victims:
        await asyncio.to_thread(victim.wait)
    await work.progress()
    assert all(operation.end >= back for operation in work.answered(lost))


async def stop_the_leader(work: Workload, members: Members) -> None:
    """Another one leads, and the first goes on as if nothing had been."""
    victim = await leader(members)
    victim.signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(LENGTH)
    finally:
        victim.signal(signal.SIGCONT)
    await work.progress()


async def slow_down(work: Workload, members: Members) -> None:
    """All members run a fifth of the time, as with a disk on which each flush takes for ever."""
    for _ in range(8):
        for number, seconds in ((signal.SIGSTOP, 0.12), (signal.SIGCONT, 0.03)):
            for machine in members.members:
                machine.signal(number)
            await asyncio.sleep(seconds)
    await work.progress()


class Jumping:
    """A clock that somebody sets."""

    def __init__(self, by: float) -> None:
        self.by, self.ahead = by, 0.0
        self.monotonic = SYSTEM.monotonic
        self.sleep = SYSTEM.sleep

    def now(self) -> float:
        return SYSTEM.now() + self.ahead

    async def jump(self, work: Workload, _: Members) -> None:
        """Leases are etcd's business: nothing ends early, or late, as one of us is wrong."""
        ours = work.stores[0]
        key = f"/registry/events/{time.monotonic_ns()}"
        kept = await ours.create(f"{key}-kept", b'{"metadata":{}}', ttl=600)
        self.ahead = self.by
        await work.progress()
        watchers = [store.watch(f"{key}-brief", store.revision) for store in work.stores]
        await ours.create(f"{key}-brief", b'{"metadata":{}}', ttl=1)
        for store, watcher in zip(work.stores, watchers, strict=True):
            types: list[str] = []
            while len(types) < 2:
                types += [event.type for event in await anext(watcher)]
            assert types == ["ADDED", "DELETED"]
            watcher.close()
            assert store.get(kept.key) is not None


NAMED = {
    fault.__name__: fault
    for fault in (
        kill_the_leader,
        kill_one,
        cut_off_the_leader,
        cut_off_a_follower,
        lose_the_majority,
        stop_the_leader,
        slow_down,
    )
}


def run(members: Members, seed: int, fault: Fault, *clocks: Clock) -> Verdict:
    """Let clients work while something is broken, and judge them."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(study(members, seed, fault, *clocks))


async def study(members: Members, seed: int, fault: Fault, *clocks: Clock) -> Verdict:
    """Do the same, in a loop that runs."""
    async with asyncio.timeout(180), stores(members, clocks or (SYSTEM, SYSTEM)) as opened:
        space = f"/registry/{time.monotonic_ns()}/"
        async with Workload(opened, seed, space=space, pause=0.02) as work:
            await work.progress()
            await fault(work, members)
            await work.progress()
        return await work.judge(100, 30)


@contextlib.asynccontextmanager
async def stores(members: Members, clocks: tuple[Clock, ...]) -> AsyncIterator[list[Store]]:
    """Open a store for each clock; all talk to another member first."""
    opened = []
    try:
        for clock in clocks:
            engine = await EtcdEngine.open(members.address, clock=clock)
            opened.append(Store(engine, clock, compact_every=0))
        yield opened
    finally:
        for store in opened:
            await store.close()


async def leader(members: Members) -> Machine:
    """Return the member that leads, once there is one, and only one that thinks so."""
    while True:
        found = [m for m in machines_of(members) if m.process and await asyncio.to_thread(m.leads)]
        if len(found) == 1:
            return found[0]
        await asyncio.sleep(0.05)


def machines_of(members: Members) -> list[Machine]:
    return [member for member in members.members if isinstance(member, Machine)]


async def _cut_off(work: Workload, members: Members, victim: Machine) -> None:
    victim.cut_off(machines_of(members))
    try:
        await work.progress()
    finally:
        victim.heal()
    await asyncio.to_thread(victim.wait)
