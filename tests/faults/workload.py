"""Clients of one or several stores, and watchers beside them, while something is broken.

In:   open stores on one medium, a seed.
Out:  histories and folds, judged at the end.
By:   the tests of watches and of etcd, and `bench/faults.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.faults import linearizability
from tests.faults.fold import Fold
from tests.faults.history import Outcome, Recorder, StoreClient, some_work

from kybern.store.interface import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.faults.history import Operation

    from kybern.store.interface import Listing
    from kybern.store.objects import Store


class Verdict(NamedTuple):
    """What was done, and judged."""

    operations: int
    answered_writes: int
    open_writes: int
    lists_compared: int
    reconnects: int


class Workload:
    """Runs for the length of a block; `judge` it afterwards, with the stores still open."""

    def __init__(
        self,
        stores: Sequence[Store],
        seed: int,
        *,
        clients: int = 4,
        keys: int = 12,
        space: str = "/registry/configmaps/",
        pause: float = 0.004,
        keep: int = 300,
    ) -> None:
        """Plan `clients` of each store, who pause between two calls, for some keys.

        `keep` is how many revisions compaction leaves.
        """
        self._pause, self._keep = pause, keep
        self.recorder = Recorder()
        self.keys = [f"{space}{'ab'[number % 2]}/{number}" for number in range(keys)]
        self.stores = stores
        self._rng = random.Random(seed)
        self._group = asyncio.TaskGroup()
        self._tasks: list[asyncio.Task[None]] = []
        self._clients = [
            StoreClient(f"{store}-{number}", stores[store], self.recorder, self._fork())
            for store in range(len(stores))
            for number in range(clients)
        ]
        self.folds = [
            Fold(store, scope, self._fork())
            for store in stores
            for scope in (space, f"{space}a/", self.keys[1])
        ]

    async def __aenter__(self) -> Workload:
        await self._group.__aenter__()
        for client in self._clients:
            self._tasks.append(self._group.create_task(self._work(client)))
        for fold in self.folds:
            self._tasks.append(self._group.create_task(fold.follow()))
        self._tasks.append(self._group.create_task(self._forget()))
        return self

    async def __aexit__(self, *error: Any) -> None:
        for task in self._tasks:
            task.cancel()
        await self._group.__aexit__(*error)

    async def progress(self, writes: int = 20) -> None:
        """Wait until so many writes have been answered to each store's clients, begun after now."""
        began = time.monotonic()
        for store in range(len(self.stores)):
            while len(self.answered(began, str(store))) < writes:
                await asyncio.sleep(0.01)

    def answered(self, since: float, store: str = "") -> list[Operation]:
        """Return the answered writes that began after a moment."""
        recent = []
        for operation in reversed(self.recorder.operations):
            if operation.start < since:
                break
            done = operation.outcome is Outcome.DONE and operation.verb != "read"
            if done and operation.client.startswith(store):
                recent.append(operation)
        return recent

    async def judge(self, *counts: int) -> Verdict:
        """Check histories and folds; these with lists of each store, at so many revisions."""
        operations = self.recorder.operations
        for number, store in enumerate(self.stores):
            await store.fresh()
            auditor = StoreClient(f"audit-{number}", store, self.recorder, self._rng)
            for key in self.keys:
                await auditor.read(key)
        linearizability.check(operations)
        latest = min(store.revision for store in self.stores)
        compared = 0
        for fold in self.folds:
            await fold.catch_up(latest)
            for store, count in zip(self.stores, counts, strict=True):
                compared += await fold.check(store.list_at, _some(fold.base, latest, count))
        # What the medium says itself of its past, without anything that was remembered here.
        medium = self.stores[0]._engine

        async def list_at(prefix: str, revision: int) -> Listing:
            return await medium.list(prefix, revision=revision)

        fold = self.folds[0]
        compared += await fold.check(list_at, _some(fold.base, latest, 50))
        writes = [op for op in operations if op.verb != "read"]
        return Verdict(
            len(operations),
            sum(op.outcome is Outcome.DONE for op in writes),
            sum(op.outcome is Outcome.UNKNOWN for op in writes),
            compared,
            sum(fold.connections for fold in self.folds),
        )

    def _fork(self) -> random.Random:
        return random.Random(self._rng.random())

    async def _work(self, client: StoreClient) -> None:
        rng = self._fork()
        while True:
            try:
                await some_work(client, self.keys, rng)
            except StoreError:
                await asyncio.sleep(0.02)
            await asyncio.sleep(rng.random() * self._pause)

    async def _forget(self) -> None:
        """Compact every now and then, from either store."""
        while True:
            await asyncio.sleep(self._rng.random())
            store = self._rng.choice(self.stores)
            with contextlib.suppress(StoreError):
                await store.compact(max(store.revision - self._keep, 1))


def _some(first: int, last: int, count: int) -> range:
    """Return about so many revisions; all, if they are no more."""
    return range(first, last + 1, max(1, (last - first) // count))
