"""Which nodes a pod may be on."""

from __future__ import annotations

import pytest

from kybern.api.core.node_affinity import fits, matches_any
from kybern.api.core.v1 import (
    Node,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    PodSpec,
)
from kybern.api.meta.v1 import ObjectMeta

NODE = Node(metadata=ObjectMeta(name="n1", labels={"zone": "a", "cores": "8"}))


def term(key, operator, *values, field=False):
    one = [NodeSelectorRequirement(key=key, operator=operator, values=list(values) or None)]
    return NodeSelectorTerm(matchFields=one) if field else NodeSelectorTerm(matchExpressions=one)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (term("zone", "In", "a", "b"), True), (term("zone", "In", "c"), False),
        (term("zone", "NotIn", "c"), True), (term("disk", "NotIn", "c"), True),
        (term("zone", "Exists"), True), (term("disk", "Exists"), False),
        (term("disk", "DoesNotExist"), True), (term("cores", "Gt", "4"), True),
        (term("cores", "Lt", "4"), False), (term("zone", "Gt", "4"), False),
        (term("zone", "Nonsense", "a"), False), (NodeSelectorTerm(), False),
        (term("metadata.name", "In", "n1", field=True), True),
        (term("metadata.name", "NotIn", "n1", field=True), False),
    ],
)  # fmt: skip
def test_terms(one, expected):
    assert matches_any([one], NODE) is expected


def test_one_term_is_enough_and_none_is_too_little():
    assert matches_any([term("disk", "Exists"), term("zone", "Exists")], NODE)
    assert not matches_any([], NODE)


def test_the_simple_selector():
    assert fits(PodSpec(nodeSelector={"zone": "a"}), NODE)
    assert not fits(PodSpec(nodeSelector={"zone": "a", "disk": "ssd"}), NODE)
