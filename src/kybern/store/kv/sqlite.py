"""The engine on one file: SQLite, with group commit.

In:   writes.
Out:  committed events, when they are on the disk.
By:   `kybern up`, unless told otherwise.

A write is judged here, in the event loop, against what is in memory, and gets its revision; the
writer's thread only appends. When it has, one call comes back per batch, which tells the listener
and then answers the writes, in order of revisions. The past is read in another thread, beside
the writer.
"""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kybern.lib import logs
from kybern.store.interface import FutureRevision, StoreClosed, StoreFailed
from kybern.store.kv import mvcc
from kybern.store.kv.interface import Snapshot
from kybern.store.kv.sqlite_file import File
from kybern.store.kv.sqlite_reader import Reader
from kybern.store.kv.writer import Write, Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kybern.store.interface import Entry, Event, Listing
    from kybern.store.kv.interface import Listener, Page, Replaced
    from kybern.store.kv.sqlite_file import Loaded

log = logs.get("store.sqlite")

_COMPACT_REVISIONS = 64  # at once: writes wait meanwhile, some milliseconds
_SHRINK_PAGES = 256
_PAGE_OF_PAST = 5_000

# The writer's thread needs the interpreter twice for each batch, for microseconds. The event loop
# lets go of it only to poll, and has it back before the thread is awake; only a thread that has
# waited for a whole switch interval in one piece is let in for certain. So the interval has to be
# shorter than one turn of a busy loop: with 0.5 ms, and turns of 0.2 ms, writes took up to 300 ms.
_SWITCH_SECONDS = 0.00005


