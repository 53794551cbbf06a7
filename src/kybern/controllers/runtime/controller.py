"""The loop of a controller: take a key, reconcile it, decide when to look again.

In:   keys, from event handlers.
Out:  calls of `reconcile`, never two at a time for one key.
By:   every controller has one `Loop`, or several when it has several kinds of work.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

from kybern.api import errors
from kybern.client.transport import Unreachable
from kybern.client.workqueue import QueueClosed, WorkQueue
from kybern.controllers.runtime.pacing import Pacing
from kybern.controllers.runtime.reconcile import Terminal
from kybern.lib import logs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable
    from typing import Any

    from kybern.client.informer import Informer
    from kybern.controllers.runtime.reconcile import Outcome

K = TypeVar("K", bound="Hashable")

log = logs.get("controllers")


class Loop(Generic[K]):
    """Workers on one queue.

    A `reconcile` that raises is called again with the key's back-off. Conflicts and objects that
    went away meanwhile are everyday life and not logged; a bug is logged with its traceback.
    """

    def __init__(
        self,
        name: str,
        reconcile: Callable[[K], Awaitable[Outcome]],
        *,
        after: tuple[Informer[Any], ...] = (),
        workers: int = 2,
    ) -> None:
        """Make a loop that starts when the informers in `after` are complete."""
        self.name = name
        self.queue: WorkQueue[K] = WorkQueue()
        self._reconcile = reconcile
        self._after = after
        self._workers = workers
        self._pacing: Pacing[K] = Pacing()
        self._done = 0
        self._failed = 0

    def add(self, key: K) -> None:
        """Have a key reconciled."""
        self.queue.add(key)

    def looked(self, key: K, objects: int) -> None:
        """Note that this look took in so many objects: the next one is not at once if it is many.

        For a `reconcile` whose every call looks at all that belongs to a key, and that found
        nothing to do which the next call would go on with.
        """
        self._pacing.looked(key, objects, asyncio.get_running_loop().time())

    def hurry(self, key: K) -> None:
        """Have a key reconciled at once, however large: something else is wanted of it."""
        self._pacing.forget(key)
        self.queue.add(key)

    async def run(self) -> None:
        """Work for ever."""
        for informer in self._after:
            await informer.wait_synced()
        async with asyncio.TaskGroup() as group:
            for number in range(self._workers):
                group.create_task(self._work(), name=f"{self.name} worker {number}")

    def statistics(self) -> dict[str, int]:
        """Return how much was done, how often it failed, and what waits."""
        return {"done": self._done, "failed": self._failed, **self.queue.statistics()}

    async def _work(self) -> None:
        while True:
            try:
                key = await self.queue.get()
            except QueueClosed:
                return
            try:
                wait = self._pacing.wait(key, asyncio.get_running_loop().time())
                if wait:
                    self.queue.add_after(key, wait)
                else:
                    await self._once(key)
            finally:
                self.queue.done(key)

    async def _once(self, key: K) -> None:
        queue = self.queue
        try:
            outcome = await self._reconcile(key)
        except Terminal as error:
            log.warning("giving up", controller=self.name, key=str(key), reason=str(error))
            queue.forget(key)
            self._failed += 1
        except (errors.Conflict, errors.NotFound, errors.AlreadyExists) as error:
            log.debug("raced", controller=self.name, key=str(key), reason=error.message)
            queue.add_rate_limited(key)
        except (errors.ApiError, Unreachable) as error:
            self._again(key, str(error))
        except ExceptionGroup as group:
            self._several(key, group)
        except Exception as error:
            log.exception("reconcile failed", error=error, controller=self.name, key=str(key))
            queue.add_rate_limited(key)
            self._failed += 1
        else:
            self._done += 1
            queue.forget(key)
            if outcome is not None:
                queue.add_after(key, outcome.delay)

    def _several(self, key: K, group: ExceptionGroup[Exception]) -> None:
        expected, bugs = group.split((errors.ApiError, Unreachable))
        if bugs is not None:
            log.exception("reconcile failed", error=bugs, controller=self.name, key=str(key))
            self._failed += 1
            self.queue.add_rate_limited(key)
        else:
            self._again(key, str(_leaf(expected)))

    def _again(self, key: K, reason: str) -> None:
        self._failed += 1
        # The first failures of a key are mostly the cluster starting or a namespace going away.
        tell = log.warning if self.queue.failures(key) == 5 else log.debug
        tell("reconcile failed, trying again", controller=self.name, key=str(key), reason=reason)
        self.queue.add_rate_limited(key)


def _leaf(error: BaseException | None) -> BaseException | None:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
