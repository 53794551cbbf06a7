"""`kybern image load`: put image archives into every node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.cli.errors import Failed
from kybern.cli.loading import settings_of
from kybern.cli.output.progress import say, step
from kybern.cluster import processes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kybern.cluster.directory import Directory

    Loader = Callable[[Directory, Path], list[str]]


def load(directory: Directory, files: list[Path], loader: Loader) -> None:
    """Load each archive; name what is there now."""
    if processes.find(directory) is None:
        raise Failed(f"no cluster runs in {directory.root}: start one with `kybern up`.")
    settings = settings_of(directory)
    if settings.control_plane_only:
        raise Failed("this cluster is a control plane only: it has no node to put images into.")
    if settings.runtime_endpoint:
        raise Failed(
            "this cluster has no containerd of its own: load images with the tools of its runtime."
        )
    for file in files:
        with step(f"Loading {file}", f"Loaded {file}"):
            names = loader(directory, file)
        say("  " + "\n  ".join(names or ["no image in it has a name"]))
