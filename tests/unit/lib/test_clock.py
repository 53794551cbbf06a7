from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kybern.lib import clock


def test_a_day_takes_no_time(virtual):
    async def day():
        time = clock.VirtualClock(start=1000.0)
        before = clock.SYSTEM.monotonic()
        async with asyncio.TaskGroup() as group:
            for seconds in (86_400, 3600, 60):
                group.create_task(time.sleep(seconds))
        assert clock.SYSTEM.monotonic() - before < 1
        return time.now(), time.monotonic()

    assert virtual(day()) == (1000.0 + 86_400, 86_400)


def test_virtual_timers_fire_in_order(virtual):
    async def main():
        order = []

        async def after(seconds):
            await asyncio.sleep(seconds)
            order.append(seconds)

        async with asyncio.TaskGroup() as group:
            for seconds in (3, 1, 2.5, 1e7):
                group.create_task(after(seconds))
        return order

    assert virtual(main()) == [1, 2.5, 3, 1e7]


def test_threads_hold_virtual_time(virtual):
    async def main():
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(1):
            await loop.run_in_executor(None, lambda: clock.time.sleep(0.05))
        return loop.time()

    assert virtual(main()) == 0.0


def test_outside_holds_virtual_time(virtual):
    async def main():
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        with loop.outside():
            import threading

            thread = threading.Timer(0.02, loop.call_soon_threadsafe, (waiter.set_result, 7))
            thread.start()
            async with asyncio.timeout(0.001):
                return await waiter

    assert virtual(main()) == 7


def test_deadlock_is_an_error():
    async def main():
        await asyncio.get_running_loop().create_future()

    with pytest.raises(clock.Deadlock):
        clock.run_virtual(main(), patience=0.01)


@pytest.mark.parametrize(
    ("timestamp", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_767_225_599.999, "2025-12-31T23:59:59Z"),
        (-1, "1969-12-31T23:59:59Z"),
        (-0.5, "1969-12-31T23:59:59Z"),
    ],
)
def test_rfc3339(timestamp, text):
    assert clock.rfc3339(timestamp) == text


def test_fractions():
    assert clock.rfc3339_micro(1.0000004) == "1970-01-01T00:00:01.000000Z"
    assert clock.rfc3339_micro(1.9999996) == "1970-01-01T00:00:02.000000Z"
    assert clock.rfc3339_milli(1.9999) == "1970-01-01T00:00:01.999Z"


@pytest.mark.parametrize(
    ("text", "timestamp"),
    [
        ("2026-01-01T00:00:00Z", 1_767_225_600.0),
        ("2026-01-01T02:00:00+02:00", 1_767_225_600.0),
        ("2025-12-31T19:00:00-05:00", 1_767_225_600.0),
        ("2026-01-01T00:00:00.25Z", 1_767_225_600.25),
        ("1969-12-31T23:59:59.5Z", -0.5),
        ("0001-01-01T00:00:00Z", -62_135_596_800.0),
    ],
)
def test_parse(text, timestamp):
    assert clock.parse_rfc3339(text) == timestamp


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-01-01",
        "2026-13-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:00:00",
        "2026-01-01 00:00:00Z",
        "2026-01-01T00:00:00Zjunk",
        "2026-01-01T00:00:00+25:00",
        "\uff12026-01-01T00:00:00Z",
    ],
)
def test_parse_refuses(text):
    with pytest.raises(ValueError):
        clock.parse_rfc3339(text)


@given(st.integers(0, 4_000_000_000), st.integers(0, 999_999))
def test_micro_round_trip(second, micro):
    text = f"{clock.rfc3339(second)[:-1]}.{micro:06}Z"
    assert clock.rfc3339_micro(clock.parse_rfc3339(text)) == text


def shuffled(seed):
    async def main():
        order = []

        async def note(number):
            for _ in range(3):
                await asyncio.sleep(0)
                order.append(number)

        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(note(number))
        return order

    return clock.run_virtual(main(), rng=random.Random(seed))


def test_with_chance_the_next_to_run_is_drawn():
    assert shuffled(1) != sorted(shuffled(1))
    assert shuffled(1) != shuffled(2)
    assert sorted(shuffled(1)) == sorted(shuffled(2))


def test_the_same_chance_gives_the_same_order():
    assert shuffled(7) == shuffled(7)


def test_tasks_of_a_shuffled_loop_have_an_order_in_sets():
    async def main():
        tasks = [asyncio.create_task(asyncio.sleep(1)) for _ in range(50)]
        hashes = [hash(task) for task in tasks]
        await asyncio.wait(tasks)
        return hashes

    assert run_twice(main) == [list(range(first, first + 50)) for first in (2, 2)]


def run_twice(main):
    return [clock.run_virtual(main(), rng=random.Random(1)) for _ in range(2)]
