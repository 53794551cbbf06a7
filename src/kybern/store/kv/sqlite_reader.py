"""The past, read from the file beside the writer.

In:   a prefix and a range of revisions.
Out:  the events of that range, a page at a time.
By:   `sqlite`, in a thread for reading.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from kybern.store.interface import ADDED, DELETED, MODIFIED, Compacted, Entry, Event
from kybern.store.kv.interface import Page
from kybern.store.kv.mvcc import prefix_end
from kybern.store.kv.sqlite_errors import broken, explained
from kybern.store.kv.sqlite_file import checksum

if TYPE_CHECKING:
    from pathlib import Path

    Row = tuple[int, str, int, int, float, int, bytes | None, int, float, int, bytes]

_PAST = """
SELECT log.revision, log.key, log.created, log.previous, log.expires, log.crc, log.value,
       old.previous, old.expires, old.crc, old.value
FROM log LEFT JOIN log AS old ON old.revision = log.previous
WHERE log.revision > ? AND log.revision <= ? AND log.key >= ? AND (log.key < ? OR ? = '')
ORDER BY log.revision LIMIT ?
"""


class Reader:
    """A connection of its own; for one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None

    def past(self, prefix: str, since: int, upto: int, limit: int) -> Page:
        """Return events with `since` < revision <= `upto`, at most `limit`.

        Raises:
            Compacted: what came right after `since` is forgotten.
        """
        end = prefix_end(prefix)
        with explained(self._path):
            if self._db is None:
                self._db = sqlite3.connect(
                    f"{self._path.absolute().as_uri()}?mode=ro",
                    uri=True,
                    isolation_level=None,
                    check_same_thread=False,
                )
            db = self._db
            db.execute("BEGIN")  # both questions are about the same moment
            try:
                (compacted,) = db.execute(
                    "SELECT value FROM meta WHERE name = 'compacted'"
                ).fetchone()
                rows = db.execute(_PAST, (since, upto, prefix, end, end, limit)).fetchall()
            finally:
                db.execute("COMMIT")
        if since < compacted:
            raise Compacted(compacted)
        events = [self._event(row) for row in rows]
        return Page(events, events[-1].revision if len(events) == limit else upto)

    def close(self) -> None:
        """Close the connection."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def _event(self, row: Row) -> Event:
        revision, key, created, previous, expires, crc, value = row[:7]
        self._check(crc, revision, key, created, previous, expires, value)
        before = None
        if previous:
            old_previous, old_expires, old_crc, old_value = row[7:]
            self._check(old_crc, previous, key, created, old_previous, old_expires, old_value)
            before = Entry(key, previous, created, old_value, old_expires)
        if value is not None:
            entry = Entry(key, revision, created, value, expires)
            return Event(ADDED if before is None else MODIFIED, entry, before)
        if before is None:
            raise broken(self._path, f"revision {revision} deletes nothing")
        return Event(DELETED, Entry(key, revision, created, before.held), before)

    def _check(self, crc: int, revision: int, *row: Any) -> None:
        if checksum(revision, *row) != crc:
            raise broken(self._path, f"revision {revision} is missing or has a wrong checksum")
