"""`kybern`: a component when the first word names one, a verb of the command line otherwise.

Components are imported when they are asked for: `kybern status` should not pay for a scheduler.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from kybern.cli.deeds import Report, Restored
    from kybern.cluster.directory import Directory

COMPONENTS = {
    "apiserver": "kybern.cmd.apiserver",
    "controller-manager": "kybern.cmd.controller_manager",
    "scheduler": "kybern.cmd.scheduler",
    "kubelet": "kybern.cmd.kubelet",
    "proxy": "kybern.cmd.proxy",
    "dns": "kybern.cmd.dns",
}


def main() -> None:
    """Run what the command line asks for."""
    if len(sys.argv) > 1 and sys.argv[1] in COMPONENTS:
        name = sys.argv.pop(1)
        sys.argv[0] = f"kybern {name}"
        importlib.import_module(COMPONENTS[name]).main()
        return
    from kybern.cli.deeds import Deeds
    from kybern.cli.main import main as command_line

    command_line(Deeds(load_image, save_snapshot, restore_snapshot, migrate_store))


def load_image(directory: Directory, path: Path) -> list[str]:
    """Put an image archive into the nodes of a cluster."""
    from kybern.cmd.images import load

    return load(directory, path)


def save_snapshot(directory: Directory, path: Path, report: Report) -> tuple[int, int]:
    """Save a cluster in a file."""
    from kybern.cmd.snapshots import save

    return save(directory, path, report)


def restore_snapshot(directory: Directory, path: Path, store: str, report: Report) -> Restored:
    """Bring a cluster back from a file."""
    from kybern.cmd.snapshots import restore

    return restore(directory, path, store, report)


def migrate_store(source: str, target: str, report: Report) -> tuple[int, int]:
    """Copy a store to another medium."""
    from kybern.cmd.migration import run

    return run(source, target, report)


if __name__ == "__main__":
    main()
