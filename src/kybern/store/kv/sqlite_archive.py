"""A store's file that nobody serves: copied, checked, brought down to what is current.

In:   the path of a store's file, in use or not, or of a copy.
Out:  a copy; the current entries, each checked; the revision.
By:   `kybern.store.snapshot` and `kybern.store.migrate`.

Everything here is for a thread, or a program, of its own: it waits for the disk.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import TYPE_CHECKING

from kybern.store.interface import Entry, StoreFailed
from kybern.store.kv.sqlite_errors import broken, explained
from kybern.store.kv.sqlite_file import FORMAT, MIGRATION, checksum

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Report = Callable[[int, int], None]

_PAGES = 512
"""Pages copied at once; what is copied is flushed every so often, or the end would be one long
flush, for which the writer of the original had to wait."""
_FLUSH_EVERY = 8

_CURRENT = """
SELECT revision, key, created, previous, expires, crc, value FROM log
WHERE value IS NOT NULL AND revision NOT IN (SELECT previous FROM log) ORDER BY revision
"""
_LATEST = "SELECT max(value, (SELECT coalesce(max(revision), 0) FROM log)) FROM meta"


def copy(source: Path, target: Path, report: Report) -> None:
    """Copy a file as it is at one moment, while others may write it.

    They never wait: the log beside the file keeps what they write until the copy is done.
    `report` gets how many pages are copied and how many there are.
    """
    with opened(source, "ro") as db, opened(target, "rwc") as copied:
        copied.execute("PRAGMA synchronous = OFF")
        descriptor = os.open(target, os.O_RDWR | os.O_CLOEXEC)
        steps = 0

        def progress(_status: int, left: int, pages: int) -> None:
            nonlocal steps
            steps += 1
            if steps % _FLUSH_EVERY == 0:
                os.fdatasync(descriptor)
            report(pages - left, pages)

        # In one transaction, or every write meanwhile would make SQLite begin anew.
        db.execute("BEGIN")
        try:
            db.execute("SELECT value FROM meta LIMIT 1").fetchone()
            db.backup(copied, pages=_PAGES, progress=progress)
        finally:
            db.execute("COMMIT")
            os.close(descriptor)


@contextlib.contextmanager
def opened(path: Path, mode: str) -> Iterator[sqlite3.Connection]:
    """Open a file; `mode` is SQLite's `ro`, `rw` or `rwc`, or `immutable` if nobody writes it."""
    with explained(path):
        how = "mode=ro&immutable=1" if mode == "immutable" else f"mode={mode}"
        uri = f"{path.absolute().as_uri()}?{how}"
        with contextlib.closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as db:
            yield db


def current(db: sqlite3.Connection, path: Path) -> Iterator[Entry]:
    """Yield the current entries in order of revisions.

    Raises:
        Corrupt: one is not what was written.
    """
    for revision, key, created, previous, expires, crc, value in db.execute(_CURRENT):
        if checksum(revision, key, created, previous, expires, value) != crc:
            raise broken(path, f"revision {revision} has a wrong checksum")
        yield Entry(key, revision, created, value, expires)


def count(db: sqlite3.Connection) -> int:
    """Return how many keys are current."""
    row = db.execute(f"SELECT count(*) FROM ({_CURRENT})").fetchone()  # noqa: S608
    return int(row[0])


def latest(db: sqlite3.Connection) -> int:
    """Return the latest revision."""
    return int(db.execute(f"{_LATEST} WHERE name = 'compacted'").fetchone()[0])


def keep_current(db: sqlite3.Connection, revision: int) -> None:
    """Forget everything that is only history, and go on from the revision."""
    db.execute("BEGIN IMMEDIATE")
    db.execute("DELETE FROM log WHERE revision IN (SELECT previous FROM log WHERE previous > 0)")
    db.execute("DELETE FROM log WHERE value IS NULL")
    db.execute("UPDATE meta SET value = ? WHERE name = 'compacted'", (revision,))
    db.execute("UPDATE meta SET value = (SELECT count(*) FROM log) WHERE name = 'kept'")
    db.execute("COMMIT")
    db.executescript("PRAGMA incremental_vacuum")


def check_format(db: sqlite3.Connection, path: Path) -> None:
    """Check that the file is a store of ours, as this program writes it.

    Raises:
        StoreFailed: it is something else, or of an older format.
    """
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_schema")}
    if not {"meta", "log"} <= tables or MIGRATION in tables:
        raise StoreFailed(f"{path} is not a complete store of Kybern's")
    (found,) = db.execute("SELECT value FROM meta WHERE name = 'format'").fetchone()
    if found != FORMAT:
        raise StoreFailed(
            f"{path} has format {found}, and {FORMAT} is needed: start this version of Kybern once"
            " with it"
        )


def check(db: sqlite3.Connection, path: Path) -> None:
    """Check that the file is as SQLite left it.

    Raises:
        Corrupt: it is not.
    """
    (said,) = db.execute("PRAGMA integrity_check(1)").fetchone()
    if said != "ok":
        raise broken(path, said.splitlines()[0])
