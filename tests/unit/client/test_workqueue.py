"""Keys wait once, are worked on by one, and come back when asked."""

from __future__ import annotations

import asyncio

import pytest

from kybern.client.workqueue import QueueClosed, WorkQueue
from kybern.lib.clock import run_virtual


def test_a_key_waits_once():
    async def story():
        queue: WorkQueue[str] = WorkQueue()
        queue.add("a")
        queue.add("a")
        queue.add("b")
        assert len(queue) == 2
        assert [await queue.get(), await queue.get()] == ["a", "b"]

    run_virtual(story())


def test_a_key_added_while_worked_on_comes_back_when_done():
    async def story():
        queue: WorkQueue[str] = WorkQueue()
        queue.add("a")
        assert await queue.get() == "a"
        queue.add("a")
        assert len(queue) == 0
        queue.done("a")
        assert len(queue) == 1
        assert await queue.get() == "a"
        queue.done("a")
        assert len(queue) == 0

    run_virtual(story())


def test_delays_keep_the_earliest_wish():
    async def story():
        loop = asyncio.get_running_loop()
        queue: WorkQueue[str] = WorkQueue()
        queue.add_after("a", 10)
        queue.add_after("a", 5)
        queue.add_after("a", 20)
        assert await queue.get() == "a"
        assert loop.time() == 5
        queue.done("a")
        assert queue.statistics()["delayed"] == 0

    run_virtual(story())


def test_back_off_grows_until_forgotten():
    async def story():
        loop = asyncio.get_running_loop()
        queue: WorkQueue[str] = WorkQueue()
        waits = []
        for _ in range(4):
            before = loop.time()
            queue.add_rate_limited("a")
            assert await queue.get() == "a"
            queue.done("a")
            waits.append(loop.time() - before)
        assert waits == sorted(waits)
        assert waits[3] > 6 * waits[0]
        assert queue.failures("a") == 4
        queue.forget("a")
        assert queue.failures("a") == 0

    run_virtual(story())


def test_workers_share_and_never_hold_the_same_key():
    async def story():
        queue: WorkQueue[int] = WorkQueue()
        working: set[int] = set()
        seen: list[int] = []

        async def work():
            while True:
                try:
                    key = await queue.get()
                except QueueClosed:
                    return
                assert key not in working
                working.add(key)
                await asyncio.sleep(0.01)
                working.discard(key)
                seen.append(key)
                queue.done(key)

        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(work())
            for round_ in range(3):
                for key in range(10):
                    queue.add(key)
                await asyncio.sleep(0.005 * round_)
            await queue.wait_idle()
            queue.shutdown()
        assert set(seen) == set(range(10))

    run_virtual(story())


def test_a_cancelled_worker_passes_its_wake_up_on():
    async def story():
        queue: WorkQueue[str] = WorkQueue()
        first = asyncio.create_task(queue.get())
        second = asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        queue.add("a")
        first.cancel()
        assert await second == "a"
        with pytest.raises(asyncio.CancelledError):
            await first

    run_virtual(story())


def test_shutdown_drains_what_is_ready_and_drops_what_is_delayed():
    async def story():
        queue: WorkQueue[str] = WorkQueue()
        queue.add("a")
        queue.add_after("b", 1)
        queue.shutdown()
        queue.add("c")
        assert await queue.get() == "a"
        with pytest.raises(QueueClosed):
            await queue.get()

    run_virtual(story())


def test_shutdown_wakes_waiting_workers():
    async def story():
        queue: WorkQueue[str] = WorkQueue()
        waiting = asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        queue.shutdown()
        with pytest.raises(QueueClosed):
            await waiting

    run_virtual(story())
