"""InterPodAffinity: pods that want to be near each other, or far apart.

In:   the pod's terms about others; the terms others have about it; who runs where.
Out:  a verdict and a score per node.
By:   cycle, anew for every pod.

Three conditions hold together: the pod is where those it must be near are; it is not where those it
must not be near are; and nobody who is there has asked not to be near it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from kybern.scheduler import topology
from kybern.scheduler.framework import MAX_SCORE, News, Why
from kybern.scheduler.pod_terms import LIKE, MUST, MUST_NOT

if TYPE_CHECKING:
    from kybern.scheduler.columns import Nodes
    from kybern.scheduler.framework import Bools, Ints, Rows
    from kybern.scheduler.pod_info import PodInfo
    from kybern.scheduler.pod_terms import Term

NOT_NEAR: Final = "node(s) didn't match pod affinity rules"
TOO_NEAR: Final = "node(s) didn't match pod anti-affinity rules"
UNWANTED: Final = "node(s) didn't satisfy existing pods anti-affinity rules"
HARD_WEIGHT: Final = 1  # what it counts that someone there must be near this pod


class _State(NamedTuple):
    """The three conditions, for all nodes; None where there is nothing to meet."""

    near: Bools | None
    apart: Bools | None
    welcome: Bools | None


class InterPodAffinity:
    """Keeps together, or apart, those who ask for it."""

    name = "InterPodAffinity"
    wakes = (
        News.NODE_ADDED | News.NODE_LABELS | News.NODE_DELETED
        | News.POD_ADDED | News.POD_GONE | News.POD_LABELS | News.NAMESPACE
    )  # fmt: skip
    looks_at_pods = True

    def prepare(self, pod: PodInfo, nodes: Nodes) -> Any:
        """Work out where the pod may be; skip it when neither it nor anyone there has a wish."""
        unwelcome = _terms_about(pod, nodes, MUST_NOT)
        must = [term for term in pod.terms if term.kind == MUST]
        must_not = [term for term in pod.terms if term.kind == MUST_NOT]
        if not (unwelcome or must or must_not):
            return None
        return _State(
            _near(pod, must, nodes) if must else None,
            _apart(must_not, nodes) if must_not else None,
            _welcome(unwelcome, nodes) if unwelcome else None,
        )

    def fits(self, state: Any, nodes: Nodes, rows: Rows) -> Bools:
        """Say which of the rows fit."""
        fits: Bools = np.ones(nodes.size, np.bool_)
        for condition in state:
            if condition is not None:
                fits &= condition
        return fits[rows]

    def why(self, state: Any, nodes: Nodes, rows: Rows) -> Why:
        """Explain why these rows do not fit: the first condition that is not met counts."""
        left: Bools = np.ones(len(nodes.valid[rows]), np.bool_)
        resolvable = np.ones(len(left), np.bool_)
        reasons: dict[str, int] = {}
        for condition, reason in zip(state, (NOT_NEAR, TOO_NEAR, UNWANTED), strict=True):
            if condition is None:
                continue
            failed = left & ~condition[rows]
            if failed.any():
                reasons[reason] = int(failed.sum())
                left &= ~failed
                if reason == NOT_NEAR:
                    # Evicting pods brings nobody nearer.
                    resolvable &= ~failed
        return Why(reasons, resolvable)


class PreferredPodAffinity:
    """Prefers nodes by who is near. The scoring half of InterPodAffinity."""

    name = "InterPodAffinity"
    looks_at_pods = True
    relative = True

    def prepare(self, pod: PodInfo, nodes: Nodes) -> Any:
        """Collect what counts: the pod's own wishes, and those that others have about it."""
        own = [term for term in pod.terms if term.kind == LIKE]
        others = [*_terms_about(pod, nodes, LIKE), *_terms_about(pod, nodes, MUST)]
        return (own, others) if own or others else None

    def score(self, state: Any, nodes: Nodes, rows: Rows) -> Ints:
        """Add up the weights of those nearby; what is disliked counts against a node."""
        own, others = state
        total: Ints = np.zeros(nodes.size, np.int64)
        for term in own:
            counts = nodes.pods.count((term.matcher(nodes.pods.namespaces),))
            total += term.weight * topology.sum_by_place(nodes, term.topology_key, counts)
        for term in others:
            weight = HARD_WEIGHT if term.kind == MUST else term.weight
            counts = nodes.pods.terms[term]
            total += weight * topology.sum_by_place(nodes, term.topology_key, counts)
        return total[rows]

    def normalise(self, state: Any, nodes: Nodes, raw: Ints, fits: Bools) -> Ints:
        """Lowest of those that fit: 0, highest: 100."""
        among = raw[fits]
        if not len(among):
            return raw
        lowest, highest = int(among.min()), int(among.max())
        if lowest == highest:
            return np.zeros_like(raw)
        return (raw - lowest) * MAX_SCORE // (highest - lowest)


def _terms_about(pod: PodInfo, nodes: Nodes, kind: str) -> list[Term]:
    """Return the wishes of this kind that pods already there have about this one."""
    index = nodes.pods
    return [
        term
        for term in index.terms
        if term.kind == kind and term.is_about(pod.pod, index.namespaces)
    ]


def _near(pod: PodInfo, terms: list[Term], nodes: Nodes) -> Bools:
    matchers = tuple(term.matcher(nodes.pods.namespaces) for term in terms)
    # Only those who match every term count for any of them.
    counts = nodes.pods.count(matchers)
    labelled: Bools = np.ones(nodes.size, np.bool_)
    near: Bools = np.ones(nodes.size, np.bool_)
    anyone = False
    for term in terms:
        labelled &= topology.has_label(nodes, term.topology_key)
        there = topology.sum_by_place(nodes, term.topology_key, counts) > 0
        anyone = anyone or bool(there.any())
        near &= there
    if not anyone and all(matcher.matches(pod.pod) for matcher in matchers):
        # The first of a group that wants to be together may begin anywhere.
        return labelled
    return labelled & near


def _apart(terms: list[Term], nodes: Nodes) -> Bools:
    apart: Bools = np.ones(nodes.size, np.bool_)
    for term in terms:
        counts = nodes.pods.count((term.matcher(nodes.pods.namespaces),))
        apart &= topology.sum_by_place(nodes, term.topology_key, counts) == 0
    return apart


def _welcome(terms: list[Term], nodes: Nodes) -> Bools:
    welcome: Bools = np.ones(nodes.size, np.bool_)
    for term in terms:
        counts = nodes.pods.terms[term]
        welcome &= topology.sum_by_place(nodes, term.topology_key, counts) == 0
    return welcome
