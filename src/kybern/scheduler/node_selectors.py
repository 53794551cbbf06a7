"""Node selectors, matched against the label columns of all nodes at once.

In:   nodeSelector maps, NodeSelectorTerms; the columns.
Out:  which rows match.
By:   the plugins NodeAffinity, PodTopologySpread and VolumeBinding.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kybern.api.core.v1 import NodeSelectorRequirement, NodeSelectorTerm, PodSpec
    from kybern.scheduler.columns import LabelColumn, Nodes
    from kybern.scheduler.framework import Bools, Rows

NAME_FIELD: Final = "metadata.name"
_INTEGER: Final = re.compile(r"[+-]?[0-9]+").fullmatch


class Required(NamedTuple):
    """What a pod insists on: its nodeSelector and its required node affinity."""

    labels: dict[str, str]
    terms: list[NodeSelectorTerm] | None


def required(spec: PodSpec) -> Required | None:
    """Return what a pod insists on; None when that is nothing."""
    affinity = spec.affinity and spec.affinity.nodeAffinity
    selector = affinity and affinity.requiredDuringSchedulingIgnoredDuringExecution
    if not selector:
        return Required(spec.nodeSelector, None) if spec.nodeSelector else None
    return Required(spec.nodeSelector or {}, selector.nodeSelectorTerms)


def matches(wanted: Required, nodes: Nodes, rows: Rows) -> Bools:
    """Say which rows are what a pod insists on."""
    result = matches_labels(wanted.labels, nodes, rows)
    if wanted.terms is not None:
        result &= matches_any(wanted.terms, nodes, rows)
    return result


def matches_labels(wanted: Mapping[str, str], nodes: Nodes, rows: Rows) -> Bools:
    """Say which rows have all of these labels."""
    result: Bools = np.ones(len(nodes.valid[: nodes.size][rows]), np.bool_)
    for key, value in wanted.items():
        column = nodes.label(key)
        number = column.numbers.get(value)
        if number is None:
            result[:] = False
            return result
        result &= column.ids[: nodes.size][rows] == number
    return result


def matches_any(terms: Iterable[NodeSelectorTerm], nodes: Nodes, rows: Rows) -> Bools:
    """Say which rows match at least one of the terms."""
    result: Bools = np.zeros(len(nodes.valid[: nodes.size][rows]), np.bool_)
    for term in terms:
        result |= matches_term(term, nodes, rows)
    return result


def matches_term(term: NodeSelectorTerm, nodes: Nodes, rows: Rows) -> Bools:
    """Say which rows match a term; one without conditions matches none."""
    count = len(nodes.valid[: nodes.size][rows])
    if not term.matchExpressions and not term.matchFields:
        return np.zeros(count, np.bool_)
    result: Bools = np.ones(count, np.bool_)
    for requirement in term.matchExpressions or ():
        column = nodes.label(requirement.key)
        # The last entry stands for nodes without the label: their number is -1.
        result &= _table(requirement, column)[column.ids[: nodes.size][rows]]
    for requirement in term.matchFields or ():
        result &= _field(requirement, nodes)[rows]
    return result


def _table(requirement: NodeSelectorRequirement, column: LabelColumn) -> Bools:
    """Return the verdict by number of value."""
    size = len(column.values)
    operator = requirement.operator
    if operator in ("In", "NotIn"):
        table = np.full(size + 1, operator == "NotIn", np.bool_)
        for value in requirement.values or ():
            number = column.numbers.get(value)
            if number is not None:
                table[number] = operator == "In"
        return table
    if operator in ("Exists", "DoesNotExist"):
        table = np.full(size + 1, operator == "Exists", np.bool_)
        table[size] = operator == "DoesNotExist"
        return table
    table = np.zeros(size + 1, np.bool_)
    if operator in ("Gt", "Lt") and requirement.values and _INTEGER(requirement.values[0]):
        bound = int(requirement.values[0])
        for number, value in enumerate(column.values):
            if _INTEGER(value):
                table[number] = int(value) > bound if operator == "Gt" else int(value) < bound
    return table


def _field(requirement: NodeSelectorRequirement, nodes: Nodes) -> Bools:
    """Return the verdict of a condition on a field; the only field there is is the name."""
    inside = requirement.operator == "In"
    if requirement.key != NAME_FIELD or (not inside and requirement.operator != "NotIn"):
        return np.zeros(nodes.size, np.bool_)
    result: Bools = np.full(nodes.size, not inside, np.bool_)
    for name in requirement.values or ():
        row = nodes.index.get(name)
        if row is not None:
            result[row] = inside
    return result
