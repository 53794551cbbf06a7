"""Writing the files of a volume so that a reader sees all the old ones or all the new ones.

In:   a directory and a payload.
Out:  the files, reached through symbolic links:

    directory/..2026_01_02_15_04_05.123456789/path   the files of this version
    directory/..data -> ..2026_01_02_15_04_05.123456789
    directory/path -> ..data/path

    Exchanging `..data`, one rename, exchanges all files. This is upstream's layout: programs watch
    `..data` to learn of a change.
By:   volumes/act.py.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from kybern.kubelet.volumes.content import VolumeProblem

if TYPE_CHECKING:
    from kybern.kubelet.volumes.content import Entry, Payload

DATA, DATA_NEW = "..data", "..data_tmp"
DIRECTORY_MODE = 0o755
GROUP_READ, GROUP_ENTER, SET_GID = 0o440, 0o110, 0o2000


def write(directory: Path, payload: Payload, version: str, group: int | None = None) -> bool:
    """Write the files, unless they are there already; say whether anything changed.

    Args:
        directory: the volume; made when missing.
        payload: its files.
        version: a name for this version; it is made longer when the one there has the same.
        group: the pod's fsGroup, which then owns the files and may read them.

    Raises:
        VolumeProblem: a path leads out of the volume.
    """
    for path in payload:
        _check_path(path)
    directory.mkdir(parents=True, exist_ok=True)
    old = _current(directory)
    if old is not None and _holds(directory / old, payload):
        return False
    while (fresh := directory / f"..{version}").exists():
        version += "_"
    fresh.mkdir()
    fresh.chmod(DIRECTORY_MODE)
    for path, entry in payload.items():
        _write_file(fresh, path, entry)
    if group is not None:
        _give_to_group(directory, fresh, group)
    _switch(directory, fresh.name)
    _link(directory, payload)
    if old is not None:
        shutil.rmtree(directory / old, ignore_errors=True)
    return True


def _check_path(path: str) -> None:
    parts = PurePosixPath(path).parts
    if not path or path.startswith("/") or ".." in parts or parts[0].startswith(".."):
        raise VolumeProblem(f"invalid path {path!r} in volume")


def _current(directory: Path) -> str | None:
    try:
        return os.readlink(directory / DATA)
    except OSError:
        return None


def _holds(version: Path, payload: Payload) -> bool:
    """Say whether a version on disk is this payload."""
    present = {str(p.relative_to(version)) for p in version.rglob("*") if p.is_file()}
    if present != {str(PurePosixPath(path)) for path in payload}:
        return False
    return all((version / path).read_bytes() == entry.data for path, entry in payload.items())


def _write_file(version: Path, path: str, entry: Entry) -> None:
    place = version / path
    if place.parent != version:
        for parent in reversed(place.relative_to(version).parents[:-1]):
            made = version / parent
            if not made.is_dir():
                made.mkdir()
                made.chmod(DIRECTORY_MODE)
    handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(handle, entry.data) if len(entry.data) < 4096 else _write_all(handle, entry.data)
        if entry.owner is not None:
            os.fchown(handle, entry.owner, -1)
        os.fchmod(handle, entry.mode)
    finally:
        os.close(handle)


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def _give_to_group(directory: Path, version: Path, group: int) -> None:
    os.chown(directory, -1, group)
    directory.chmod(directory.stat().st_mode & 0o7777 | SET_GID | GROUP_ENTER | GROUP_READ)
    for place in (version, *version.rglob("*")):
        mode = place.stat().st_mode & 0o7777
        os.chown(place, -1, group)
        extra = SET_GID | GROUP_ENTER | GROUP_READ if place.is_dir() else GROUP_READ
        place.chmod(mode | extra)


def _switch(directory: Path, version: str) -> None:
    new = directory / DATA_NEW
    new.unlink(missing_ok=True)
    new.symlink_to(version)
    new.rename(directory / DATA)


def _link(directory: Path, payload: Payload) -> None:
    wanted = {PurePosixPath(path).parts[0] for path in payload}
    for name in wanted:
        link = directory / name
        if not link.is_symlink():
            link.symlink_to(f"{DATA}/{name}")
    for link in directory.iterdir():
        if link.is_symlink() and link.name not in wanted and not link.name.startswith(".."):
            link.unlink()
