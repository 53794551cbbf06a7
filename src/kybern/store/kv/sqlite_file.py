"""The file: its format, and every statement that changes it.

In:   committed events to append; revisions to forget.
Out:  what is current, when it is opened.
By:   `sqlite`, in the writer's thread. `sqlite_reader` reads the past.

Format 1. One table, to which each write appends a row: its revision, the key, the revision that
created the object, the revision it replaces (0: none), when it expires (0: never), a checksum,
and the JSON (NULL: deleted). A row is superseded by the row that names it as `previous`; so what
can be forgotten is found without an index of keys, and a write touches one end of one tree.
`compacted` says up to where superseded rows are gone; rows after it are all there, so the current
revision is the last row's, or that.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

from kybern.store.interface import DELETED, FIRST_REVISION, Entry, StoreFailed
from kybern.store.kv.file_lock import FileLock
from kybern.store.kv.sqlite_errors import broken, explained

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from kybern.store.interface import Event

FORMAT = 1

# An old page keeps what is still current on it, down to a third of it: the smaller, the less waste.
_PAGE_BYTES = 4096
_WAL_PAGES = 512  # checkpoint every 2 MB: each one makes the writes wait for some milliseconds
_CACHE_BYTES = 8 << 20
_ROWS = 64  # at most so many in one statement

_SETTINGS = (
    f"PRAGMA page_size = {_PAGE_BYTES}",  # this and the next only matter in a new file
    "PRAGMA auto_vacuum = INCREMENTAL",
    "PRAGMA synchronous = FULL",
    f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}",
    f"PRAGMA journal_size_limit = {16 * _WAL_PAGES * _PAGE_BYTES}",
    f"PRAGMA cache_size = -{_CACHE_BYTES >> 10}",
    "PRAGMA temp_store = MEMORY",
)
_SCHEMA = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE log (revision INTEGER PRIMARY KEY, key TEXT NOT NULL, created INTEGER NOT NULL,"
    " previous INTEGER NOT NULL, expires REAL NOT NULL, crc INTEGER NOT NULL, value BLOB)",
    f"INSERT INTO meta VALUES ('format', {FORMAT}), ('compacted', {FIRST_REVISION})",  # noqa: S608
)
_INSERTS = [
    "INSERT INTO log VALUES " + ", ".join(["(?, ?, ?, ?, ?, ?, ?)"] * rows)  # noqa: S608
    for rows in range(_ROWS + 1)
]
_EVERYTHING = """
SELECT revision, key, created, previous, expires, crc, value FROM log ORDER BY revision
"""
_FORGET_SUPERSEDED = """
DELETE FROM log WHERE revision IN
    (SELECT previous FROM log WHERE revision > ? AND revision <= ? AND previous > 0)
