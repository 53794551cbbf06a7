"""NodeResourcesBalancedAllocation: CPU and memory of a node should run out together.

In:   requests; allocatable and requested resources of nodes.
Out:  a score per node: 100 less the standard deviation of the used shares, in percent.
By:   cycle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kybern.scheduler.columns import CPU, MEMORY
from kybern.scheduler.framework import MAX_SCORE

if TYPE_CHECKING:
    from kybern.scheduler.columns import Nodes
    from kybern.scheduler.framework import Bools, Floats, Ints, Rows
    from kybern.scheduler.pod_info import PodInfo


class NodeResourcesBalancedAllocation:
    """Prefers nodes that the pod leaves in balance."""

    name = "NodeResourcesBalancedAllocation"
    looks_at_pods = False
    relative = False

    def prepare(self, pod: PodInfo, nodes: Nodes) -> Any:
        """Skip pods that request neither CPU nor memory: they change no balance."""
        amounts = (pod.fit.milli_cpu, pod.fit.memory)
        return amounts if any(amounts) else None

    def score(self, state: Any, nodes: Nodes, rows: Rows) -> Ints:
        """Return how balanced each node would be."""
        cpu, has_cpu = _share(nodes, CPU, state[0], rows)
        memory, has_memory = _share(nodes, MEMORY, state[1], rows)
        deviation = np.abs(cpu - memory) / 2.0
        # With one resource there is nothing to balance.
        balance = np.where(has_cpu & has_memory, 1.0 - deviation, 1.0)
        balance *= MAX_SCORE
        return balance.astype(np.int64)

    def normalise(self, state: Any, nodes: Nodes, raw: Ints, fits: Bools) -> Ints:
        """Return raw scores as they are."""
        return raw


def _share(nodes: Nodes, column: int, amount: int, rows: Rows) -> tuple[Floats, Bools]:
    """Return how much of a resource would be used, and which nodes have it at all."""
    allocatable = nodes.allocatable[column, : nodes.size][rows].astype(np.float64)
    has: Bools = allocatable > 0
    share: Floats = nodes.requested[column, : nodes.size][rows].astype(np.float64)
    share += amount
    np.divide(share, allocatable, out=share, where=has)
    np.minimum(share, 1.0, out=share)
    return share, has
