"""Whether a pod may be on a node, by what it says of nodes.

In:   a PodSpec and a Node.
Out:  yes or no.
By:   controllers. The scheduler asks the same of all nodes at once, in its own way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kybern.api.selectors import Requirement

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kybern.api.core.v1 import Node, NodeSelectorRequirement, NodeSelectorTerm, PodSpec

NAME_FIELD: Final = "metadata.name"
_OPERATORS: Final = {
    "In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!", "Gt": "gt", "Lt": "lt",
}  # fmt: skip


def fits(spec: PodSpec, node: Node) -> bool:
    """Whether a node has the labels and the name a pod insists on."""
    labels = node.metadata.labels or {}
    if any(labels.get(key) != value for key, value in (spec.nodeSelector or {}).items()):
        return False
    affinity = spec.affinity.nodeAffinity if spec.affinity is not None else None
    required = affinity.requiredDuringSchedulingIgnoredDuringExecution if affinity else None
    return required is None or matches_any(required.nodeSelectorTerms, node)


def matches_any(terms: Iterable[NodeSelectorTerm], node: Node) -> bool:
    """Whether a node is what one of these terms asks for; a term that asks nothing has no node."""
    return any(_matches(term, node) for term in terms)


def _matches(term: NodeSelectorTerm, node: Node) -> bool:
    if not term.matchExpressions and not term.matchFields:
        return False
    fields = {NAME_FIELD: node.metadata.name or ""}
    return _meets(term.matchExpressions, node.metadata.labels or {}) and _meets(
        term.matchFields, fields
    )


def _meets(
    requirements: Iterable[NodeSelectorRequirement] | None, values: Mapping[str, str]
) -> bool:
    return all(
        one.operator in _OPERATORS
        and Requirement(one.key, _OPERATORS[one.operator], tuple(one.values or ())).matches(values)
        for one in requirements or ()
    )
