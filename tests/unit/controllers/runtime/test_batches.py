"""Doing the same to many objects."""

from __future__ import annotations

import asyncio

import pytest

from kybern.api import errors
from kybern.controllers.runtime.batches import slow_start
from kybern.lib.clock import run_virtual


def test_batches_double():
    async def main():
        at_once, sizes = 0, []

        async def do(_):
            nonlocal at_once
            at_once += 1
            await asyncio.sleep(1)
            sizes.append(at_once)
            await asyncio.sleep(1)
            at_once -= 1

        assert await slow_start(range(12), do) is None
        assert sizes == [1] + [2] * 2 + [4] * 4 + [5] * 5

    run_virtual(main())


def test_after_a_failure_no_batch_begins():
    async def main():
        tried = []

        async def do(number):
            tried.append(number)
            if number == 2:
                raise errors.Forbidden("quota")

        error = await slow_start(range(100), do)
        assert isinstance(error, errors.Forbidden)
        assert tried == [0, 1, 2]
        assert await slow_start([], do) is None

    run_virtual(main())


def test_a_bug_is_not_a_failure():
    async def do(_):
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup):
        run_virtual(slow_start([1], do))
