"""The programs of a cluster, in the order in which they start.

In:   the settings.
Out:  what the supervisor runs; the first is the last to stop, after the clean-up.
By:   `kybern up`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from kybern.cluster.processes import Program

if TYPE_CHECKING:
    from kybern.cluster.directory import Directory
    from kybern.cluster.settings import Settings

ENVIRONMENT = {
    # one thread of linear algebra is enough for us, and its buffers cost memory
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
    # our children execute other programs at once: gRPC need not be usable in them
    "GRPC_ENABLE_FORK_SUPPORT": "0",
}


def of(directory: Directory, settings: Settings) -> tuple[list[Program], Program | None]:
    """Return the programs and the clean-up that runs before the last one stops."""
    control_plane = _python(directory, "control-plane", "control_plane")
    if settings.control_plane_only:
        return [control_plane], None
    helpers, cleanup = to_clean_up(directory, settings)
    node = _python(directory, "node", "node")
    return [*helpers, *([] if settings.node_only else [control_plane]), node], cleanup


def to_clean_up(directory: Directory, settings: Settings) -> tuple[list[Program], Program]:
    """Return the clean-up of a cluster with a node, and what has to run meanwhile."""
    cleanup = _python(directory, "cleanup", "cleanup")
    if settings.runtime_endpoint:
        return [], cleanup
    return [_python(directory, "containerd", "containerd")], cleanup


def _python(directory: Directory, name: str, module: str) -> Program:
    argv = (sys.executable, "-m", f"kybern.cmd.{module}", str(directory.root))
    return Program(name, argv, ENVIRONMENT)
