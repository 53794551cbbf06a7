"""How long pods may stay."""

from __future__ import annotations

from math import inf

import pytest

from kybern.api.core.v1 import Node, NodeSpec, Pod, PodSpec, Taint, Toleration
from kybern.controllers.tainteviction.plan import driving_off, may_stay

A = Taint(key="a", effect="NoExecute")
B = Taint(key="b", value="1", effect="NoExecute")


def tolerate(key, seconds=None, **rest):
    rest.setdefault("operator", "Exists")
    return Toleration(key=key, effect="NoExecute", tolerationSeconds=seconds, **rest)


@pytest.mark.parametrize(
    ("tolerations", "taints", "want"),
    [
        (None, (), inf),
        (None, (A,), 0),
        ([tolerate("a")], (A,), inf),
        ([tolerate("a", 30)], (A,), 30),
        ([tolerate("a", 30), tolerate("a", 10)], (A,), 10),
        ([tolerate("a", 30)], (A, B), 0),
        ([tolerate("a", 30), tolerate("b", 20)], (A, B), 20),
        ([tolerate("a"), tolerate("b", 20)], (A, B), 20),
        ([tolerate("b", 20, operator="Equal", value="1")], (B,), 20),
        ([tolerate("b", 20, operator="Equal", value="2")], (B,), 0),
        ([tolerate("a", -5)], (A,), 0),
        ([Toleration(operator="Exists")], (A, B), inf),
    ],
)
def test_may_stay(tolerations, taints, want):
    assert may_stay(Pod(spec=PodSpec(tolerations=tolerations)), taints) == want


def test_only_some_taints_drive_off():
    taints = [A, Taint(key="x", effect="NoSchedule")]
    assert driving_off(Node(spec=NodeSpec(taints=taints))) == (A,)
    assert driving_off(None) == ()
