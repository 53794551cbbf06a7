"""`kybern snapshot save` and `restore`: a cluster in one file."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from kybern.cli.errors import Failed
from kybern.cli.output.progress import counted, say

if TYPE_CHECKING:
    from pathlib import Path

    from kybern.cli.deeds import Deeds
    from kybern.cluster.directory import Directory


def save(directory: Directory, file: Path, deeds: Deeds) -> None:
    """Save the cluster; say what the file holds."""
    if file.is_dir():
        raise Failed(f"{file} is a directory: name the file to write.")
    with counted("Saving the cluster", f"Saved the cluster to {file}") as report:
        objects, revision = deeds.save_snapshot(directory, file, report)
    say(
        f"{objects:,} objects at revision {revision}, {file.stat().st_size / 1e6:.1f} MB. The "
        "cluster's keys are in it, and every Secret: keep it where only you can read it."
    )


def restore(directory: Directory, file: Path, store: str, deeds: Deeds) -> None:
    """Bring the cluster back; say where what was there before is."""
    if not file.is_file():
        raise Failed(f"there is no file {file}.")
    with counted("Restoring the cluster", f"Restored the cluster in {directory.root}") as report:
        done = deeds.restore_snapshot(directory, file, store, report)
    say(f"{done.objects:,} objects as they were at {done.taken}.")
    if done.aside is not None:
        say(f"What was there before is in {done.aside}: remove it when you need it no more.")
    if done.missing:
        say(f"What is encrypted needs {done.missing}, which is not here: put it there first.")
    say(f"Start it with `kybern up --data-dir {shlex.quote(str(directory.root))}`.")
