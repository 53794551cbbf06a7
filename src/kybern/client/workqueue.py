"""Keys waiting to be worked on.

In:   keys from event handlers, and from workers that want another turn.
Out:  one key at a time to each worker.
By:   controllers.runtime.controller, the scheduler, the kubelet's workers.

A key waits at most once; it is never handed to two workers at a time; a key added while it is being
worked on comes back when that work is done. So the queue is bounded by the number of distinct keys,
and adding never blocks and never drops.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

from kybern.lib.backoff import Backoff

K = TypeVar("K", bound=Hashable)

# A failed key comes back after 5 ms, then 10 ms, … up to a minute.
RETRY = Backoff(initial=0.005, factor=2.0, cap=60.0, jitter=0.1)


class QueueClosed(Exception):
    """Raised by `get` once the queue was shut down and has nothing left to hand out."""


class WorkQueue(Generic[K]):
    """A de-duplicating queue with delays and per-key back-off, for one event loop."""

    def __init__(self, *, retry: Backoff = RETRY, rng: random.Random | None = None) -> None:
        self._retry = retry
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not a secret
        self._ready: deque[K] = deque()
        self._dirty: set[K] = set()
        self._working: set[K] = set()
        self._later: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._closed = False
        self._idle: asyncio.Event | None = None

    def __len__(self) -> int:
        return len(self._ready)

    def add(self, key: K) -> None:
        """Hand out the key as soon as a worker is free; a no-op when it already waits."""
        if self._closed or key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._working:
            self._ready.append(key)
            self._wake()

    def add_after(self, key: K, delay: float) -> None:
        """Add the key after `delay` seconds; of several such wishes the earliest counts."""
        if self._closed:
            return
        if delay <= 0:
            self.add(key)
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + delay
        pending = self._later.get(key)
        if pending is not None:
            if pending.when() <= due:
                return
            pending.cancel()
        self._later[key] = loop.call_at(due, self._due, key)

    def add_rate_limited(self, key: K) -> None:
        """Add the key after its back-off, which grows with each call until `forget`."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        self.add_after(key, self._retry.delay(failures, self._rng))

    def forget(self, key: K) -> None:
        """Reset the back-off of a key."""
        self._failures.pop(key, None)

    def failures(self, key: K) -> int:
        """Return how often the key was added rate limited since it was last forgotten."""
        return self._failures.get(key, 0)

    async def get(self) -> K:
        """Wait for a key and mark it as being worked on; `done` must follow.

        Raises:
            QueueClosed: the queue was shut down and is empty.
        """
        while not self._ready:
            if self._closed:
                raise QueueClosed
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                # A wake-up that this task can no longer use belongs to the next in line.
                if waiter.done() and not waiter.cancelled():
                    self._wake()
                elif waiter in self._waiters:
                    self._waiters.remove(waiter)
                raise
        key = self._ready.popleft()
        self._dirty.discard(key)
        self._working.add(key)
        return key

    def done(self, key: K) -> None:
        """Say that the work on a key is over; if it was added meanwhile it waits again."""
        self._working.discard(key)
        if key in self._dirty:
            self._ready.append(key)
            self._wake()
        elif self._idle is not None and not self._working and not self._ready:
            self._idle.set()

    async def wait_idle(self) -> None:
        """Wait until nothing is ready and nothing is being worked on; delayed keys do not count."""
        while self._ready or self._working:
            self._idle = asyncio.Event()
            await self._idle.wait()

    def shutdown(self) -> None:
        """Take no more keys, drop the delayed ones, and let workers drain what is ready."""
        self._closed = True
        for handle in self._later.values():
            handle.cancel()
        self._later.clear()
        while self._waiters:
            self._wake()

    def statistics(self) -> dict[str, int]:
        """Return how many keys are ready, being worked on, delayed, and failing."""
        return {
            "ready": len(self._ready),
            "working": len(self._working),
            "delayed": len(self._later),
            "failing": len(self._failures),
        }

    def _due(self, key: K) -> None:
        self._later.pop(key, None)
        self.add(key)

    def _wake(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
