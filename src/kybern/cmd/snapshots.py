"""Save a cluster in one file, and bring it back from there.

In:   a data directory and the path of a snapshot.
Out:  the snapshot; or the directory as it was when the snapshot was taken, what was there before
      aside.
By:   `kybern snapshot`, to which main.py hands it.

A snapshot has the store, the settings, and what certificates and tokens rest on: the authority's
key and the one that signs service accounts' tokens. Certificates are not in it: `kybern up` makes
them anew, for the machine it is on.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from kybern.cli.errors import Failed
from kybern.cli.loading import settings_of
from kybern.cluster import certificates, processes, slots
from kybern.cluster import settings as settings_file
from kybern.cluster.settings import Settings
from kybern.cmd import snapshots_etcd
from kybern.lib import pki
from kybern.lib.clock import SYSTEM, rfc3339, rfc3339_micro
from kybern.store import snapshot
from kybern.store.interface import StoreFailed
from kybern.store.kv.etcd.address import Address, parse
from kybern.store.kv.file_lock import FileLock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kybern.cluster.directory import Directory

SETTINGS = "cluster.json"
KEYS = "pki"

_EXCHANGE = 2  # RENAME_EXCHANGE of renameat2(2)
_HERE = -100  # AT_FDCWD


class Restored(NamedTuple):
    """What a restore did."""

    objects: int
    taken: str
    revision: int
    aside: Path | None
    """Where what was there before is now."""
    missing: str
    """The file with the keys of what is encrypted, when it is not here."""


def save(directory: Directory, path: Path, report: snapshot.Report) -> tuple[int, int]:
    """Save the cluster, running or not; return how many objects and which revision.

    Raises:
        Failed: it cannot be saved; one sentence.
    """
    settings = settings_of(directory)
    etcd = _etcd_of(settings)
    with _telling(), tempfile.TemporaryDirectory(dir=path.absolute().parent) as beside:
        files = _files(directory, settings)
        store = directory.store
        if etcd is not None:
            store = Path(beside, store.name)
            snapshots_etcd.fetch(etcd, store, report)
        if not store.exists():
            raise Failed("there is no store yet: start the cluster with `kybern up`.")
        saved = snapshot.save(store, path, files, rfc3339(SYSTEM.now()), report)
    return saved.objects, saved.revision


def restore(directory: Directory, path: Path, store: str, report: snapshot.Report) -> Restored:
    """Bring a cluster back from a snapshot, into a directory in which none runs.

    `store` is where it keeps its data from then on; "" for where it did.

    Raises:
        Failed: it cannot be restored; one sentence. What was there is still there.
    """
    _check_stopped(directory)
    with _telling():
        manifest, files = snapshot.verify(path)
        settings = _settings_from(path, files, store)
        etcd = _etcd_of(settings)
        directory.make()
        with directory.locked(), _unused(directory.store):
            _check_stopped(directory)
            was_there = directory.settings.exists() or directory.store.exists()
            now = SYSTEM.now()
            mark = rfc3339_micro(now).replace(":", "")
            stage = directory.root / f"restore-{mark}"
            for made in (stage, stage / "store"):
                made.mkdir(mode=0o700)
            known = snapshot.known_revision(directory.store)
            if etcd is not None:
                was_there = True
                (stage / "etcd").mkdir(mode=0o700)
                known = max(known, snapshots_etcd.fetch(etcd, stage / "etcd" / "state.db", report))
            target = stage / "store" / directory.store.name
            revision = snapshot.unpack(path, target, now=now, known=known, report=report)
            _stage_files(directory, stage, settings, files)
            if etcd is not None:
                snapshots_etcd.replace(etcd, target, revision, report)
                shutil.rmtree(stage / "store")
            _swap(stage, directory.root)
            aside = directory.root / f"before-restore-{mark}" if was_there else None
            _put_aside(stage, aside)
        slots.release(directory.root)  # it may have other networks than what was here
    keys = settings.encryption_provider_config
    missing = keys if keys and not Path(keys).exists() else ""
    return Restored(manifest.objects, manifest.taken, revision, aside, missing)


def _files(directory: Directory, settings: Settings) -> dict[str, bytes]:
    """Return the settings, and every key that does not follow from others."""
    derived = {wanted.name for wanted in certificates.wanted(settings)}
    keys = [path for path in directory.pki.iterdir() if path.is_file() and path.stem not in derived]
    files = {f"{KEYS}/{path.name}": path.read_bytes() for path in sorted(keys)}
    return {SETTINGS: directory.settings.read_bytes(), **files}


def _etcd_of(settings: Settings) -> Address | None:
    """Return where the etcd is that holds the store; None when a file does.

    Raises:
        Failed: neither does.
    """
    if settings.node_only:
        raise Failed(f"this is a node of the cluster at {settings.api_server}: save that one.")
    if settings.store == "memory":
        raise Failed("this cluster keeps its data in memory: it has no store to save or restore.")
    return None if settings.store == "sqlite" else parse(settings.store)


def _settings_from(path: Path, files: Mapping[str, bytes], store: str) -> Settings:
    if store and (problems := Settings(data_dir="", store=store).check()):
        raise Failed(" ".join(problems))
    try:
        settings = msgspec.json.decode(files[SETTINGS], type=Settings)
        return msgspec.structs.replace(settings, store=store or settings.store)
    except (KeyError, msgspec.DecodeError):
        raise Failed(f"{path} holds a store but no cluster: it cannot be restored here.") from None


def _stage_files(
    directory: Directory, stage: Path, settings: Settings, files: Mapping[str, bytes]
) -> None:
    """Write settings and keys; keys that are here already stay, with what follows from them."""
    here = msgspec.structs.replace(settings, data_dir=str(directory.root))
    settings_file.save(here, stage / SETTINGS)
    keys = {name: content for name, content in files.items() if name.startswith(f"{KEYS}/")}
    if all(_holds(directory.root / name, content) for name, content in keys.items()):
        return
    (stage / KEYS).mkdir(mode=0o700)
    for name, content in keys.items():
        pki.save(stage / KEYS / Path(name).name, content, 0o600)


def _holds(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content


def _check_stopped(directory: Directory) -> None:
    if processes.find(directory) is not None:
        raise Failed(
            f"the cluster in {directory.root} is running: stop it with `kybern down --data-dir "
            f"{directory.root}` before you restore it."
        )


@contextlib.contextmanager
def _unused(store: Path) -> Iterator[None]:
    """Keep everybody off the store that is to be replaced."""
    lock = FileLock(store)
    try:
        yield
    finally:
        lock.release()


def _swap(stage: Path, root: Path) -> None:
    """Let each staged part and what is in its place change places, the store last.

    Until then the old store is what a cluster would start with; there is no moment without one.
    """
    parts = [stage / name for name in (SETTINGS, KEYS, "store") if (stage / name).exists()]
    for part in parts:
        place = root / part.name
        if not place.exists():
            part.rename(place)
        elif not _exchanged(part, place):  # a file system that cannot: two steps, then
            old = part.with_name(f"{part.name}.old")
            place.rename(old)
            part.rename(place)
            old.rename(part)
    descriptor = os.open(root, os.O_RDONLY | os.O_CLOEXEC)
    os.fsync(descriptor)
    os.close(descriptor)


def _exchanged(one: Path, other: Path) -> bool:
    renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    return bool(renameat2(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0)


def _put_aside(stage: Path, aside: Path | None) -> None:
    """Keep what was there before; without a name for it, that was nothing."""
    if aside is None:
        shutil.rmtree(stage)
    else:
        stage.rename(aside)


@contextlib.contextmanager
def _telling() -> Iterator[None]:
    try:
        yield
    except StoreFailed as error:
        raise Failed(f"{error}.") from None
