"""A snapshot: one file with everything a cluster needs to come back, here or elsewhere.

In:   a store's file, in use or not, and what belongs to the cluster beside it.
Out:  a snapshot; later, from it, a store's file that goes on after everything ever answered.
By:   `kybern snapshot`, through `kybern.cmd.snapshots`.

It is a store's file, without history, with one more table: the cluster's settings and keys, and a
manifest that says what is in it. So `sqlite3` can look into it, and nothing is copied twice.
"""

# No `from __future__ import annotations`: this file defines Structs.

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path

import msgspec

from kybern.lib import logs
from kybern.store.checksum import Checksum
from kybern.store.interface import Corrupt, StoreFailed
from kybern.store.kv import mvcc, sqlite_archive

log = logs.get("store.snapshot")

FORMAT = 1

_TABLE = "CREATE TABLE snapshot (name TEXT PRIMARY KEY, content BLOB NOT NULL) WITHOUT ROWID"
_MANIFEST = "manifest"

Report = Callable[[int, int], None]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a snapshot says of itself.

    Attributes:
        format: of the snapshot; a newer one is refused.
        taken: when, in RFC 3339.
        revision: of the store at that moment.
        objects: how many keys it holds.
        checksum: over them and their values.
        files: of the cluster, with the SHA-256 of each.
    """

    format: int = FORMAT
    taken: str = ""
    revision: int
    objects: int
    checksum: str
    files: dict[str, str]


def save(
    source: Path, target: Path, files: Mapping[str, bytes], taken: str, report: Report
) -> Manifest:
    """Write a snapshot of a store's file, all of it or nothing; only its owner can read it.

    The store may be in use: nobody waits. `files` go with it, by names of our caller's.

    Raises:
        Corrupt: the store holds what was not written by us.
        StoreFailed: the store cannot be read or the snapshot not be written.
    """
    part = target.with_name(target.name + ".part")
    with _made(part, target):
        sqlite_archive.copy(source, part, report)
        with sqlite_archive.opened(part, "rw") as db:
            # It is not in use, and worth nothing until it is complete.
            db.execute("PRAGMA journal_mode = OFF")
            db.execute("PRAGMA synchronous = OFF")
            sqlite_archive.check_format(db, source)
            sqlite_archive.check(db, source)
            revision = sqlite_archive.latest(db)
            sqlite_archive.keep_current(db, revision)
            found = _sum(db, source)
            manifest = Manifest(
                taken=taken,
                revision=revision,
                objects=found.count,
                checksum=found.hex,
                files={name: sha256(content).hexdigest() for name, content in files.items()},
            )
            db.execute(_TABLE)
            rows = [*files.items(), (_MANIFEST, msgspec.json.encode(manifest))]
            db.executemany("INSERT INTO snapshot VALUES (?, ?)", rows)
    return manifest


def verify(path: Path) -> tuple[Manifest, dict[str, bytes]]:
    """Check every part of a snapshot; return what it says of itself, and the cluster's files.

    Raises:
        Corrupt: it is no snapshot, or not as it was written.
        StoreFailed: it cannot be read, or a newer version wrote it.
    """
    try:
        with sqlite_archive.opened(path, "immutable") as db:
            manifest, files = _described(db, path)
            sqlite_archive.check_format(db, path)
            sqlite_archive.check(db, path)
            found = _sum(db, path)
            if (found.count, found.hex) != (manifest.objects, manifest.checksum):
                raise _damaged(path, "its objects are not those that were saved")
    except Corrupt as error:
        raise _damaged(path, str(error.__cause__ or error)) from error
    if {name: sha256(content).hexdigest() for name, content in files.items()} != manifest.files:
        raise _damaged(path, "the cluster's files are not those that were saved")
    return manifest, files


def unpack(path: Path, target: Path, *, now: float, known: int, report: Report) -> int:
    """Make a store's file from a snapshot that was verified; return its revision.

    `known` is the latest revision that is known to have been answered, by whatever store; the new
    one starts beyond it, and beyond what may have been answered without our knowing.
    """
    with _made(target.with_name(target.name + ".part"), target) as part:
        sqlite_archive.copy(path, part, report)
        with sqlite_archive.opened(part, "rw") as db:
            db.execute("DROP TABLE snapshot")
            revision = mvcc.beyond(now, known, sqlite_archive.latest(db))
            sqlite_archive.keep_current(db, revision)
    return revision


def known_revision(path: Path) -> int:
    """Return the latest revision in a store's file; 0 when there is none, or it cannot be read.

    It may be unreadable: often that is why a snapshot is restored. Then the clock has to do.
    """
    if not path.exists():
        return 0
    try:
        with sqlite_archive.opened(path, "ro") as db:
            return sqlite_archive.latest(db)
    except StoreFailed as error:
        log.warning("the store that is replaced cannot be read", path=path, error=str(error))
        return 0


@contextlib.contextmanager
def _made(part: Path, target: Path) -> Iterator[Path]:
    """Let a file be written, then put it, durable, in the place of the target."""
    try:
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        try:
            yield part
            _flush(part)
            part.replace(target)
            _flush(target.parent)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    except OSError as error:
        what = error.strerror or str(error)
        raise StoreFailed(f"cannot write {target}: {what}") from error


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sum(db: sqlite3.Connection, path: Path) -> Checksum:
    found = Checksum()
    for entry in sqlite_archive.current(db, path):
        found.add(entry.key, entry.held)
    return found


def _described(db: sqlite3.Connection, path: Path) -> tuple[Manifest, dict[str, bytes]]:
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_schema")}
    if not {"snapshot", "log", "meta"} <= tables:
        raise StoreFailed(f"{path} is not a snapshot: make one with `kybern snapshot save`")
    files = dict(db.execute("SELECT name, content FROM snapshot"))
    try:
        manifest = msgspec.json.decode(files.pop(_MANIFEST, b""), type=Manifest)
    except msgspec.DecodeError as error:
        raise _damaged(path, f"its manifest: {error}") from None
    if manifest.format > FORMAT:
        raise StoreFailed(
            f"{path} has format {manifest.format}, this program knows format {FORMAT}: use the"
            " version of Kybern that wrote it"
        )
    return manifest, files


def _damaged(path: Path, what: str) -> Corrupt:
    return Corrupt(f"{path} is a damaged snapshot ({what}): use another one")