RETURNING length(value)
"""
_FORGET_DELETED = "DELETE FROM log WHERE revision > ? AND revision <= ? AND value IS NULL"


class Loaded(NamedTuple):
    """What a file holds."""

    current: dict[str, Entry]
    revision: int
    compacted: int
    superseded: int
    """Bytes of values that are only history."""


class File:
    """An open file, for one thread. What goes wrong is raised as `StoreFailed`."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make a new one."""
        self._path = path
        with explained(path), contextlib.ExitStack() as undo:
            self._lock = FileLock(path)
            undo.callback(self._lock.release)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            undo.callback(self._db.close)
            self._prepare()
            undo.pop_all()

    def load(self) -> Loaded:
        """Read and check everything, and return what is current."""
        current: dict[str, Entry] = {}
        superseded = 0
        with explained(self._path):
            compacted = self._number("SELECT value FROM meta WHERE name = 'compacted'")
            last = compacted
            for revision, key, created, previous, expires, crc, value in self._db.execute(
                _EVERYTHING
            ):
                replaced = current.pop(key, None)
                if replaced is not None:
                    superseded += replaced.size
                    if replaced.revision != previous:
                        raise broken(self._path, f"revision {revision} follows on nothing")
                if value is not None:
                    if checksum(value, revision) != crc:
                        raise broken(self._path, f"revision {revision} has a wrong checksum")
                    current[key] = entry = Entry(key, revision, created, value, expires)
                    entry.prepare()
                last = max(last, revision)
        return Loaded(current, last, compacted, superseded)

    def append(self, events: Sequence[Event]) -> None:
        """Write the events in one transaction; return when they are on the disk.

        One statement for many rows, where possible the only one of its transaction: each one gives
        up the interpreter's lock, and while the event loop is busy it has to wait for it after.
        """
        with explained(self._path):
            if len(events) <= _ROWS:
                # `execute` would also ask for the last row's number, and wait once more.
                self._db.executemany(_INSERTS[len(events)], [_values(events)])
                return
            with self._transaction() as db:
                for start in range(0, len(events), _ROWS):
                    some = events[start : start + _ROWS]
                    db.execute(_INSERTS[len(some)], _values(some))

    def compact(self, after: int, upto: int) -> int:
        """Forget what was superseded by `after` < r <= `upto`; return how many bytes that was."""
        with explained(self._path), self._not_urgent(), self._transaction() as db:
            gone = db.execute(_FORGET_SUPERSEDED, (after, upto)).fetchall()
            db.execute(_FORGET_DELETED, (after, upto))
            db.execute("UPDATE meta SET value = ? WHERE name = 'compacted'", (upto,))
        return sum(size or 0 for (size,) in gone)

    def shrink(self, pages: int) -> bool:
        """Give some unused pages back to the disk; say whether there are more to give.

        An eighth of the file may stay unused: the next writes will want it.
        """
        with explained(self._path), self._not_urgent():
            unused = self._number("PRAGMA freelist_count")
            keep = self._number("PRAGMA page_count") // 8
            give = min(pages, unused - keep)
            if give > 0:
                # `execute` would take one step of it, which is one page.
                self._db.executescript(f"PRAGMA incremental_vacuum({give})")
            if 0 < unused - keep <= pages:
                self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        return unused - keep > pages

    def size(self) -> int:
        """Return the bytes of the file, without the log beside it."""
        with explained(self._path):
            return self._number("PRAGMA page_count") * self._number("PRAGMA page_size")

    def close(self) -> None:
        """Close the file. What was appended is on the disk whether or not this is called."""
        with contextlib.suppress(sqlite3.Error):
            self._db.close()
        self._lock.release()

    def _prepare(self) -> None:
        db = self._db
        for statement in _SETTINGS:
            db.execute(statement)
        if db.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise StoreFailed(
                f"{self._path} is on a file system that cannot share memory between programs:"
                " choose a data directory on a local disk"
            )
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_schema")}
        if not tables:
            with self._transaction():
                for statement in _SCHEMA:
                    db.execute(statement)
        elif not {"meta", "log"} <= tables:
            raise broken(self._path, "it was made by another program")
        found = self._number("SELECT value FROM meta WHERE name = 'format'")
        if found != FORMAT:
            raise StoreFailed(
                f"{self._path} has format {found}, this program knows format {FORMAT}: use the"
                " version of Kybern that wrote it"
            )

    def _number(self, statement: str) -> int:
        row = self._db.execute(statement).fetchone()
        if row is None:
            raise broken(self._path, "what it says of itself is missing")
        return int(row[0])

    @contextlib.contextmanager
    def _not_urgent(self) -> Iterator[None]:
        """Do something that may be lost with the power: it need not wait for the disk.

        What is written after it does, and then it is on the disk as well.
        """
        self._db.execute("PRAGMA synchronous = NORMAL")
        try:
            yield
        finally:
            self._db.execute("PRAGMA synchronous = FULL")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise


def checksum(value: bytes, revision: int) -> int:
    """Return the checksum of a row; the revision is in it, so that rows cannot be mixed up."""
    return crc32(value, revision & 0xFFFFFFFF)


def _values(events: Sequence[Event]) -> list[int | str | float | bytes | None]:
    values: list[int | str | float | bytes | None] = []
    for event in events:
        entry, previous = event.entry, event.previous
        revision = entry.revision
        replaces = 0 if previous is None else previous.revision
        # `held` is `data` still: nobody else has seen the entry yet.
        value = None if event.type == DELETED else entry.held
        crc = 0 if value is None else checksum(value, revision)
        values += (revision, entry.key, entry.created, replaces, entry.expires, crc, value)
    return values
