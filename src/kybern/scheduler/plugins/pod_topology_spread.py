"""PodTopologySpread: pods of a sort are spread evenly over zones, nodes, or any other places.

In:   spec.topologySpreadConstraints; who runs where.
Out:  a verdict per node (DoNotSchedule), and a score (ScheduleAnyway).
By:   cycle, anew for every pod.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from kybern.api import selectors
from kybern.api.core.pods import untolerated
from kybern.api.selectors import Requirement, Selector
from kybern.scheduler import node_selectors, topology
from kybern.scheduler.framework import MAX_SCORE, News, Why
from kybern.scheduler.pod_terms import Matcher

if TYPE_CHECKING:
    from kybern.api.core.v1 import TopologySpreadConstraint
    from kybern.scheduler.columns import Nodes
    from kybern.scheduler.framework import Bools, Floats, Ints, Rows
    from kybern.scheduler.pod_info import PodInfo

UNEVEN: Final = "node(s) didn't match pod topology spread constraints"
NO_LABEL: Final = f"{UNEVEN} (missing required label)"
HARD: Final = "DoNotSchedule"
SOFT: Final = "ScheduleAnyway"
HOSTNAME: Final = "kubernetes.io/hostname"
HONOR: Final = "Honor"


class _State(NamedTuple):
    """For all nodes: whether they have the labels, and whether the spread would be even enough."""

    labelled: Bools
    even: Bools


class PodTopologySpread:
    """Keeps pods from crowding in one place."""

    name = "PodTopologySpread"
    wakes = (
        News.NODE_ADDED | News.NODE_LABELS | News.NODE_TAINTS | News.NODE_DELETED
        | News.POD_ADDED | News.POD_GONE | News.POD_LABELS
    )  # fmt: skip
    looks_at_pods = True

    def prepare(self, pod: PodInfo, nodes: Nodes) -> Any:
        """Work out which places are too crowded; skip pods without such constraints."""
        constraints = _constraints(pod, HARD)
        if not constraints:
            return None
        labelled = _labelled(constraints, nodes)
        even: Bools = np.ones(nodes.size, np.bool_)
        for constraint in constraints:
            even &= _is_even(constraint, pod, nodes, labelled)
        return _State(labelled, even)

    def fits(self, state: Any, nodes: Nodes, rows: Rows) -> Bools:
        """Say which of the rows fit."""
        fits: Bools = (state.labelled & state.even)[rows]
        return fits

    def why(self, state: Any, nodes: Nodes, rows: Rows) -> Why:
        """Explain why these rows do not fit."""
        labelled: Bools = state.labelled[rows]
        crowded = int(labelled.sum())
        reasons = {NO_LABEL: len(labelled) - crowded, UNEVEN: crowded}
        return Why({reason: count for reason, count in reasons.items() if count}, labelled)


class PreferredSpread:
    """Prefers places with fewer pods of the sort. The scoring half of PodTopologySpread."""

    name = "PodTopologySpread"
    looks_at_pods = True
    relative = True

    def prepare(self, pod: PodInfo, nodes: Nodes) -> Any:
        """Skip pods without such constraints."""
        constraints = _constraints(pod, SOFT)
        return (constraints, pod) if constraints else None

    def score(self, state: Any, nodes: Nodes, rows: Rows) -> Ints:
        """Count the pods of the sort in each node's places; -1 where a label is missing."""
        constraints, pod = state
        labelled = _labelled(constraints, nodes)
        total: Floats = np.zeros(nodes.size, np.float64)
        for constraint in constraints:
            matcher = _matcher(constraint, pod)
            if constraint.topologyKey == HOSTNAME:
                counts = nodes.pods.count((matcher,), staying=True)[: nodes.size]
            else:
                eligible = _eligible(constraint, pod, nodes, labelled)
                counts = _counts(constraint, matcher, nodes, eligible)
            # A label with many values has few pods each, and so counts more.
            places = topology.count_places(nodes, constraint.topologyKey, labelled)
            weight = math.log(places + 2)
            total += counts * weight + (constraint.maxSkew - 1)
        scores = np.floor(total + 0.5).astype(np.int64)
        scores[~labelled] = -1
        return scores[rows]

    def normalise(self, state: Any, nodes: Nodes, raw: Ints, fits: Bools) -> Ints:
        """Fewest pods among those that fit: 100; nodes without the labels: 0."""
        known = raw >= 0
        among = raw[fits & known]
        if not len(among):
            return np.zeros_like(raw)
        lowest, highest = int(among.min()), int(among.max())
        if highest == 0:
            return np.where(known, MAX_SCORE, 0)
        return np.where(known, MAX_SCORE * (highest + lowest - raw) // highest, 0)


def _constraints(pod: PodInfo, when: str) -> list[TopologySpreadConstraint]:
    found = pod.pod.spec.topologySpreadConstraints
    return [each for each in found or () if each.whenUnsatisfiable == when]


def _labelled(constraints: list[TopologySpreadConstraint], nodes: Nodes) -> Bools:
    labelled = nodes.valid[: nodes.size].copy()
    for constraint in constraints:
        labelled &= topology.has_label(nodes, constraint.topologyKey)
    return labelled


def _eligible(
    constraint: TopologySpreadConstraint, pod: PodInfo, nodes: Nodes, labelled: Bools
) -> Bools:
    """Say which nodes make up the places: those the pod could run on at all."""
    eligible = labelled.copy()
    spec = pod.pod.spec
    if (constraint.nodeAffinityPolicy or HONOR) == HONOR:
        wanted = node_selectors.required(spec)
        if wanted is not None:
            eligible &= node_selectors.matches(wanted, nodes, slice(None))
    if constraint.nodeTaintsPolicy == HONOR:
        allowed = [untolerated(spec.tolerations, taints) is None for taints in nodes.taint_sets]
        eligible &= np.array(allowed, np.bool_)[nodes.taint_set[: nodes.size]]
    return eligible


def _matcher(constraint: TopologySpreadConstraint, pod: PodInfo) -> Matcher:
    """Choose the pods of the same sort: in the same namespace, by labels."""
    metadata = pod.pod.metadata
    selector = selectors.from_struct(constraint.labelSelector)
    labels = metadata.labels or {}
    more = [
        Requirement(key, "in", (labels[key],))
        for key in constraint.matchLabelKeys or ()
        if key in labels
    ]
    if more and not selector.nothing:
        selector = Selector((*selector.requirements, *more))
    return Matcher(frozenset((metadata.namespace or "",)), selector)


def _counts(
    constraint: TopologySpreadConstraint, matcher: Matcher, nodes: Nodes, eligible: Bools
) -> Ints:
    """Return how many pods of the sort are in each node's place, leaving out those told to go."""
    counts = nodes.pods.count((matcher,), staying=True)[: nodes.size]
    return topology.sum_by_place(nodes, constraint.topologyKey, np.where(eligible, counts, 0))


def _is_even(
    constraint: TopologySpreadConstraint, pod: PodInfo, nodes: Nodes, labelled: Bools
) -> Bools:
    """Say on which nodes one more would leave the spread within bounds."""
    matcher = _matcher(constraint, pod)
    eligible = _eligible(constraint, pod, nodes, labelled)
    counts = _counts(constraint, matcher, nodes, eligible)
    fewest = int(counts[eligible].min()) if eligible.any() else 0
    if constraint.minDomains:
        domains = topology.count_places(nodes, constraint.topologyKey, eligible)
        if domains < constraint.minDomains:
            fewest = 0
    return counts + matcher.matches(pod.pod) - fewest <= constraint.maxSkew
