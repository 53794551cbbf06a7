"""What a scheduling plugin is, and the words plugins and cycle share.

In:   nothing; this is vocabulary.
Out:  `Filter` and `Scorer`, the news that could change a verdict, and what a filter says.
By:   plugins implement it, cycle and queue use it.

A plugin answers for many nodes at once: `rows` selects them, all or a few, and the answer is an
array of that length. First it prepares: it looks at the pod, once, and returns whatever it needs
afterwards, or None when the pod does not concern it, which is the usual case and costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from kybern.scheduler.columns import Nodes
    from kybern.scheduler.pod_info import PodInfo

    Rows = NDArray[np.intp] | slice
    Bools = NDArray[np.bool_]
    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

MAX_SCORE: Final = 100


class News:
    """What happened to the cluster, as far as a pod that does not fit may care.

    Bits of plain integers: they are combined and compared for every event, which `enum.Flag` makes
    a hundred times dearer.
    """

    NOTHING: Final = 0
    NODE_ADDED: Final = 1 << 0
    NODE_ALLOCATABLE: Final = 1 << 1
    NODE_LABELS: Final = 1 << 2
    NODE_TAINTS: Final = 1 << 3
    NODE_UNSCHEDULABLE: Final = 1 << 4
    NODE_DELETED: Final = 1 << 5
    POD_GONE: Final = 1 << 6  # a pod left its node, or asks for less of it
    POD_ADDED: Final = 1 << 7  # a pod got a node
    POD_LABELS: Final = 1 << 8  # a pod on a node changed its labels
    VOLUME: Final = 1 << 9  # a claim, a volume or a class changed
    NAMESPACE: Final = 1 << 10
    ABOUT_ONE_NODE: Final = (1 << 7) - 1
    """News after which only the node concerned can have become a place for the pod, unless the pod
    also waits for other news."""
    EVERYTHING: Final = -1


class Rejection(NamedTuple):
    """A pod that fits nowhere, whatever the nodes are like; evicting others would not help."""

    reason: str


class Why(NamedTuple):
    """Why nodes do not fit.

    Attributes:
        reasons: upstream's words → on how many of the nodes.
        resolvable: for each of the nodes, whether evicting pods from it could help.
    """

    reasons: Mapping[str, int]
    resolvable: Bools


class Filter(Protocol):
    """Says which nodes a pod may run on."""

    name: str
    wakes: int
    """The `News` that could turn its no into a yes."""
    looks_at_pods: bool
    """Whether the verdict depends on which pods run where, other than through the columns; if so,
    it is asked anew for every pod."""

    def prepare(self, pod: PodInfo, nodes: Nodes) -> Any:
        """Look at a pod: None if every node fits, a Rejection if none can, else a state."""

    def fits(self, state: Any, nodes: Nodes, rows: Rows) -> Bools:
        """Say which of the rows fit."""

    def why(self, state: Any, nodes: Nodes, rows: Rows) -> Why:
        """Explain why these rows, which do not fit, do not."""


class Scorer(Protocol):
    """Says how well nodes suit a pod."""

    name: str
    looks_at_pods: bool
    relative: bool
    """Whether raw scores mean something only beside each other, so that `normalise` is needed once
    it is known which nodes fit. Otherwise they are from 0 to 100 as they are."""

    def prepare(self, pod: PodInfo, nodes: Nodes) -> Any:
        """Look at a pod: None if all nodes are alike to it, else a state."""

    def score(self, state: Any, nodes: Nodes, rows: Rows) -> Ints:
        """Return the raw score of each of the rows."""

    def normalise(self, state: Any, nodes: Nodes, raw: Ints, fits: Bools) -> Ints:
        """Turn raw scores of all nodes into 0 to 100, as seen among those that fit."""


def by_maximum(raw: Ints, fits: Bools, *, reverse: bool = False) -> Ints:
    """Scale raw scores so that the highest of those that fit is 100; or, reversed, 0."""
    highest = int(raw[fits].max(initial=0))
    if highest == 0:
        return raw + MAX_SCORE if reverse else raw
    scaled = raw * MAX_SCORE // highest
    return MAX_SCORE - scaled if reverse else scaled
