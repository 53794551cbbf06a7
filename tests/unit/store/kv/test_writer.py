"""Group commit, without a disk: what goes together, what fails together, what comes in turn."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest

from kybern.store.interface import ADDED, Entry, Event, StoreFailed, StoreFull
from kybern.store.kv.writer import Writer


class Disk:
    """Appends when told to."""

    def __init__(self):
        self.batches = []
        self.fail = None
        self.gate = threading.Semaphore(0)
        self.started = threading.Semaphore(0)

    def append(self, events):
        self.started.release()
        self.gate.acquire()
        if self.fail is not None:
            error, self.fail = self.fail, None
            raise error
        self.batches.append([event.revision for event in events])


class Outcomes:
    def __init__(self):
        self.told = []

    def committed(self, writes):
        self.told.append(("committed", [write.event.revision for write in writes]))
        for write in writes:
            write.answer.set_result(None)

    def failed(self, writes, error, first):
        self.told.append(("failed", [write.event.revision for write in writes], first))
        for write in writes:
            write.answer.set_exception(error)


def event(revision):
    return Event(ADDED, Entry(f"/{revision}", revision, revision, b""), None)


@contextlib.asynccontextmanager
async def writing():
    disk, outcomes = Disk(), Outcomes()
    writer = Writer(asyncio.get_running_loop(), disk.append, outcomes)
    yield disk, outcomes, writer
    writer.stop()
    disk.gate.release(100)


async def started(disk):
    while not disk.started.acquire(blocking=False):
        await asyncio.sleep(0.001)


def test_what_arrives_during_a_commit_goes_together(live):
    async def main():
        async with writing() as (disk, outcomes, writer):
            first = writer.write(event(2), 0)
            await started(disk)
            rest = [writer.write(event(revision), 0) for revision in range(3, 8)]
            await asyncio.sleep(0.01)
            assert not first.done()
            disk.gate.release(2)
            await asyncio.gather(first, *rest)
            assert disk.batches == [[2], [3, 4, 5, 6, 7]]
            assert outcomes.told == [("committed", [2]), ("committed", [3, 4, 5, 6, 7])]

    live(main())


def test_writes_of_one_turn_of_the_loop_go_together(live):
    async def main():
        async with writing() as (disk, _, writer):
            disk.gate.release(10)

            async def write(revision):
                await writer.write(event(revision), 0)

            await asyncio.gather(*map(write, range(2, 34)))
            assert disk.batches == [list(range(2, 34))]

    live(main())


def test_a_failure_takes_along_what_was_planned_on_top(live):
    async def main():
        async with writing() as (disk, outcomes, writer):
            disk.fail = StoreFull("no space")
            first = writer.write(event(2), 0)
            await started(disk)
            second = writer.write(event(3), 0)  # planned before the failure was known
            disk.gate.release()
            with pytest.raises(StoreFull):
                await first
            third = writer.write(event(2), 1)  # planned after
            disk.gate.release()
            with pytest.raises(StoreFull, match="no space"):
                await second
            await third
            assert outcomes.told == [
                ("failed", [2], True),
                ("failed", [3], False),
                ("committed", [2]),
            ]

    live(main())


def test_an_unexpected_error_is_a_failure_too(live, caplog):
    async def main():
        async with writing() as (disk, _, writer):
            disk.fail = RuntimeError("bug")
            disk.gate.release(2)
            with pytest.raises(StoreFailed, match="unexpected") as error:
                await writer.write(event(2), 0)
            assert isinstance(error.value.__cause__, RuntimeError)
            await writer.write(event(2), 1)

    live(main())
    assert "unexpected" in caplog.text


def test_jobs_come_in_turn(live):
    async def main():
        async with writing() as (disk, _, writer):
            disk.gate.release(10)
            order = []
            before = writer.write(event(2), 0)
            job = writer.do(lambda: order.append(list(disk.batches)) or "result")
            after = writer.write(event(3), 0)
            assert await job == "result"
            await asyncio.gather(before, after)
            assert order == [[[2]]]
            assert disk.batches == [[2], [3]]
            with pytest.raises(ZeroDivisionError):
                await writer.do(lambda: 1 / 0)

    live(main())


def test_stopping_finishes_what_was_handed_over(live):
    async def main():
        async with writing() as (disk, _, writer):
            disk.gate.release(10)
            answers = [writer.write(event(revision), 0) for revision in range(2, 5)]
            last = writer.do(lambda: "last")
            writer.stop()
            assert await last == "last"
            assert all(answer.done() for answer in answers)
            writer._thread.join(5)
            assert not writer._thread.is_alive()

    live(main())
