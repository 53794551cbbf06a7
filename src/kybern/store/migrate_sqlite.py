"""A SQLite file to be copied, or to become a copy.

In:   a path.
Out:  its entries; or a file with the same entries, their revisions included.
By:   `migrate`.
"""

from __future__ import annotations

from contextlib import ExitStack
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from kybern.store.checksum import Checksum
from kybern.store.interface import ADDED, FIRST_REVISION, Event, StoreFailed
from kybern.store.kv import sqlite_archive
from kybern.store.kv.file_lock import FileLock
from kybern.store.kv.sqlite_errors import explained
from kybern.store.kv.sqlite_file import MIGRATION, File
from kybern.store.migrate import BATCH, Plan, not_empty

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from kybern.store.interface import Entry

_MARK = f"CREATE TABLE {MIGRATION} (plan BLOB NOT NULL)"
_NOTE = f"INSERT INTO {MIGRATION} VALUES (?)"  # noqa: S608
_PLAN = f"SELECT plan FROM {MIGRATION}"  # noqa: S608
_UNMARK = f"DROP TABLE {MIGRATION}"


class SqliteSource:
    """See `kybern.store.migrate.Source`. Nobody else can open the file meanwhile."""

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            StoreLocked: it is in use.
            StoreFailed: it cannot be read.
        """
        if not path.is_file():
            raise StoreFailed(f"there is no file {path}")
        self._path = path
        with ExitStack() as undo, explained(path):
            undo.callback(FileLock(path).release)
            self._db = undo.enter_context(sqlite_archive.opened(path, "rw"))
            sqlite_archive.check(self._db, path)
            sqlite_archive.check_format(self._db, path)
            revision, objects = sqlite_archive.latest(self._db), sqlite_archive.count(self._db)
            self._close = undo.pop_all()
        self.plan = Plan(f"sqlite:{path.absolute()}", revision, objects)

    async def batches(self) -> AsyncIterator[Sequence[Entry]]:
        """Yield the current entries."""
        with explained(self._path):
            entries = sqlite_archive.current(self._db, self._path)
            while some := list(islice(entries, BATCH)):
                yield some

    async def check_unchanged(self) -> None:
        """Do nothing: the lock keeps everybody off."""

    async def close(self) -> None:
        """Close it."""
        self._close.close()


class SqliteTarget:
    """See `kybern.store.migrate.Target`. Entries keep their revisions."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make a new one.

        Raises:
            StoreLocked: it is in use.
            StoreFailed: it cannot be written.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        with ExitStack() as undo:
            self._file = File(path, unfinished=True)
            undo.callback(self._file.close)
            self._db = undo.enter_context(sqlite_archive.opened(path, "rw"))
            self._close = undo.pop_all()
        self._plan: Plan | None = None
        self._written = 0

    async def begin(self, plan: Plan) -> int:
        """Note the plan; what was written before ends with the latest revision."""
        with explained(self._path):
            earlier = self._earlier()
            self._written = sqlite_archive.latest(self._db)
            if earlier is None:
                if self._written > FIRST_REVISION:
                    raise not_empty(self._path)
                self._db.execute(_MARK)
                self._db.execute(_NOTE, (msgspec.json.encode(plan),))
            elif earlier != plan:
                raise not_empty(self._path, earlier)
            self._plan = plan
            return sqlite_archive.count(self._db)

    async def write(self, entries: Sequence[Entry]) -> None:
        """Append what is not there yet, in one transaction."""
        new = [entry for entry in entries if entry.revision > self._written]
        if not new:
            return
        revisions = {entry.revision for entry in new}
        if len(revisions) < len(new):
            raise StoreFailed("the source has several keys of one revision, which a file cannot")
        self._file.append([Event(ADDED, entry, None) for entry in new])
        self._written = max(revisions)

    async def checksum(self) -> Checksum:
        """Read the file."""
        found = Checksum()
        with explained(self._path):
            for entry in sqlite_archive.current(self._db, self._path):
                found.add(entry.key, entry.data)
        return found

    async def finish(self) -> None:
        """Go on from the revision of the source."""
        assert self._plan is not None
        with explained(self._path):
            sqlite_archive.keep_current(self._db, self._plan.revision)
            self._db.execute(_UNMARK)

    async def close(self) -> None:
        """Close it."""
        self._close.close()

    def _earlier(self) -> Plan | None:
        tables = {name for (name,) in self._db.execute("SELECT name FROM sqlite_schema")}
        row = MIGRATION in tables and self._db.execute(_PLAN).fetchone()
        return msgspec.json.decode(row[0], type=Plan) if row else None
