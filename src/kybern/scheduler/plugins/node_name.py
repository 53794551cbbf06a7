"""NodeName: a pod that names its node fits there and nowhere else.

In:   spec.nodeName.
Out:  a verdict per node.
By:   cycle. Pods that name a node are bound already and do not come here; those that are only
      tried out (preemption, a dry run) may.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kybern.scheduler.framework import News, Why

if TYPE_CHECKING:
    from kybern.scheduler.columns import Nodes
    from kybern.scheduler.framework import Bools, Rows
    from kybern.scheduler.pod_info import PodInfo

REASON: Final = "node(s) didn't match the requested node name"


class NodeName:
    """Sends a pod to the node it names."""

    name = "NodeName"
    wakes = News.NODE_ADDED
    looks_at_pods = False

    def prepare(self, pod: PodInfo, nodes: Nodes) -> Any:
        """Skip pods that name no node."""
        return pod.pod.spec.nodeName or None

    def fits(self, state: Any, nodes: Nodes, rows: Rows) -> Bools:
        """Say which of the rows fit."""
        fits = np.zeros(nodes.size, np.bool_)
        if state in nodes.index:
            fits[nodes.index[state]] = True
        return fits[rows]

    def why(self, state: Any, nodes: Nodes, rows: Rows) -> Why:
        """Explain why these rows do not fit."""
        count = len(nodes.valid[rows])
        return Why({REASON: count}, np.zeros(count, np.bool_))
