"""Who waits until a revision was told.

In:   revisions that readers must see, and how far things are.
Out:  readers that go on.
By:   `engine`.
"""

from __future__ import annotations

import asyncio
import heapq
from typing import TYPE_CHECKING

from kybern.store.interface import StoreClosed, StoreFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.store.kv.etcd.mirror import Mirror

REACH_SECONDS = 10.0
"""How long a reader waits until what it must see has come."""


class Reached:
    """Readers in the order of what they wait for."""

    def __init__(self, mirror: Mirror, problem: Callable[[], str]) -> None:
        self._mirror = mirror
        self._problem = problem
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []

    async def wait(self, revision: int) -> None:
        """Wait until everything up to the revision was told.

        Raises:
            StoreFailed: it does not come.
        """
        if revision <= self._mirror.revision:
            return
        waiter = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (revision, id(waiter), waiter))
        try:
            async with asyncio.timeout(REACH_SECONDS):
                await waiter
        except TimeoutError:
            raise StoreFailed(
                f"etcd is at revision {revision}, and only {self._mirror.revision} has reached us:"
                f" {self._problem() or 'the watch has not brought it'}"
            ) from None

    def wake(self) -> None:
        """Let those go on whose revision was told."""
        waiting, revision = self._waiting, self._mirror.revision
        while waiting and waiting[0][0] <= revision:
            waiter = heapq.heappop(waiting)[2]
            if not waiter.done():
                waiter.set_result(None)

    def close(self) -> None:
        """Let nobody wait any longer."""
        for _, _, waiter in self._waiting:
            if not waiter.done():
                waiter.set_exception(StoreClosed())
