"""SQLite's errors, made ours: what is wrong, and what to do.

In:   an error, and the file it is about.
Out:  a `StoreFailed` of the right kind.
By:   `sqlite_file`, `sqlite_reader`.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import TYPE_CHECKING

from kybern.store.interface import Corrupt, StoreFailed, StoreFull

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FULL_BELOW = 1 << 20  # with less than this free, an I/O error means that the disk is full


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Raise errors of SQLite and of the system as ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise explain(path, error) from error
    except OSError as error:
        raise StoreFailed(
            f"{path} cannot be used ({error.strerror}): make it writable, or choose another place"
        ) from error


def explain(path: Path, error: sqlite3.Error) -> StoreFailed:
    """Return what to raise for an error of SQLite."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _is_full(path)):
        return StoreFull(f"no space left for {path}: free some; writes then work again")
    rubbish = str(error).startswith(("Could not decode", "no such"))  # … text, … table or column
    if rubbish or code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return broken(path, str(error))
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return StoreFailed(
            f"{path} is locked by another program, such as the sqlite3 shell: end that one first"
        )
    if code == sqlite3.SQLITE_READONLY:
        return StoreFailed(
            f"{path} cannot be written, it or its file system is read-only: make it writable, or"
            " choose another place"
        )
    return StoreFailed(f"{path}: {error}")


def broken(path: Path, what: str) -> Corrupt:
    """Return the error for a file that does not hold what we wrote."""
    return Corrupt(
        f"{path} is damaged ({what}): move it and its -wal file away and start anew, or put a"
        " copy from a backup in its place"
    )


def _is_full(path: Path) -> bool:
    with contextlib.suppress(OSError):
        disk = os.statvfs(path.parent)
        return disk.f_bavail * disk.f_frsize < _FULL_BELOW or disk.f_favail == 0
    return False
