"""NodeAffinity: pods choose nodes by their labels, strictly or by preference.

In:   nodeSelector, required and preferred node affinity; the labels of nodes.
Out:  a verdict and a score per node.
By:   cycle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kybern.scheduler import node_selectors
from kybern.scheduler.framework import News, Why, by_maximum

if TYPE_CHECKING:
    from kybern.api.core.v1 import PreferredSchedulingTerm
    from kybern.scheduler.columns import Nodes
    from kybern.scheduler.framework import Bools, Ints, Rows
    from kybern.scheduler.pod_info import PodInfo

REASON: Final = "node(s) didn't match Pod's node affinity/selector"


class NodeAffinity:
    """Keeps pods on nodes whose labels they ask for."""

    name = "NodeAffinity"
    wakes = News.NODE_ADDED | News.NODE_LABELS
    looks_at_pods = False

    def prepare(self, pod: PodInfo, nodes: Nodes) -> Any:
        """Skip pods that do not choose."""
        return node_selectors.required(pod.pod.spec)

    def fits(self, state: Any, nodes: Nodes, rows: Rows) -> Bools:
        """Say which of the rows fit."""
        return node_selectors.matches(state, nodes, rows)

    def why(self, state: Any, nodes: Nodes, rows: Rows) -> Why:
        """Explain why these rows do not fit."""
        count = len(nodes.valid[rows])
        return Why({REASON: count}, np.zeros(count, np.bool_))


class PreferredNodeAffinity:
    """Prefers nodes whose labels pods would rather have. The scoring half of NodeAffinity."""

    name = "NodeAffinity"
    looks_at_pods = False
    relative = True

    def prepare(self, pod: PodInfo, nodes: Nodes) -> Any:
        """Skip pods without preferences."""
        affinity = pod.pod.spec.affinity
        preferred = (
            affinity
            and affinity.nodeAffinity
            and (affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution)
        )
        return preferred or None

    def score(self, state: Any, nodes: Nodes, rows: Rows) -> Ints:
        """Add up the weights of the terms a node matches."""
        total: Ints = np.zeros(len(nodes.valid[: nodes.size][rows]), np.int64)
        terms: list[PreferredSchedulingTerm] = state
        for term in terms:
            if term.weight:
                total += term.weight * node_selectors.matches_term(term.preference, nodes, rows)
        return total

    def normalise(self, state: Any, nodes: Nodes, raw: Ints, fits: Bools) -> Ints:
        """Highest sum: 100."""
        return by_maximum(raw, fits)