class SqliteEngine:
    """See `kybern.store.kv.interface.Engine`. Made by `open`."""

    shared = False

    def __init__(self, path: Path, file: File, loaded: Loaded) -> None:
        """Take over an open file and what was loaded from it."""
        self._path = path
        self._file = file
        self._state = mvcc.State(loaded.current, loaded.revision, loaded.compacted)
        self._superseded = loaded.superseded
        self._reader = Reader(path)
        self._reading: ThreadPoolExecutor | None = None
        self._writer = Writer(asyncio.get_running_loop(), file.append, self)
        self._listener: Listener | None = None
        self._epoch = 0
        self._commits = 0
        self._settled: asyncio.Future[None] | None = None
        self._compacting = asyncio.Lock()
        self._closed = False

    @classmethod
    async def open(cls, path: str | Path) -> SqliteEngine:
        """Open the file, or make a new one, and read what is current.

        Raises:
            StoreLocked: another process has it.
            Corrupt: it does not hold what we wrote.
            StoreFailed: it cannot be opened, or is of another format.
        """
        path = Path(path)

        def load() -> tuple[File, Loaded]:
            file = File(path)
            try:
                return file, file.load()
            except BaseException:
                file.close()
                raise

        sys.setswitchinterval(min(sys.getswitchinterval(), _SWITCH_SECONDS))
        with ThreadPoolExecutor(1, "store-open") as thread:
            file, loaded = await asyncio.get_running_loop().run_in_executor(thread, load)
        return cls(path, file, loaded)

    @property
    def revision(self) -> int:
        """The latest revision that was committed and told to the listener."""
        return self._state.revision

    @property
    def compacted(self) -> int:
        """The oldest revision that can be listed."""
        return self._state.compacted

    @property
    def superseded(self) -> int:
        """How many bytes of values are kept only as history."""
        return self._superseded

    def attach(self, listener: Listener, replaced: Replaced | None = None) -> Snapshot:
        """Return the current state and tell the listener of every commit from now on."""
        del replaced  # nothing is ever forgotten before it was told
        self._listener = listener
        current = self._state.current
        return Snapshot([current[key] for key in sorted(current)], self._state.revision)

    async def current(self) -> int:
        """Return the latest revision: nobody else writes here."""
        return self.revision

    async def create(self, key: str, data: bytes, expires: float = 0.0) -> Entry:
        """Write a new key."""
        return await self._write(partial(self._state.create, key, data, expires))

    async def update(self, key: str, data: bytes, expected: int, expires: float = 0.0) -> Entry:
        """Replace the value at the expected revision."""
        return await self._write(partial(self._state.update, key, data, expected, expires))

    async def delete(self, key: str, expected: int) -> Entry:
        """Delete the key at the expected revision."""
        return await self._write(partial(self._state.delete, key, expected))

    async def get(self, key: str) -> Entry | None:
        """Return the current entry."""
        self._check_open()
        return self._state.current.get(key)

    async def list(
        self, prefix: str, start_after: str = "", limit: int = 0, revision: int = 0
    ) -> Listing:
        """List what is or was under the prefix."""
        self._check_open()
        state = self._state
        revision = revision or state.revision
        state.check_past(revision)
        was: dict[str, Entry | None] = {}
        known = revision
        while known < state.revision:
            page = await self.history(prefix, known, state.revision, _PAGE_OF_PAST)
            was = mvcc.before(page.events) | was
            known = page.upto
        return mvcc.listing(state.current, was, revision, prefix, start_after, limit)

    async def history(self, prefix: str, since: int, upto: int, limit: int = 1000) -> Page:
        """Return a page of the past."""
        self._check_open()
        self._state.check_past(since)
        if self._reading is None:
            self._reading = ThreadPoolExecutor(1, "store-reader")
        return await asyncio.get_running_loop().run_in_executor(
            self._reading, self._reader.past, prefix, since, upto, limit
        )

    async def compact(self, revision: int) -> None:
        """Forget what was superseded at or before the revision, in small steps."""
        self._check_open()
        state = self._state
        if revision > state.revision:
            raise FutureRevision(state.revision)
        async with self._compacting:
            seen = state.revision
            while state.compacted < revision:
                # Twice what was written since the last step, or the writers would keep ahead.
                step = max(_COMPACT_REVISIONS, 2 * (state.revision - seen))
                seen = state.revision
                upto = min(state.compacted + step, revision)
                # From here on nobody begins to read what is about to go.
                after, state.compacted = state.compacted, upto
                try:
                    freed = await self._do(partial(self._file.compact, after, upto))
                except StoreFailed:
                    state.compacted = after
                    raise
                self._superseded -= freed
            while await self._do(partial(self._file.shrink, _SHRINK_PAGES)):
                pass

    async def close(self) -> None:
        """Finish what was handed over, then close the file."""
        if self._closed:
            return
        self._closed = True
        finished = self._writer.do(self._file.close)
        self._writer.stop()
        if self._reading is not None:
            await asyncio.get_running_loop().run_in_executor(self._reading, self._reader.close)
            self._reading.shutdown(wait=False)
        await finished

    def problem(self) -> str:
        """Return "": what goes wrong is said to the one who writes."""
        return ""

    def statistics(self) -> dict[str, float]:
        """Return figures about the file."""
        return {
            "keys": len(self._state.current),
            "superseded_bytes": self._superseded,
            "planned": len(self._state.ahead),
            "commits": self._commits,
            "failures": self._epoch,
        }

    # --- what became of batches: called by the writer, in the event loop --------------------

    def committed(self, writes: Sequence[Write]) -> None:
        """Take the writes as done, tell the listener, then answer."""
        events = [write.event for write in writes]
        self._state.committed(events)
        self._superseded += mvcc.superseded(events)
        self._commits += 1
        try:
            if self._listener is not None:
                self._listener(events)
        finally:
            for write in writes:
                if not write.answer.done():
                    write.answer.set_result(None)
            self._wake_undecided()

    def failed(self, writes: Sequence[Write], error: StoreFailed, first: bool) -> None:
        """Take the writes, and what was planned on top of them, as not happened."""
        if first:
            self._epoch += 1
            self._state.forget_plans()
            log.error("writing failed", error=str(error), writes=len(writes))
        for write in writes:
            if not write.answer.done():
                write.answer.set_exception(type(error)(str(error)))
        self._wake_undecided()

    # --- inside ----------------------------------------------------------------------------

    async def _write(self, plan: Callable[[], Event]) -> Entry:
        while True:
            self._check_open()
            try:
                event = plan()
            except mvcc.Undecided:
                await self._wait_settled()
                continue
            await self._writer.write(event, self._epoch)
            return event.entry

    async def _wait_settled(self) -> None:
        if self._settled is None:
            self._settled = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._settled)

    def _wake_undecided(self) -> None:
        if self._settled is not None:
            self._settled.set_result(None)
            self._settled = None

    async def _do(self, work: Callable[[], Any]) -> Any:
        self._check_open()
        return await self._writer.do(work)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosed
