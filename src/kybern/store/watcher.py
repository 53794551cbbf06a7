"""One reader of events.

In:   batches of events as they are committed; before them, pages of the past.
Out:  the same, one after the other, to one task.
By:   the watch handler of the API server, through `objects.Store.watch`.

A watcher never makes a writer wait: what is not read yet is kept up to a bound; beyond it the
watcher is cut off and told.
"""

from __future__ import annotations

import asyncio
import enum
from collections import deque
from typing import TYPE_CHECKING

from kybern.store.interface import Compacted, WatcherTooSlow

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from kybern.store.interface import Event
    from kybern.store.kv.interface import Page

    Past = Callable[[int], Awaitable[Page]]

BUFFER = 10_000
"""How many unread events a watcher may leave …"""
WEIGHT = 64 << 20
"""… and how many bytes of them, besides the batch that is read next."""


class _Life(enum.Enum):
    OPEN = "open"
    CUT_OFF = "cut off"
    EXPIRED = "expired"
    CLOSED = "closed"


class Watcher:
    """Yields lists of events, in order of revisions, each list as soon as it is committed.

    For one task. A cancelled wait loses nothing: iterate again. Ends when closed, by either
    side. The lists are borrowed.

    Raises, from the iteration:
        WatcherTooSlow: it was cut off; watch again from `error.revision`.
        Compacted: what it has not handed out yet is forgotten; list again.
    """

    __slots__ = (
        "_batches", "_delivered", "_goal", "_latest", "_leave", "_life", "_limit", "_nudged",
        "_past", "_unread", "_waiter", "_weight",
    )  # fmt: skip

    def __init__(
        self,
        since: int,
        latest: Callable[[], int],
        leave: Callable[[Watcher], None],
        limit: int = BUFFER,
    ) -> None:
        self._delivered = since
        self._latest = latest
        self._leave = leave
        self._limit = limit
        self._batches: deque[tuple[Sequence[Event], int]] = deque()
        self._unread = 0
        self._weight = 0
        self._life = _Life.OPEN
        self._waiter: asyncio.Future[None] | None = None
        self._past: Past | None = None
        self._goal = 0
        self._nudged = False

    @property
    def revision(self) -> int:
        """Up to which revision everything in the scope has been handed out: for bookmarks."""
        if self._batches or self._past is not None or self._life is not _Life.OPEN:
            return self._delivered
        return max(self._delivered, self._latest())

    def push(self, batch: Sequence[Event], weight: int = 0) -> None:
        """Hand over committed events, which hold so many bytes; by the store."""
        if not self._batches:
            weight = 0
        elif self._unread + len(batch) > self._limit or self._weight + weight > WEIGHT:
            self._end(_Life.CUT_OFF)
            return
        self._batches.append((batch, weight))
        self._unread += len(batch)
        self._weight += weight
        self._wake()

    def read_first(self, past: Past, upto: int) -> None:
        """Before all else read pages of the past up to a revision; by the store."""
        self._past = past
        self._goal = upto

    def take(self) -> Sequence[Event]:
        """Return the next list of events, or an empty one when there is none yet."""
        if not self._batches or self._past is not None:
            return ()
        batch, weight = self._batches.popleft()
        self._unread -= len(batch)
        self._weight -= weight
        self._delivered = batch[-1].revision
        return batch

    def expire(self, oldest: int) -> None:
        """What comes next, up to the revision `oldest`, cannot be had; by the store."""
        self._goal = oldest
        self._end(_Life.EXPIRED)

    def nudge(self) -> None:
        """Have the next wait for events, or the present one, end with an empty list; by a timer.

        One timer for a minute of waiting is cheaper than a timeout for each wait.
        """
        self._nudged = True
        self._wake()

    def close(self) -> None:
        """Stop watching; the iteration ends."""
        self._end(_Life.CLOSED)

    def __aiter__(self) -> Watcher:
        return self

    async def __anext__(self) -> Sequence[Event]:
        while True:
            if self._life is _Life.CUT_OFF:
                raise WatcherTooSlow(self._delivered)
            if self._life is _Life.EXPIRED:
                raise Compacted(self._goal)
            if self._life is _Life.CLOSED:
                raise StopAsyncIteration
            batch = await self._page() if self._past is not None else self.take()
            if batch:
                return batch
            if self._past is None and not self._batches:
                if self._nudged:
                    self._nudged = False
                    return ()
                await self._wait()

    async def _page(self) -> Sequence[Event]:
        assert self._past is not None
        page = await self._past(self._delivered)
        self._delivered = page.upto
        if page.upto >= self._goal:
            self._past = None
        return page.events

    async def _wait(self) -> None:
        if self._life is not _Life.OPEN:
            return
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _end(self, life: _Life) -> None:
        if self._life is _Life.OPEN:
            self._life = life
            self._batches.clear()
            self._unread = self._weight = 0
            self._leave(self)
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
