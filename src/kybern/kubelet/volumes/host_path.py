"""A hostPath volume: a path of the node, which has to be what the pod says it is."""

from __future__ import annotations

import stat
from pathlib import Path

from kybern.kubelet.volumes.content import VolumeProblem

CHECKS = {
    "Directory": (stat.S_ISDIR, "a directory"),
    "DirectoryOrCreate": (stat.S_ISDIR, "a directory"),
    "File": (stat.S_ISREG, "a file"),
    "FileOrCreate": (stat.S_ISREG, "a file"),
    "Socket": (stat.S_ISSOCK, "a socket file"),
    "CharDevice": (stat.S_ISCHR, "a character device"),
    "BlockDevice": (stat.S_ISBLK, "a block device"),
}


def check(path: str, kind: str) -> None:
    """Check, and for the kinds which say so make, the path.

    Raises:
        VolumeProblem: it is something else, or not there.
    """
    if not kind:
        return
    place = Path(path)
    if kind not in CHECKS:
        raise VolumeProblem(f'"{kind}" is an invalid volume type')
    if not place.exists():
        if kind == "DirectoryOrCreate":
            place.mkdir(parents=True, mode=0o755)
        elif kind == "FileOrCreate":
            _touch(place)
    fits, name = CHECKS[kind]
    try:
        mode = place.stat().st_mode
    except OSError:
        raise VolumeProblem(f"hostPath type check failed: {path} is not {name}") from None
    if not fits(mode):
        raise VolumeProblem(f"hostPath type check failed: {path} is not {name}")


def _touch(place: Path) -> None:
    try:
        place.touch(mode=0o644)
    except OSError as error:
        raise VolumeProblem(f"hostPath type check failed: {error}") from None
