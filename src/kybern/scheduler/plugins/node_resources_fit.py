"""NodeResourcesFit: a node has room for what a pod requests; the emptier, the better.

In:   requests; allocatable and requested resources of nodes.
Out:  a verdict per node; as score, how much of CPU and memory would stay free (LeastAllocated).
By:   cycle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from kybern.scheduler.columns import CPU, FIXED, MEMORY, PODS, STORAGE
from kybern.scheduler.framework import MAX_SCORE, News, Why

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kybern.api.core.pods import Fit
    from kybern.scheduler.columns import Nodes
    from kybern.scheduler.framework import Bools, Floats, Ints, Rows
    from kybern.scheduler.pod_info import PodInfo

TOO_MANY_PODS: Final = "Too many pods"


class _State(NamedTuple):
    """The resources a pod asks for, by number of column, and how much of each."""

    columns: NDArray[np.intp]
    amounts: NDArray[np.int64]
    names: tuple[str, ...]


def wanted(fit: Fit, nodes: Nodes) -> _State:
    """Return what a pod asks for; what it asks none of is not held against a node."""
    fixed = {CPU: fit.milli_cpu, MEMORY: fit.memory, STORAGE: fit.ephemeral_storage}
    # Upstream names the number of pods first.
    amounts = {PODS: 1}
    amounts |= {column: amount for column, amount in fixed.items() if amount}
    amounts |= {nodes.resource(name): amount for name, amount in fit.others.items() if amount}
    names = [*FIXED[:PODS], TOO_MANY_PODS, *fit.others]
    by_column = dict(zip((*range(PODS + 1), *map(nodes.resource, fit.others)), names, strict=True))
    return _State(
        np.fromiter(amounts, np.intp),
        np.fromiter(amounts.values(), np.int64),
        tuple(by_column[column] for column in amounts),
    )


class NodeResourcesFit:
    """Keeps nodes from being promised more than they have."""

    name = "NodeResourcesFit"
    wakes = News.NODE_ADDED | News.NODE_ALLOCATABLE | News.POD_GONE
    looks_at_pods = False  # what pods request is part of the columns

    def prepare(self, pod: PodInfo, nodes: Nodes) -> Any:
        """Work out what the pod asks for."""
        return wanted(pod.fit, nodes)

    def fits(self, state: Any, nodes: Nodes, rows: Rows) -> Bools:
        """Say which of the rows fit."""
        free = nodes.free[:, : nodes.size]
        fits: Bools | None = None
        for column, amount in zip(state.columns.tolist(), state.amounts.tolist(), strict=True):
            enough = free[column][rows] >= amount
            fits = enough if fits is None else np.logical_and(fits, enough, out=fits)
        assert fits is not None
        return fits

    def why(self, state: Any, nodes: Nodes, rows: Rows) -> Why:
        """Explain why these rows do not fit: each resource that is short is a reason."""
        columns = state.columns[:, None]
        amounts = state.amounts[:, None]
        index = np.arange(nodes.size)[rows]
        allocatable = nodes.allocatable[columns, index]
        short = nodes.free[columns, index] < amounts
        counts = np.count_nonzero(short, axis=1).tolist()
        reasons = {
            name if name == TOO_MANY_PODS else f"Insufficient {name}": count
            for name, count in zip(state.names, counts, strict=True)
            if count
        }
        # What an empty node could not give either, evicting pods will not bring.
        hopeless = short & (amounts > allocatable) & (columns != PODS)
        return Why(reasons, ~hopeless.any(axis=0))


class LeastAllocated:
    """Prefers nodes that are emptier. The scoring half of NodeResourcesFit."""

    name = "NodeResourcesFit"
    looks_at_pods = False
    relative = False

    def prepare(self, pod: PodInfo, nodes: Nodes) -> Any:
        """Take what the pod is assumed to use."""
        return np.array(pod.nonzero, np.float64)[:, None]

    def score(self, state: Any, nodes: Nodes, rows: Rows) -> Ints:
        """Return the mean share that would stay free, in percent, rounded down twice."""
        size = nodes.size
        free: Floats = nodes.capacity[:, :size][:, rows] - nodes.nonzero[:, :size][:, rows]
        free -= state
        np.maximum(free, 0.0, out=free)
        free *= MAX_SCORE
        free /= nodes.divisor[:, :size][:, rows]
        np.floor(free, out=free)
        total = free[0] + free[1]
        if nodes.incomplete:
            # What a node does not have is not part of its mean.
            known = np.count_nonzero(nodes.capacity[:, :size][:, rows], axis=0)
            total /= np.maximum(known, 1)
        else:
            total /= 2.0
        scores: Ints = total.astype(np.int64)
        return scores

    def normalise(self, state: Any, nodes: Nodes, raw: Ints, fits: Bools) -> Ints:
        """Return raw scores as they are."""
        return raw
