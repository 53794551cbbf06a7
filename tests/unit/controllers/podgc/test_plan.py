"""Why a pod has to be removed."""

from __future__ import annotations

import pytest

from kybern.api.core.v1 import (
    Node,
    NodeCondition,
    NodeSpec,
    NodeStatus,
    Pod,
    PodSpec,
    PodStatus,
    Taint,
)
from kybern.api.meta.v1 import ObjectMeta
from kybern.controllers.podgc.plan import Reason, judge, surplus


def pod(node=None, deleting=False):
    metadata = ObjectMeta(name="p", deletionTimestamp="now" if deleting else None)
    return Pod(metadata=metadata, spec=PodSpec(nodeName=node))


def node(ready="True", out=False):
    taints = [Taint(key="node.kubernetes.io/out-of-service", effect="NoExecute")] if out else None
    conditions = [NodeCondition(type="Ready", status=ready)]
    return Node(spec=NodeSpec(taints=taints), status=NodeStatus(conditions=conditions))


@pytest.mark.parametrize(
    ("one", "its_node", "want"),
    [
        (pod(), None, None),
        (pod(deleting=True), None, Reason.UNSCHEDULED),
        (pod("n"), None, Reason.ORPHANED),
        (pod("n"), node(), None),
        (pod("n", deleting=True), node(), None),
        (pod("n", deleting=True), node("Unknown"), None),
        (pod("n", deleting=True), node("Unknown", out=True), Reason.OUT_OF_SERVICE),
        (pod("n", deleting=True), node("True", out=True), None),
        (pod("n"), node("Unknown", out=True), None),
    ],
)
def test_reasons(one, its_node, want):
    assert judge(one, its_node) is want


def test_surplus():
    def finished(name, age, reason=None):
        return Pod(
            metadata=ObjectMeta(name=name, creationTimestamp=f"2026-01-0{age}T00:00:00Z"),
            status=PodStatus(phase="Failed", reason=reason),
        )

    pods = [finished("a", 3), finished("b", 1), finished("c", 2), finished("d", 9, "Evicted")]
    assert [p.metadata.name for p in surplus(pods, 2)] == ["d", "b"]
    assert surplus(pods, 4) == []
    assert surplus(pods, 0) == []
