"""TaintToleration: nodes repel pods that do not tolerate their taints.

In:   the pod's tolerations; the taints of nodes.
Out:  a verdict per node (NoSchedule, NoExecute), and a score (PreferNoSchedule).
By:   cycle.

Many nodes share few sets of taints, so tolerations are held against each set once, and nodes look
the answer up by the number of their set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kybern.api.core.pods import tolerates, untolerated
from kybern.scheduler.framework import News, Why, by_maximum

if TYPE_CHECKING:
    from kybern.api.core.v1 import Taint, Toleration
    from kybern.scheduler.columns import Nodes
    from kybern.scheduler.framework import Bools, Ints, Rows
    from kybern.scheduler.pod_info import PodInfo

REASON: Final = "node(s) had untolerated taint(s)"
HARD: Final = ("NoSchedule", "NoExecute")
SOFT: Final = "PreferNoSchedule"


class _State:
    """Answers by number of taint set; sets that come up later are added when needed."""

    __slots__ = ("fits", "repelled", "tolerations")

    def __init__(self, tolerations: list[Toleration]) -> None:
        self.tolerations = tolerations
        self.fits: Bools = np.zeros(0, np.bool_)
        self.repelled: Ints = np.zeros(0, np.int64)

    def complete(self, sets: list[tuple[Taint, ...]]) -> _State:
        known = len(self.fits)
        if known < len(sets):
            new = sets[known:]
            allowed = self.tolerations
            fits = np.array([untolerated(allowed, each, HARD) is None for each in new], np.bool_)
            repelled = np.array([_count_soft(allowed, each) for each in new], np.int64)
            self.fits = np.concatenate((self.fits, fits))
            self.repelled = np.concatenate((self.repelled, repelled))
        return self


def _count_soft(tolerations: list[Toleration], taints: tuple[Taint, ...]) -> int:
    relevant = [each for each in tolerations if not each.effect or each.effect == SOFT]
    return sum(
        taint.effect == SOFT and not any(tolerates(each, taint) for each in relevant)
        for taint in taints
    )


class TaintToleration:
    """Keeps pods off tainted nodes, strictly or by preference."""

    name = "TaintToleration"
    wakes = News.NODE_ADDED | News.NODE_TAINTS
    looks_at_pods = False
    relative = True

    def prepare(self, pod: PodInfo, nodes: Nodes) -> Any:
        """Remember the tolerations; while no node was ever tainted, all fit."""
        if len(nodes.taint_sets) == 1:
            return None
        return _State(pod.pod.spec.tolerations or [])

    def fits(self, state: Any, nodes: Nodes, rows: Rows) -> Bools:
        """Say which of the rows fit."""
        fits: Bools = state.complete(nodes.taint_sets).fits[nodes.taint_set[: nodes.size][rows]]
        return fits

    def why(self, state: Any, nodes: Nodes, rows: Rows) -> Why:
        """Explain why these rows do not fit."""
        count = len(nodes.valid[rows])
        return Why({REASON: count}, np.zeros(count, np.bool_))

    def score(self, state: Any, nodes: Nodes, rows: Rows) -> Ints:
        """Count the preferences of the node that the pod does not share."""
        counts: Ints = state.complete(nodes.taint_sets).repelled[
            nodes.taint_set[: nodes.size][rows]
        ]
        return counts

    def normalise(self, state: Any, nodes: Nodes, raw: Ints, fits: Bools) -> Ints:
        """Most untolerated taints: 0, none: 100."""
        return by_maximum(raw, fits, reverse=True)
