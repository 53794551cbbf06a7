"""Fixtures for every test: how to run a coroutine.

`virtual` runs it in simulated time (sleeps cost nothing), `live` on uvloop with real sockets.
"""

from __future__ import annotations

import asyncio
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from kybern.lib.clock import run_virtual

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the fast tests first, then the slow ones, then those with real containers."""

    def cost(item: pytest.Item) -> int:
        return 2 * bool(item.get_closest_marker("e2e")) + bool(item.get_closest_marker("slow"))

    items.sort(key=cost)


@pytest.fixture
def virtual() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Run a coroutine in virtual time."""
    return run_virtual


@pytest.fixture
def live() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Run a coroutine on the event loop that the program uses, at most 20 seconds."""
    import uvloop

    def run(main: Coroutine[Any, Any, Any]) -> Any:
        async def limited() -> Any:
            async with asyncio.timeout(20):
                try:
                    return await main
                finally:
                    for _ in range(3):  # what was closed takes a turn of the loop to be gone
                        await asyncio.sleep(0)

        # uvloop warns of what is still open while it closes its handles. A warning that is an
        # error would leave that handle open, and the loop would wait for it for ever.
        with warnings.catch_warnings(record=True) as unclosed:
            warnings.simplefilter("always", ResourceWarning)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                answer = runner.run(limited())
        assert [str(w.message) for w in unclosed] == []
        return answer

    return run
