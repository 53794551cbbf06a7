"""Shims of containerd that outlived what they were for.

In:   the socket of a containerd of ours.
Out:  its shims, and whatever runs below them, are gone.
By:   the clean-up after a cluster, when containerd has no pod any more.

A containerd, or a caller of it, that is killed while a container is being removed can leave a
shim behind that no containerd knows of. The socket in its arguments says whose it is.
"""

from __future__ import annotations

import contextlib
import os
import signal
from itertools import pairwise
from pathlib import Path

PREFIX = "containerd-shim"
PROC = Path("/proc")


def left(socket: Path) -> list[int]:
    """Return the processes which are shims of the containerd at this socket."""
    found = []
    for place in PROC.iterdir():
        if place.name.isdecimal() and _belongs(_arguments(place), str(socket)):
            found.append(int(place.name))
    return sorted(found)


def end(socket: Path) -> list[int]:
    """Kill them with everything below them, and return which there were."""
    shims = left(socket)
    for pid in [*(child for shim in shims for child in _below(shim)), *shims]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return shims


def _belongs(arguments: list[str], socket: str) -> bool:
    if not arguments or not os.path.basename(arguments[0]).startswith(PREFIX):
        return False
    return ("-address", socket) in pairwise(arguments)


def _arguments(place: Path) -> list[str]:
    try:
        return (place / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []  # it has ended in the meantime


def _below(pid: int) -> list[int]:
    """Return the descendants of a process."""
    children: dict[int, list[int]] = {}
    for place in PROC.iterdir():
        if place.name.isdecimal() and (parent := _parent(place)):
            children.setdefault(parent, []).append(int(place.name))
    found: list[int] = []
    coming = [pid]
    while coming:
        coming = [child for each in coming for child in children.get(each, ())]
        found += coming
    return found


def _parent(place: Path) -> int:
    try:
        stat = (place / "stat").read_text(errors="replace")
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[1])  # the name, in brackets, may hold anything
