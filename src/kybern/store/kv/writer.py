"""One thread that writes, and groups what arrives while it does.

In:   planned events with the futures of who waits for them; other jobs for the same thread.
Out:  batches, on the disk: told to the event loop with one call each.
By:   `sqlite`.

Group commit: whatever was handed over while the last transaction was being written goes into the
next one. A flush of the disk then pays for many writes, and a single one does not wait for
company.

When a batch fails, the writes planned after it may build on it. They carry the number of failures
they knew of (`epoch`): those of an older epoch are refused too, for the same reason.
"""

from __future__ import annotations

import threading
from collections import deque
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from kybern.lib import logs
from kybern.store.interface import StoreFailed

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from kybern.store.interface import Event

log = logs.get("store.writer")

_BATCH = 1024
"""At most so many writes in one transaction: whoever is first should not wait for too many."""


class Write(NamedTuple):
    """A planned write."""

    event: Event
    answer: asyncio.Future[None]
    epoch: int


class Job(NamedTuple):
    """Anything else that has to be done in the thread, in turn."""

    work: Callable[[], Any]
    answer: asyncio.Future[Any]


class Outcome(Protocol):
    """What became of a batch; called in the event loop."""

    def committed(self, writes: Sequence[Write]) -> None:
        """They are on the disk."""

    def failed(self, writes: Sequence[Write], error: StoreFailed, first: bool) -> None:
        """They are not. `first`: whatever else is planned by now builds on them and fails too."""


class Writer:
    """The thread, from construction until `stop`. Methods are for the event loop's thread."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        append: Callable[[Sequence[Event]], None],
        outcome: Outcome,
    ) -> None:
        self._loop = loop
        self._append = append
        self._outcome = outcome
        self._waiting: deque[Write | Job] = deque()
        self._bell: SimpleQueue[bool] = SimpleQueue()
        self._rung = False
        self._epoch = 0
        self._failure = StoreFailed("nothing failed yet")
        # A daemon: what was not answered may be lost, and a program that ends must not hang.
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def write(self, event: Event, epoch: int) -> asyncio.Future[None]:
        """Hand over a planned write; the future ends with it."""
        answer: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(Write(event, answer, epoch))
        if not self._rung:
            # After the other tasks had their turn: often they have something to write as well.
            self._rung = True
            self._loop.call_soon(self._ring)
        return answer

    def do(self, work: Callable[[], Any]) -> asyncio.Future[Any]:
        """Have something done between two batches, after what was handed over before."""
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append(Job(work, answer))
        self._bell.put(True)
        return answer

    def stop(self) -> None:
        """Let the thread end after what was handed over."""
        self._bell.put(False)

    def _ring(self) -> None:
        self._rung = False
        self._bell.put(True)

    # --- in the thread ---------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            more = self._bell.get()
            while self._waiting:
                self._next()
            if not more:
                return

    def _next(self) -> None:
        waiting = self._waiting
        writes: list[Write] = []
        while waiting and len(writes) < _BATCH:
            item = waiting[0]
            if isinstance(item, Job):
                if not writes:
                    waiting.popleft()
                    self._work(item)
                    return
                break
            if writes and item.epoch != writes[0].epoch:
                break
            waiting.popleft()
            writes.append(item)
        self._commit(writes)

    def _commit(self, writes: list[Write]) -> None:
        if writes[0].epoch != self._epoch:
            self._tell(self._outcome.failed, writes, self._failure, False)
            return
        try:
            self._append([write.event for write in writes])
        except Exception as failure:  # noqa: BLE001  # whatever it is, the waiting must be told
            self._epoch += 1
            self._failure = _as_store_failed(failure)
            self._tell(self._outcome.failed, writes, self._failure, True)
        else:
            self._tell(self._outcome.committed, writes)

    def _work(self, job: Job) -> None:
        try:
            result = job.work()
        except Exception as failure:  # noqa: BLE001  # raised where it is awaited
            self._tell(_raise_in, job.answer, failure)
        else:
            self._tell(_return_to, job.answer, result)

    def _tell(self, call: Callable[..., None], *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(call, *args)
        except RuntimeError:
            log.warning("the event loop ended before the answer", call=call.__name__)


def _as_store_failed(failure: Exception) -> StoreFailed:
    if isinstance(failure, StoreFailed):
        return failure
    log.exception("writing failed in an unexpected way", error=failure)
    error = StoreFailed(f"writing failed in an unexpected way: {failure!r}")
    error.__cause__ = failure
    return error


def _return_to(answer: asyncio.Future[Any], result: Any) -> None:
    if not answer.done():
        answer.set_result(result)


def _raise_in(answer: asyncio.Future[Any], failure: Exception) -> None:
    if not answer.done():
        answer.set_exception(failure)
