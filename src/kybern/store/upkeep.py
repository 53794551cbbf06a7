"""What the store does by itself: deletes what has had its time, and forgets the past.

In:   what was written.
Out:  deletions and compactions, on the engine.
By:   `objects.Store`, whose `run` it is. What to do when is decided in `retention`.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from kybern.lib import logs
from kybern.store.interface import Mismatch, StoreFailed
from kybern.store.retention import KEEP_SECONDS, Deadlines, Due, Forgetting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kybern.lib.clock import Clock
    from kybern.store.interface import Entry
    from kybern.store.kv.interface import Engine

log = logs.get("store.upkeep")

_AT_ONCE = 64
_PAUSE = 1.0
_RETRY = 10.0


class Upkeep:
    """The store's own work. A failing medium is logged and tried again."""

    def __init__(
        self, engine: Engine, clock: Clock, entries: Iterable[Entry], every: float = KEEP_SECONDS
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._every = every
        self._deadlines = Deadlines(() if engine.shared else entries)
        self.forgetting = Forgetting(engine.revision)
        self._earlier = asyncio.Event()
        self._too_much = asyncio.Event()

    def expect(self, entry: Entry) -> None:
        """Note an entry that will expire, unless the medium sees to that."""
        if self._engine.shared:
            return
        earliest = self._deadlines.next()
        self._deadlines.add(entry)
        if earliest is None or entry.expires < earliest:
            self._earlier.set()

    def wrote(self, revision: int, live: int) -> None:
        """Note a commit, after which so many bytes are current.

        A medium that others write to as well is not ours to keep small.
        """
        too_much = self.forgetting.wrote(revision, self._engine.superseded, live)
        if too_much and not self._engine.shared:
            self._too_much.set()

    async def run(self, trim: Callable[[], None]) -> None:
        """Work until cancelled; `trim` lets the memory forget what the medium does."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._expire_forever(), name="store: expire")
            group.create_task(self._compact_forever(trim), name="store: compact")
            group.create_task(self._compact_excess(), name="store: compact excess")

    async def _expire_forever(self) -> None:
        while True:
            await self._wait_due()
            due = self._deadlines.take(self._clock.now(), _AT_ONCE)
            async with asyncio.TaskGroup() as group:
                for item in due:
                    group.create_task(self._expire(item), name=f"store: expire {item.key}")
            if len(due) < _AT_ONCE:
                await self._clock.sleep(_PAUSE)  # what is due soon can go together

    async def _wait_due(self) -> None:
        while True:
            self._earlier.clear()
            at = self._deadlines.next()
            wait = None if at is None else at - self._clock.now()
            if wait is not None and wait <= 0:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._earlier.wait()

    async def _expire(self, due: Due) -> None:
        try:
            await self._engine.delete(due.key, due.revision)
        except Mismatch:
            return  # it was written or deleted since; if it has a deadline, that is noted too
        except StoreFailed as error:
            log.warning("could not delete what has expired", key=due.key, error=str(error))
            self._deadlines.put_off(due, self._clock.now() + _RETRY)

    async def _compact_forever(self, trim: Callable[[], None]) -> None:
        while True:
            await self._clock.sleep(self._every or KEEP_SECONDS)
            trim()
            if self._every:
                await self._compact(self.forgetting.tick())

    async def _compact_excess(self) -> None:
        while True:
            await self._too_much.wait()
            self._too_much.clear()
            if self._every:
                await self._compact(self.forgetting.too_much())

    async def _compact(self, revision: int) -> None:
        try:
            await self._engine.compact(revision)
        except StoreFailed as error:
            log.warning("could not compact", revision=revision, error=str(error))
