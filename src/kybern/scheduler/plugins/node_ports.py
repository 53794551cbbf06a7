"""NodePorts: a port of the node belongs to one pod at a time.

In:   the host ports a pod asks for; those in use.
Out:  a verdict per node.
By:   cycle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kybern.api.core.pods import ANY_ADDRESS
from kybern.scheduler.framework import News, Why

if TYPE_CHECKING:
    from kybern.scheduler.columns import Nodes
    from kybern.scheduler.framework import Bools, Rows
    from kybern.scheduler.pod_info import PodInfo

REASON: Final = "node(s) didn't have free ports for the requested pod ports"


class NodePorts:
    """Keeps apart pods that want the same port of a node."""

    name = "NodePorts"
    wakes = News.NODE_ADDED | News.POD_GONE
    looks_at_pods = False  # ports in use are part of the columns

    def prepare(self, pod: PodInfo, nodes: Nodes) -> Any:
        """Skip pods without host ports."""
        return pod.ports or None

    def fits(self, state: Any, nodes: Nodes, rows: Rows) -> Bools:
        """Say which of the rows fit."""
        fits = np.ones(nodes.size, np.bool_)
        for protocol, ip, port in state:
            for used_ip, row in nodes.ports.get((protocol, port), ()):
                # The unspecified address stands for all of them.
                if ip == used_ip or ANY_ADDRESS in (ip, used_ip):
                    fits[row] = False
        return fits[rows]

    def why(self, state: Any, nodes: Nodes, rows: Rows) -> Why:
        """Explain why these rows do not fit."""
        count = len(nodes.valid[rows])
        return Why({REASON: count}, np.ones(count, np.bool_))
