"""Adding up over places: a place is all nodes with the same value of a label.

In:   numbers per node; a label.
Out:  for each node, the sum over its place.
By:   the plugins InterPodAffinity and PodTopologySpread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from kybern.scheduler.columns import Nodes
    from kybern.scheduler.framework import Bools, Ints


def has_label(nodes: Nodes, key: str) -> Bools:
    """Say which nodes have a label."""
    return nodes.label(key).ids[: nodes.size] >= 0


def sum_by_place(nodes: Nodes, key: str, counts: Ints) -> Ints:
    """Return, for each node, the sum over all nodes with the same value; 0 without the label."""
    column = nodes.label(key)
    # Value numbers begin at -1, for nodes without the label.
    places = column.ids[: nodes.size] + 1
    sums = np.bincount(places, weights=counts[: nodes.size], minlength=len(column.values) + 1)
    sums[0] = 0
    return sums[places].astype(np.int64)


def count_places(nodes: Nodes, key: str, which: Bools) -> int:
    """Return how many places these nodes make up."""
    ids = nodes.label(key).ids[: nodes.size][which]
    return int(np.count_nonzero(np.bincount(ids[ids >= 0]))) if len(ids) else 0
