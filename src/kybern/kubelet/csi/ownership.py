"""Giving what is in a volume to the group of its pod (fsGroup).

In:   a mounted volume, a group.
Out:  every file belongs to the group, which may read and, unless it is read-only, write it.
By:   mounting.py, in a thread. Rules are upstream's (pkg/volume/volume_linux.go).
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kybern.kubelet.csi.source import CsiVolume

READ_WRITE = 0o660
ENTER = 0o110
FILE, NONE = "File", "None"
ON_MISMATCH = "OnRootMismatch"


def applies(volume: CsiVolume, policy: str, group: int | None) -> bool:
    """Say whether the kubelet gives a volume to a group.

    Args:
        volume: the volume.
        policy: CSIDriver.spec.fsGroupPolicy; "" for the default.
        group: the pod's fsGroup.
    """
    if group is None or policy == NONE or volume.read_only or volume.block:
        return False
    if policy == FILE:
        return True
    return bool(volume.fs_type) and "ReadWriteOnce" in volume.modes


def give(root: str, group: int, *, when_wrong: bool = False) -> None:
    """Give everything below a directory to a group, the directory itself last.

    Args:
        root: the directory.
        group: to whom.
        when_wrong: only if the directory itself is not the group's yet.
    """
    if when_wrong and _is_right(os.lstat(root), group):
        return
    for directory, names, files in os.walk(root, topdown=False):
        for name in (*files, *names):
            _give(os.path.join(directory, name), group)
    _give(root, group)


def _give(path: str, group: int) -> None:
    # What is there can be exchanged for a link at any time by whoever else has the volume.
    handle = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    try:
        about = os.fstat(handle)
        os.chown(path, -1, group, follow_symlinks=False)
        if stat.S_ISLNK(about.st_mode):
            return
        mode = stat.S_IMODE(about.st_mode) | READ_WRITE
        if stat.S_ISDIR(about.st_mode):
            mode |= stat.S_ISGID | ENTER
        os.chmod(f"/proc/self/fd/{handle}", mode)
    finally:
        os.close(handle)


def _is_right(about: os.stat_result, group: int) -> bool:
    wanted = READ_WRITE | ENTER | stat.S_ISGID
    return about.st_gid == group and about.st_mode & wanted == wanted
