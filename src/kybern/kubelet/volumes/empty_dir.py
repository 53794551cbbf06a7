"""An emptyDir volume: a directory which lives as long as its pod, on disk or in memory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kybern.api import quantity
from kybern.kubelet.volumes import mounts

if TYPE_CHECKING:
    from pathlib import Path

    from kybern.api.core.v1 import EmptyDirVolumeSource

MODE = 0o777


def make(path: Path, source: EmptyDirVolumeSource, memory_limit: int) -> None:
    """Make the directory; what is in it stays when it is there already.

    Args:
        path: where.
        source: its medium and size limit.
        memory_limit: bytes the pod may use; a memory-backed directory is never larger. 0: no limit.
    """
    path.mkdir(parents=True, exist_ok=True, mode=0o755)
    medium = source.medium or ""
    if medium and not os.path.ismount(path):
        if medium.startswith("HugePages"):
            size = medium.removeprefix("HugePages").removeprefix("-").removesuffix("i")
            options = f"pagesize={size}" if size else ""
            mounts.mount("nodev", str(path), "hugetlbfs", 0, options)
        else:
            size_limit = quantity.to_value(source.sizeLimit or "0")
            sizes = [size for size in (size_limit, memory_limit) if size > 0]
            options = f"size={min(sizes)}" if sizes else ""
            mounts.mount("tmpfs", str(path), "tmpfs", 0, options)
    # Explicitly, as mkdir obeys the umask; other bits are the pod's group's.
    if path.stat().st_mode & 0o777 != MODE:
        path.chmod(MODE)
