"""mount(2) and umount2(2), which Python does not wrap.

In:   paths and options.
Out:  a changed mount table, or OSError with the kernel's errno.
By:   the memory-backed volumes, sub-paths, and the check which snapshotter this machine can use.
"""

from __future__ import annotations

import ctypes
import functools
import os
from pathlib import Path

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_PRIVATE, MS_SHARED = 4096, 16384, 1 << 18, 1 << 20
MNT_DETACH, UMOUNT_NOFOLLOW = 2, 8


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str, flags: int = 0, options: str = "") -> None:
    """Mount `source` on `target`.

    Raises:
        OSError: what the kernel answered.
    """
    data = options.encode() if options else None
    code = _libc().mount(
        source.encode(), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), data
    )
    if code != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno), target)


def unmount(target: str, *, lazily: bool = True) -> None:
    """Unmount what is mounted on `target`; nothing happens when nothing is.

    Raises:
        OSError: the kernel refused for another reason than "not mounted".
    """
    flags = UMOUNT_NOFOLLOW | (MNT_DETACH if lazily else 0)
    code = _libc().umount2(os.fsencode(target), ctypes.c_int(flags))
    if code != 0:
        errno = ctypes.get_errno()
        if errno not in (22, 2):  # EINVAL: not a mount point; ENOENT: already gone
            raise OSError(errno, os.strerror(errno), target)


def is_mounted(place: str) -> bool:
    """Say whether something is mounted on a place, also a directory of the same file system.

    `os.path.ismount` does not see that.
    """
    point = os.path.join(os.path.realpath(os.path.dirname(place)), os.path.basename(place))
    return point in mounts_below(point)


def mounts_below(directory: str) -> list[str]:
    """Return the mount points at or below a directory, deepest first."""
    root = os.path.realpath(directory)
    found = []
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        point = _unescape(line.split(" ", 5)[4])
        if point == root or point.startswith(root + "/"):
            found.append(point)
    # Of mounts stacked on one point, any may be named: unmounting takes the topmost.
    return sorted(found, key=len, reverse=True)


def share(directory: str) -> None:
    """Let mounts below a directory travel between the node and containers that ask for it.

    Where the file system is mounted privately, the directory becomes a mount of its own.

    Raises:
        OSError: the kernel refused.
    """
    if not _is_shared(directory):
        mount(directory, directory, "none", MS_BIND)
        mount("none", directory, "none", MS_SHARED)


def _is_shared(directory: str) -> bool:
    path = os.path.realpath(directory)
    best, shared = "", False
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        fields = line.split(" ")
        point = _unescape(fields[4])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best = point
            shared = any(each.startswith("shared:") for each in fields[6 : fields.index("-")])
    return shared


def unmount_below(directory: str) -> None:
    """Unmount everything at or below a directory."""
    for point in mounts_below(directory):
        unmount(point)


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, char)
    return text
