"""One reader of events: its buffer, its past, its end."""

from __future__ import annotations

import asyncio

import pytest

from kybern.store.interface import ADDED, Entry, Event, WatcherTooSlow
from kybern.store.kv.interface import Page
from kybern.store.watcher import WEIGHT, Watcher


class Source:
    """What a watcher is attached to."""

    def __init__(self):
        self.revision = 10
        self.left = []

    def watcher(self, **more):
        return Watcher(10, lambda: self.revision, self.left.append, **more)


def batch(*revisions):
    return [Event(ADDED, Entry(f"/{r}", r, r, b""), None) for r in revisions]


def revisions(events):
    return [event.revision for event in events]


def test_batches_come_as_they_were_pushed(live):
    async def main():
        watcher = Source().watcher()
        one, two = batch(11, 12), batch(13)
        watcher.push(one)
        watcher.push(two)
        assert await anext(watcher) is one
        assert watcher.take() is two
        assert watcher.take() == ()

    live(main())


def test_waits_for_the_next_batch(live):
    async def main():
        watcher = Source().watcher()
        task = asyncio.ensure_future(anext(watcher))
        await asyncio.sleep(0.001)
        assert not task.done()
        watcher.push(batch(11))
        watcher.push(batch(12))
        assert revisions(await task) == [11]
        assert revisions(await anext(watcher)) == [12]

    live(main())


def test_the_past_comes_before_what_was_pushed_meanwhile(live):
    async def main():
        source = Source()
        source.revision = 20
        watcher = source.watcher()
        asked = []

        async def past(since):
            asked.append(since)
            await asyncio.sleep(0)
            return Page(batch(since + 1) if since != 12 else [], since + 2)

        watcher.read_first(past, upto=16)
        watcher.push(batch(18))
        assert watcher.revision == 10
        assert watcher.take() == ()
        got = [revisions(await anext(watcher)) for _ in range(3)]
        assert got == [[11], [15], [18]]
        assert asked == [10, 12, 14]
        assert watcher.revision == 20

    live(main())


def test_cut_off_when_it_leaves_too_much(live):
    async def main():
        source = Source()
        watcher = source.watcher(limit=3)
        watcher.push(batch(11, 12, 13, 14))  # one batch is never too much
        assert source.left == []
        await anext(watcher)
        watcher.push(batch(15, 16))
        watcher.push(batch(17, 18))
        assert source.left == [watcher]
        watcher.push(batch(19))
        with pytest.raises(WatcherTooSlow) as error:
            await anext(watcher)
        assert error.value.revision == watcher.revision == 14

    live(main())


def test_cut_off_when_what_it_leaves_is_too_heavy(live):
    async def main():
        source = Source()
        watcher = source.watcher()
        watcher.push(batch(11), 2 * WEIGHT)  # what is read next is never too much
        watcher.push(batch(12), WEIGHT)
        await anext(watcher)
        await anext(watcher)
        watcher.push(batch(13), 2 * WEIGHT)
        watcher.push(batch(14), WEIGHT // 2)
        watcher.push(batch(15), WEIGHT // 2)
        assert source.left == []
        watcher.push(batch(16), 1)
        with pytest.raises(WatcherTooSlow) as error:
            await anext(watcher)
        assert error.value.revision == 12

    live(main())


def test_cut_off_while_it_reads_the_past(live):
    async def main():
        watcher = Source().watcher(limit=1)

        async def past(since):
            watcher.push(batch(31))
            watcher.push(batch(32))
            return Page(batch(11), 30)

        watcher.read_first(past, upto=30)
        assert revisions(await anext(watcher)) == [11]
        with pytest.raises(WatcherTooSlow) as error:
            await anext(watcher)
        assert error.value.revision == 30

    live(main())


def test_closing_wakes_the_reader(live):
    async def main():
        source = Source()
        watcher = source.watcher()

        async def read():
            return [b async for b in watcher]

        task = asyncio.ensure_future(read())
        await asyncio.sleep(0.001)
        watcher.close()
        watcher.close()
        assert await task == []
        assert source.left == [watcher]

    live(main())


def test_a_nudge_ends_one_wait_and_loses_nothing(live):
    async def main():
        watcher = Source().watcher()
        waiting = asyncio.ensure_future(anext(watcher))
        await asyncio.sleep(0)
        watcher.nudge()
        assert await waiting == ()
        watcher.nudge()
        watcher.push(batch(11))
        assert revisions(await anext(watcher)) == [11]
        assert await anext(watcher) == ()
        waiting = asyncio.ensure_future(anext(watcher))
        await asyncio.sleep(0)
        watcher.push(batch(12))
        assert revisions(await waiting) == [12]

    live(main())
