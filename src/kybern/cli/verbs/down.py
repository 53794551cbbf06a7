"""`kybern down`: stop the cluster and its containers."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

from kybern.cli.errors import Failed
from kybern.cli.loading import settings_of
from kybern.cli.output.progress import say, step
from kybern.cluster import fleet, processes, slots
from kybern.cluster.mounts import below, unmount_below

if TYPE_CHECKING:
    from kybern.cluster.directory import Directory


def run(directory: Directory, *, purge: bool) -> None:
    """Stop everything; with `purge`, remove the data as well."""
    try:
        stopped = _stop(directory, purge=purge)
    except (processes.StartError, processes.StopTimeoutError) as error:
        raise Failed(str(error)) from None
    if purge:
        _purge(directory)
    elif not stopped:
        say(f"No cluster runs in {directory.root}: nothing to stop.")


def _stop(directory: Directory, *, purge: bool) -> bool:
    """Stop the cluster, or what is left of it; say whether there was anything."""
    places = [*fleet.members(directory), directory]
    joined = directory.nodes.is_dir()
    if not (joined or any(place.state.exists() for place in places)):
        return False
    if not directory.settings.exists():
        return False
    try:
        chosen = settings_of(directory)
    except Failed:
        if purge:  # it is said to be the way out of damaged settings
            return False
        raise
    with step("Stopping the cluster and its containers", "Stopped the cluster"):
        stopped, problems = fleet.stop_all(directory, chosen)
    if problems:
        raise Failed(" ".join(problems))
    return stopped


def _purge(directory: Directory) -> None:
    if not directory.root.exists():
        say(f"There is no data in {directory.root}: nothing to remove.")
        return
    if not (directory.settings.exists() or directory.pki.exists()):
        raise Failed(
            f"{directory.root} is not a data directory of Kybern: nothing was removed. "
            "Name the right one with --data-dir."
        )
    with step(f"Removing {directory.root}", f"Removed {directory.root}"):
        unmount_below(directory.root)
        if left := below(directory.root):
            raise Failed(
                f"{left[0]} is still mounted, so nothing was removed: unmount it and try again."
            )
        slots.release(directory.root)
        try:
            shutil.rmtree(directory.root)
        except OSError as error:
            raise Failed(
                f"could not remove {error.filename}: {error.strerror}. Remove it by hand."
            ) from None
    sys.stderr.flush()
