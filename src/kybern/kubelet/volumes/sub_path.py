"""A part of a volume, mounted so that no symbolic link inside it can lead out of it.

In:   a volume's directory, the path inside, and a place for the mount.
Out:  that place, bound to the part.
By:   pods/act.py.

A container can change links in its volumes at any time, also between a check and a mount. So the
path is walked with descriptors that do not follow links, and the descriptor is what is mounted.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING

from kybern.kubelet.volumes import mounts
from kybern.kubelet.volumes.content import VolumeProblem

if TYPE_CHECKING:
    from pathlib import Path


def bind(volume: str, sub_path: str, place: Path, *, make: bool = True) -> Path:
    """Mount the part of a volume on `place` and return it; it is made when missing.

    Raises:
        VolumeProblem: the path leads out of the volume, or cannot be made.
    """
    if mounts.is_mounted(str(place)):
        return place
    root = os.path.realpath(volume)
    target = os.path.realpath(os.path.join(root, sub_path))
    if target != root and not target.startswith(root.rstrip("/") + "/"):
        raise VolumeProblem(f"subPath {sub_path!r} leads out of the volume")
    relative = os.path.relpath(target, root)
    try:
        if make and not os.path.lexists(target):
            _make_directories(root, relative)
        handle = _open_inside(root, relative)
    except OSError as error:
        raise VolumeProblem(f"subPath {sub_path!r}: {error.strerror}") from None
    try:
        _make_place(place, directory=os.path.isdir(f"/proc/self/fd/{handle}"))
        mounts.mount(f"/proc/self/fd/{handle}", str(place), "none", mounts.MS_BIND)
    finally:
        os.close(handle)
    return place


def _open_inside(root: str, relative: str) -> int:
    handle = os.open(root, os.O_PATH | os.O_DIRECTORY)
    for part in () if relative == "." else relative.split("/"):
        try:
            inner = os.open(part, os.O_PATH | os.O_NOFOLLOW, dir_fd=handle)
        finally:
            os.close(handle)
        handle = inner
        # With O_PATH the last part would be opened even if it is a link, and mounting it would
        # follow that: a container may have put it there since the path was looked at.
        if stat.S_ISLNK(os.fstat(handle).st_mode):
            os.close(handle)
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return handle


def _make_directories(root: str, relative: str) -> None:
    mode = os.stat(root).st_mode & 0o777
    handle = os.open(root, os.O_PATH | os.O_DIRECTORY)
    for part in relative.split("/"):
        try:
            made = False
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, mode, dir_fd=handle)
                made = True
            inner = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY, dir_fd=handle)
            if made:  # the kernel has taken the umask off
                os.fchmod(inner, mode)
        finally:
            os.close(handle)
        handle = inner
    os.close(handle)


def _make_place(place: Path, *, directory: bool) -> None:
    if directory:
        place.mkdir(parents=True, exist_ok=True)
    else:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch(exist_ok=True)
