"""What the driver has: volumes, snapshots and attachments, as directories and one JSON file.

Several processes (one per node) may share the directory, as real ones share a storage system; the
file is locked while one works with it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Tree = dict[str, Any]


class State:
    """One directory with everything in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("volumes", "snapshots", "ephemeral"):
            (root / name).mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def changing(self) -> Iterator[Tree]:
        """Give the tree to read and change; it is written when the block ends well."""
        with (self.root / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            tree = self._load()
            before = json.dumps(tree, sort_keys=True)
            yield tree
            after = json.dumps(tree, sort_keys=True, indent=1)
            if json.dumps(tree, sort_keys=True) != before:
                part = self.root / "state.json.part"
                part.write_text(after, encoding="utf-8")
                part.rename(self.root / "state.json")

    def volume(self, volume_id: str) -> Path:
        """Return where a volume is: a directory, or a file for a block volume."""
        return self.root / "volumes" / volume_id

    def snapshot(self, snapshot_id: str) -> Path:
        """Return where a snapshot is."""
        return self.root / "snapshots" / snapshot_id

    def ephemeral(self, volume_id: str) -> Path:
        """Return where a volume is that lives as long as its pod."""
        return self.root / "ephemeral" / volume_id

    def _load(self) -> Tree:
        try:
            text = (self.root / "state.json").read_text(encoding="utf-8")
        except FileNotFoundError:
            return {"volumes": {}, "snapshots": {}}
        tree: Tree = json.loads(text)
        return tree


def copy(source: Path, target: Path) -> None:
    """Copy a volume or snapshot."""
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copy2(source, target)


def remove(path: Path) -> None:
    """Remove a volume or snapshot."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def make(path: Path, size: int, *, block: bool) -> None:
    """Make an empty volume."""
    if block:
        path.touch(0o600)
        os.truncate(path, size)
    else:
        path.mkdir()
        path.chmod(0o777)
