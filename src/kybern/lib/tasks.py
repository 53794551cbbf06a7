"""Tasks which outlive the block that starts them: named, owned, and supervised.

In:   coroutines and loop functions, each with a name.
Out:  running tasks; their failures are logged and counted, or end the owner, as it chose.
By:   components, which hold one `Tasks` each. Where the tasks end with the block, use
      `asyncio.TaskGroup` instead. This is the only module which makes free tasks.
"""

from __future__ import annotations

import asyncio
import enum
from typing import TYPE_CHECKING, Any, TypeVar

from kybern.lib import logs
from kybern.lib.backoff import Backoff
from kybern.lib.clock import SYSTEM, Clock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from random import Random
    from types import TracebackType

T = TypeVar("T")

log = logs.get("tasks")
RESTART = Backoff(initial=0.1, factor=2.0, cap=30.0)


class OnError(enum.Enum):
    """What the failure of one task means for its owner."""

    LOG = "log"  # it is logged and counted; the others go on
    PROPAGATE = "propagate"  # the others are cancelled and `async with` raises


class Tasks:
    """A group of tasks with one owner.

    Leaving `async with`, or `close()`, cancels what still runs and waits for it. With
    `OnError.PROPAGATE` the first failure cancels the body and the others, and leaving raises an
    exception group of the failures; outside `async with` use `wait_failed`.
    """

    def __init__(
        self, name: str = "tasks", *, on_error: OnError = OnError.LOG, clock: Clock = SYSTEM
    ) -> None:
        self.name = name
        self.failures = 0
        self._on_error = on_error
        self._clock = clock
        self._running: set[asyncio.Task[Any]] = set()
        self._errors: list[BaseException] = []
        self._owner: asyncio.Task[Any] | None = None
        self._owner_cancelled = False
        self._closed = False
        self._failed: asyncio.Event = asyncio.Event()

    def __len__(self) -> int:
        return len(self._running)

    def spawn(self, coro: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
        """Start a task; its failure is handled by the group's policy.

        Raises:
            RuntimeError: the group is closed; the coroutine is closed too.
        """
        if self._closed:
            coro.close()
            raise RuntimeError(f"{self.name} is closed: {name} was not started")
        task = asyncio.get_running_loop().create_task(coro, name=name)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def spawn_forever(
        self,
        loop_function: Callable[[], Awaitable[None]],
        name: str,
        backoff: Backoff = RESTART,
        rng: Random | None = None,
    ) -> asyncio.Task[None]:
        """Start a loop which is restarted, after a delay, whenever it raises.

        Returning normally ends it. A run longer than the back-off's cap counts as healthy: the
        delays start anew.
        """
        return self.spawn(self._forever(loop_function, name, backoff, rng), name=name)

    async def close(self) -> None:
        """Cancel every task and wait until all have ended; nothing can be started afterwards."""
        self._closed = True
        me = asyncio.current_task()
        for task in self._running:
            if task is not me:
                task.cancel()
        while others := [task for task in self._running if task is not me]:
            await asyncio.wait(others)

    async def wait(self) -> None:
        """Wait until no task runs, without cancelling any."""
        me = asyncio.current_task()
        while others := [task for task in self._running if task is not me]:
            await asyncio.wait(others)

    async def wait_failed(self) -> BaseException:
        """Wait for the first failure and return it (only with `OnError.PROPAGATE`)."""
        await self._failed.wait()
        return self._errors[0]

    def statistics(self) -> dict[str, int]:
        """Return how many tasks run and how many have failed."""
        return {"running": len(self._running), "failures": self.failures}

    async def __aenter__(self) -> Tasks:
        self._owner = asyncio.current_task()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        owner, self._owner = self._owner, None  # from here on a failure needs no cancelling
        await self.close()
        ours = False
        if self._owner_cancelled and owner is not None:
            ours = owner.uncancel() == 0 and isinstance(error, asyncio.CancelledError)
        if self._on_error is OnError.PROPAGATE and self._errors:
            errors = list(self._errors)
            if error is not None and not ours:
                if not isinstance(error, Exception):
                    return None  # a cancellation from outside wins
                errors.append(error)
            raise BaseExceptionGroup(f"failures in {self.name}", errors) from None
        return ours or None

    async def _forever(
        self,
        loop_function: Callable[[], Awaitable[None]],
        name: str,
        backoff: Backoff,
        rng: Random | None,
    ) -> None:
        attempt = 0
        while True:
            began = self._clock.monotonic()
            try:
                await loop_function()
            except Exception:  # supervising is what this is for
                self.failures += 1
                if self._clock.monotonic() - began > backoff.cap:
                    attempt = 0
                delay = backoff.delay(attempt, rng)
                attempt += 1
                log.exception("loop failed, restarting", task=name, delay=round(delay, 3))
            else:
                return
            await self._clock.sleep(delay)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            return
        self.failures += 1
        if self._on_error is OnError.LOG:
            log.exception("task failed", error=error, task=task.get_name(), owner=self.name)
            return
        self._errors.append(error)
        self._failed.set()
        for other in self._running:
            other.cancel()
        if self._owner is not None and not self._owner_cancelled and not self._owner.done():
            self._owner_cancelled = True
            self._owner.cancel()
