"""Fixtures of the DNS tests."""

import asyncio

import pytest


@pytest.fixture
def live():
    """Run a coroutine on asyncio's own loop.

    uvloop's `close` sometimes waits for ever for a connected UDP handle that it never closes; the
    programs leave their loop to the kernel instead (`cmd/process.py`).
    """

    def run(main):
        async def limited():
            async with asyncio.timeout(20):
                return await main

        return asyncio.run(limited())

    return run
