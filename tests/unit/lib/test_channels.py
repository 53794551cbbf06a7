from __future__ import annotations

import asyncio

import pytest

from kybern.lib.channels import Broadcaster, Channel, ChannelClosed, Overflow, ReaderTooSlow


def test_block_waits_for_room(virtual):
    async def main():
        channel = Channel(2)
        sent = []

        async def sender():
            for n in range(5):
                await channel.send(n)
                sent.append(n)
            channel.close()

        async with asyncio.TaskGroup() as group:
            group.create_task(sender())
            await asyncio.sleep(1)
            assert sent == [0, 1]
            return [n async for n in channel]

    assert virtual(main()) == [0, 1, 2, 3, 4]


def test_drop_newest(virtual):
    async def main():
        channel = Channel(2, Overflow.DROP_NEWEST)
        accepted = [channel.try_send(n) for n in range(4)]
        await channel.send(9)
        channel.close()
        return accepted, channel.dropped, [n async for n in channel]

    assert virtual(main()) == ([True, True, False, False], 3, [0, 1])


def test_close_on_overflow_keeps_the_prefix(virtual):
    async def main():
        channel = Channel(2, Overflow.CLOSE)
        for n in range(2):
            await channel.send(n)
        with pytest.raises(ReaderTooSlow):
            await channel.send(2)
        got = []
        with pytest.raises(ReaderTooSlow):
            async for n in channel:
                got.append(n)
        return got

    assert virtual(main()) == [0, 1]


def test_closed_channel(virtual):
    async def main():
        channel = Channel(1)
        channel.close()
        assert not channel.try_send(1)
        with pytest.raises(ChannelClosed):
            await channel.send(1)
        with pytest.raises(ChannelClosed):
            await channel.recv()

    virtual(main())


def test_close_wakes_both_sides(virtual):
    async def main():
        empty, full = Channel(1), Channel(1)
        full.try_send(1)
        results = []

        async def expect_closed(coro):
            try:
                await coro
            except ValueError:
                results.append("told")

        async with asyncio.TaskGroup() as group:
            group.create_task(expect_closed(empty.recv()))
            group.create_task(expect_closed(full.send(2)))
            await asyncio.sleep(0)
            empty.close(ValueError("why"))
            full.close(ValueError("why"))
        return results

    assert virtual(main()) == ["told", "told"]


def test_recv_all_takes_a_batch_and_wakes_senders(virtual):
    async def main():
        channel = Channel(3)
        for n in range(3):
            channel.try_send(n)
        async with asyncio.TaskGroup() as group:
            group.create_task(channel.send(3))
            group.create_task(channel.send(4))
            await asyncio.sleep(0)
            first = await channel.recv_all()
            await asyncio.sleep(0)
            return first, await channel.recv_all()

    assert virtual(main()) == ([0, 1, 2], [3, 4])


def test_a_cancelled_receiver_passes_its_turn_on(virtual):
    async def main():
        channel = Channel(1)
        first = asyncio.create_task(channel.recv())
        second = asyncio.create_task(channel.recv())
        await asyncio.sleep(0)
        channel.try_send("item")  # wakes the first
        first.cancel()
        async with asyncio.timeout(1):
            return await second

    assert virtual(main()) == "item"


def test_needs_a_bound():
    with pytest.raises(ValueError, match="bound"):
        Channel(0)


def test_broadcaster_drops_the_slow_and_keeps_the_rest(virtual):
    async def main():
        source = Broadcaster()
        slow, quick, lossy = (
            source.subscribe(1),
            source.subscribe(9),
            source.subscribe(1, Overflow.DROP_NEWEST),
        )
        for n in range(3):
            source.send(n)
        assert len(source) == 2
        source.close()
        with pytest.raises(ReaderTooSlow):
            await slow.recv_all()
            await slow.recv()
        late = source.subscribe(1)
        return [n async for n in quick], [n async for n in lossy], [n async for n in late]

    assert virtual(main()) == ([0, 1, 2], [0], [])


def test_broadcaster_does_not_block():
    with pytest.raises(ValueError, match="does not wait"):
        Broadcaster().subscribe(1, Overflow.BLOCK)
