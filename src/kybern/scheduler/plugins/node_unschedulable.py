"""NodeUnschedulable: a cordoned node takes no pods, but for those that tolerate it.

In:   the pod's tolerations; which nodes are cordoned.
Out:  a verdict per node.
By:   cycle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kybern.api.core.pods import tolerates
from kybern.api.core.v1 import Taint
from kybern.scheduler.framework import News, Why

if TYPE_CHECKING:
    from kybern.scheduler.columns import Nodes
    from kybern.scheduler.framework import Bools, Rows
    from kybern.scheduler.pod_info import PodInfo

REASON: Final = "node(s) were unschedulable"
TAINT: Final = Taint(key="node.kubernetes.io/unschedulable", effect="NoSchedule")


class NodeUnschedulable:
    """Keeps pods off cordoned nodes."""

    name = "NodeUnschedulable"
    wakes = News.NODE_ADDED | News.NODE_UNSCHEDULABLE
    looks_at_pods = False

    def prepare(self, pod: PodInfo, nodes: Nodes) -> Any:
        """Skip pods that tolerate being where nobody else may be."""
        tolerant = any(tolerates(each, TAINT) for each in pod.pod.spec.tolerations or ())
        return None if tolerant else True

    def fits(self, state: Any, nodes: Nodes, rows: Rows) -> Bools:
        """Say which of the rows fit."""
        return ~nodes.unschedulable[: nodes.size][rows]

    def why(self, state: Any, nodes: Nodes, rows: Rows) -> Why:
        """Explain why these rows do not fit."""
        count = len(nodes.valid[rows])
        return Why({REASON: count}, np.zeros(count, np.bool_))
