from __future__ import annotations

import asyncio
import logging

import pytest

from kybern.lib.backoff import Backoff
from kybern.lib.clock import VirtualClock
from kybern.lib.tasks import OnError, Tasks


async def fail(after=0.0):
    await asyncio.sleep(after)
    raise ValueError("boom")


async def forever(done=None):
    try:
        await asyncio.sleep(1e9)
    finally:
        if done is not None:
            done.append("cancelled")


def test_leaving_cancels_and_waits(virtual):
    done = []

    async def main():
        async with Tasks() as tasks:
            tasks.spawn(forever(done), name="a")
            tasks.spawn(forever(done), name="b")
            await asyncio.sleep(1)
        return len(tasks)

    assert virtual(main()) == 0
    assert done == ["cancelled"] * 2


def test_log_policy_goes_on(virtual, caplog):
    async def main():
        async with Tasks("owner") as tasks:
            tasks.spawn(fail(), name="broken")
            other = tasks.spawn(asyncio.sleep(5, "fine"), name="other")
            result = await other
        return result, tasks.statistics()

    with caplog.at_level(logging.ERROR):
        assert virtual(main()) == ("fine", {"running": 0, "failures": 1})
    assert [record.getMessage() for record in caplog.records] == ["task failed"]
    assert caplog.records[0].values == {"task": "broken", "owner": "owner"}


def test_propagate_cancels_the_body_and_the_others(virtual):
    done = []

    async def main():
        try:
            async with Tasks(on_error=OnError.PROPAGATE) as tasks:
                tasks.spawn(fail(1), name="broken")
                tasks.spawn(forever(done), name="other")
                await asyncio.sleep(1e6)
        except* ValueError as group:
            done.append(len(group.exceptions))
        assert asyncio.current_task().cancelling() == 0
        return asyncio.get_running_loop().time()

    assert virtual(main()) == 1
    assert done == ["cancelled", 1]


def test_propagate_keeps_the_bodys_own_error(virtual):
    async def main():
        async with Tasks(on_error=OnError.PROPAGATE) as tasks:
            tasks.spawn(fail(), name="broken")
            try:
                await asyncio.sleep(5)
            finally:
                raise KeyError("mine")

    with pytest.raises(ExceptionGroup) as caught:
        virtual(main())
    assert {type(error) for error in caught.value.exceptions} == {ValueError, KeyError}


def test_a_cancellation_from_outside_wins(virtual):
    async def body():
        async with Tasks(on_error=OnError.PROPAGATE) as tasks:
            tasks.spawn(forever(), name="x")
            await asyncio.sleep(1e6)

    async def main():
        task = asyncio.create_task(body())
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    virtual(main())


def test_the_bodys_error_rises_unchanged(virtual):
    async def main():
        async with Tasks() as tasks:
            tasks.spawn(forever(), name="x")
            raise KeyError("body")

    with pytest.raises(KeyError):
        virtual(main())


def test_closed_refuses(virtual):
    async def main():
        tasks = Tasks("done")
        await tasks.close()
        with pytest.raises(RuntimeError, match="late was not started"):
            tasks.spawn(fail(), name="late")

    virtual(main())


def test_a_task_may_close_its_group(virtual):
    async def main():
        tasks = Tasks()
        done = []

        async def closer():
            await tasks.close()
            done.append("closed")

        tasks.spawn(forever(), name="x")
        await tasks.spawn(closer(), name="closer")
        return done

    assert virtual(main()) == ["closed"]


def test_wait_failed(virtual):
    async def main():
        tasks = Tasks(on_error=OnError.PROPAGATE)
        tasks.spawn(fail(3), name="x")
        error = await tasks.wait_failed()
        await tasks.wait()
        return error

    assert isinstance(virtual(main()), ValueError)


def test_spawn_forever_restarts_with_backoff(virtual, caplog):
    async def main():
        clock, starts = VirtualClock(), []

        async def loop():
            starts.append(clock.monotonic())
            if len(starts) == 4:
                await asyncio.sleep(100)  # healthy for longer than the cap
            if len(starts) < 6:
                raise OSError("gone")

        tasks = Tasks(clock=clock)
        await tasks.spawn_forever(loop, "loop", Backoff(initial=1, factor=2, cap=8))
        return starts, tasks.failures

    assert virtual(main()) == ([0, 1, 3, 7, 108, 110], 5)
    assert {record.getMessage() for record in caplog.records} == {"loop failed, restarting"}
