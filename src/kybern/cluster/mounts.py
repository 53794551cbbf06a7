"""What is mounted below a directory, and how to let go of it.

In:   a directory.
Out:  its mounts, deepest first.
By:   `kybern down`, after containerd and the kubelet are gone.
"""

from __future__ import annotations

import ctypes
import os
import re
from pathlib import Path

MNT_DETACH = 2
_ESCAPE = re.compile(rb"\\([0-7]{3})")


def below(root: Path, table: str = "/proc/self/mountinfo") -> list[Path]:
    """Return the mount points below `root`, deepest first; one that is mounted on twice, twice.

    The kernel writes spaces and the like as octal escapes (proc(5)).
    """
    found = []
    for line in Path(table).read_bytes().splitlines():
        raw = _ESCAPE.sub(lambda match: bytes([int(match[1], 8)]), line.split(b" ")[4])
        point = Path(os.fsdecode(raw))
        if point == root or root in point.parents:
            found.append(point)
    return sorted(found, key=lambda p: len(p.parts), reverse=True)


def unmount_below(root: Path) -> None:
    """Detach every mount below `root`; those that refuse are still in `below`."""
    libc = ctypes.CDLL(None, use_errno=True)
    for point in below(root):
        libc.umount2(os.fsencode(point), MNT_DETACH)
