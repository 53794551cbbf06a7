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
    root = str(directory.root)

    def python(name: str, module: str) -> Program:
        return Program(name, (sys.executable, "-m", f"kybern.cmd.{module}", root), ENVIRONMENT)

    control_plane = python("control-plane", "control_plane")
    if settings.control_plane_only:
        return [control_plane], None
    node, cleanup = python("node", "node"), python("cleanup", "cleanup")
    if settings.runtime_endpoint:
        return [control_plane, node], cleanup
    return [python("containerd", "containerd"), control_plane, node], cleanup
