"""NodeResourcesBalancedAllocation: CPU and memory of a node should run out together.

In:   requests; allocatable and requested resources of nodes.
Out:  a score per node: 100 less the standard deviation of the used shares, in percent.
By:   cycle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

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
        return np.array(amounts, np.int64)[:, None] if any(amounts) else None

    def score(self, state: Any, nodes: Nodes, rows: Rows) -> Ints:
        """Return how balanced each node would be."""
        size = nodes.size
        share: Floats = (nodes.requested[:2, :size][:, rows] + state) / nodes.divisor[:, :size][
            :, rows
        ]
        np.minimum(share, 1.0, out=share)
        balance: Floats = np.abs(share[0] - share[1])
        balance /= -2.0
        balance += 1.0
        if nodes.incomplete:
            # With one resource there is nothing to balance.
            balance[~nodes.capacity[:, :size][:, rows].all(axis=0)] = 1.0
        balance *= MAX_SCORE
        return balance.astype(np.int64)

    def normalise(self, state: Any, nodes: Nodes, raw: Ints, fits: Bools) -> Ints:
        """Return raw scores as they are."""
        return raw
