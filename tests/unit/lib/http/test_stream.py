from __future__ import annotations

import asyncio

import pytest

from kybern.lib.http.stream import StreamClosed, memory_pair


def test_bytes_go_both_ways(virtual):
    async def main():
        left, right = memory_pair()
        left.write(b"hello")
        right.write(b"there")
        assert (await right.read(2), await right.read(), await left.read()) == (
            b"he",
            b"llo",
            b"there",
        )
        left.write_eof()
        assert await right.read() == b""
        right.write(b"last")
        right.close()
        assert await left.read() == b"last"
        assert await left.read() == b""
        with pytest.raises(StreamClosed):
            left.write(b"x")

    virtual(main())


def test_drain_waits_for_the_reader(virtual):
    async def main():
        left, right = memory_pair()
        written = 0

        async def writer():
            nonlocal written
            for _ in range(100):
                left.write(b"x" * 65536)
                await left.drain()
                written += 65536
            left.close()

        async with asyncio.TaskGroup() as group:
            group.create_task(writer())
            await asyncio.sleep(1)
            assert written <= 6 * 65536
            total = 0
            while data := await right.read():
                total += len(data)
        return total

    assert virtual(main()) == 100 * 65536


def test_closing_wakes_a_waiting_writer(virtual):
    async def main():
        left, right = memory_pair()
        left.write(b"x" * 1_000_000)

        async with asyncio.TaskGroup() as group:
            task = group.create_task(_fails(left.drain()))
            await asyncio.sleep(0)
            right.close()
        return task.result()

    assert virtual(main()) is StreamClosed


def test_abort_is_seen(virtual):
    async def main():
        left, right = memory_pair()
        left.abort()
        return await _fails(right.read())

    assert virtual(main()) is StreamClosed


async def _fails(coro):
    try:
        await coro
    except StreamClosed as error:
        return type(error)
    return None
