"""The file: its format, and every statement that changes it.

In:   committed events to append; revisions to forget.
Out:  what is current, when it is opened.
By:   `sqlite`, in the writer's thread. `sqlite_reader` reads the past.

Format 2. One table, to which each write appends a row: its revision, the key, the revision that
created the object, the revision it replaces (0: none), when it expires (0: never), a checksum of
all that, and the JSON (NULL: deleted). A row is superseded by the row that names it as `previous`;
so what can be forgotten is found without an index of keys, and a write touches one end of one
tree. `compacted` says up to where superseded rows are gone, `kept` how many rows are left up to
there; rows after it are all there, so the current revision is the last row's, or that. A row that
damage has changed or hidden is noticed when the file is opened.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import struct
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

from kybern.store.interface import DELETED, FIRST_REVISION, Entry, StoreFailed
from kybern.store.kv.file_lock import FileLock
from kybern.store.kv.sqlite_errors import broken, explained

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from kybern.store.interface import Event

FORMAT = 2
MIGRATION = "migration"
"""A table in a file that is becoming a copy of another store (`kybern.store.migrate_sqlite`)."""

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
# A copy that loses some of its end with the power goes on from there: only the last commit waits.
_UNFINISHED = ("PRAGMA synchronous = NORMAL", f"PRAGMA wal_autocheckpoint = {8 * _WAL_PAGES}")
_SCHEMA = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE log (revision INTEGER PRIMARY KEY, key TEXT NOT NULL, created INTEGER NOT NULL,"
    " previous INTEGER NOT NULL, expires REAL NOT NULL, crc INTEGER NOT NULL, value BLOB)",
    "INSERT INTO meta VALUES"  # noqa: S608
    f" ('format', {FORMAT}), ('compacted', {FIRST_REVISION}), ('kept', 0)",
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

_KEPT = "UPDATE meta SET value = value + ? WHERE name = 'kept'"
_HEAD = struct.Struct("<qqqd?")


class Loaded(NamedTuple):
    """What a file holds."""

    current: dict[str, Entry]
    revision: int
    compacted: int
    superseded: int
    """Bytes of values that are only history."""


class File:
    """An open file, for one thread. What goes wrong is raised as `StoreFailed`."""

    def __init__(self, path: Path, *, unfinished: bool = False) -> None:
        """Open the file, or make a new one; an `unfinished` copy of a store only if asked to."""
        self._path = path
        self._unfinished = unfinished
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
        superseded = kept = 0
        with explained(self._path):
            compacted = self._number("SELECT value FROM meta WHERE name = 'compacted'")
            last = compacted
            for row in self._db.execute(_EVERYTHING):
                revision, key, created, previous, expires, crc, value = row
                if checksum(revision, key, created, previous, expires, value) != crc:
                    raise broken(self._path, f"revision {revision} has a wrong checksum")
                replaced = current.pop(key, None)
                if replaced is not None:
                    superseded += replaced.size
                    if replaced.revision != previous:
                        raise broken(self._path, f"revision {revision} follows on nothing")
                if value is not None:
                    current[key] = entry = Entry(key, revision, created, value, expires)
                    entry.prepare()
                if revision <= compacted:
                    kept += 1
                    continue
                last += 1
                if revision != last:
                    raise broken(self._path, f"revision {last} is missing")
            if kept != self._number("SELECT value FROM meta WHERE name = 'kept'"):
                raise broken(self._path, f"some of what was written by {compacted} is missing")
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
            deleted = db.execute(_FORGET_DELETED, (after, upto)).rowcount
            db.execute("UPDATE meta SET value = ? WHERE name = 'compacted'", (upto,))
            db.execute(_KEPT, (upto - after - len(gone) - deleted,))
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
        for statement in (*_SETTINGS, *(_UNFINISHED if self._unfinished else ())):
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
        if MIGRATION in tables and not self._unfinished:
            raise StoreFailed(
                f"{self._path} is to become a copy of another store, and is not yet: finish that"
                " with `kybern store migrate`, or remove it"
            )
        found = self._number("SELECT value FROM meta WHERE name = 'format'")
        if found == 1:
            found = self._upgrade()
        if found != FORMAT:
            raise StoreFailed(
                f"{self._path} has format {found}, this program knows format {FORMAT}: use the"
                " version of Kybern that wrote it"
            )

    def _upgrade(self) -> int:
        """Make format 2 of format 1, whose checksums were of values only."""
        with self._transaction() as db:
            rows = []
            for row in db.execute(_EVERYTHING):
                revision, key, created, previous, expires, crc, value = row
                if value is not None and crc32(value, revision & 0xFFFFFFFF) != crc:
                    raise broken(self._path, f"revision {revision} has a wrong checksum")
                rows.append((checksum(revision, key, created, previous, expires, value), revision))
            db.executemany("UPDATE log SET crc = ? WHERE revision = ?", rows)
            db.execute("UPDATE meta SET value = 2 WHERE name = 'format'")
            db.execute(
                "INSERT INTO meta SELECT 'kept', count(*) FROM log WHERE revision <="
                " (SELECT value FROM meta WHERE name = 'compacted')"
            )
        return 2

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


def checksum(
    revision: int, key: str, created: int, previous: int, expires: float, value: bytes | None
) -> int:
    """Return the checksum of a row; -1 for what cannot be one."""
    try:
        head = _HEAD.pack(revision, created, previous, expires, value is None)
        return crc32(value or b"", crc32(key.encode(), crc32(head)))
    except (AttributeError, TypeError, struct.error):  # damage has made other types of them
        return -1


def _values(events: Sequence[Event]) -> list[int | str | float | bytes | None]:
    values: list[int | str | float | bytes | None] = []
    for event in events:
        entry, previous = event.entry, event.previous
        revision = entry.revision
        replaces = 0 if previous is None else previous.revision
        # `held` is `data` still: nobody else has seen the entry yet.
        value = None if event.type == DELETED else entry.held
        row = (revision, entry.key, entry.created, replaces, entry.expires)
        values += (*row, checksum(*row, value), value)
    return values
