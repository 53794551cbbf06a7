"""Aggregated roles have the rules of those they select, each once."""

from __future__ import annotations

from kybern.api.meta.v1 import LabelSelector, ObjectMeta
from kybern.api.rbac.v1 import AggregationRule, ClusterRole, PolicyRule
from kybern.controllers.clusterrole_aggregation.plan import rules

READ = PolicyRule(verbs=["get"], resources=["pods"], apiGroups=[""])
WRITE = PolicyRule(verbs=["create"], resources=["pods"], apiGroups=[""])


def role(name, *own, labels=None, selects=None):
    aggregation = None
    if selects is not None:
        selectors = [LabelSelector(matchLabels=each) for each in selects]
        aggregation = AggregationRule(clusterRoleSelectors=selectors)
    metadata = ObjectMeta(name=name, labels=labels)
    return ClusterRole(metadata=metadata, rules=list(own) or None, aggregationRule=aggregation)


def test_rules():
    admin = role("admin", selects=[{"to": "admin"}, {"also": "admin"}])
    roles = [
        admin,
        role("z", WRITE, READ, labels={"to": "admin"}),
        role("a", READ, labels={"also": "admin"}),
        role("other", PolicyRule(verbs=["*"]), labels={"to": "edit"}),
    ]
    assert rules(admin, roles) == [WRITE, READ]  # by selectors, then by names
    assert rules(role("none", selects=[]), roles) == []


def test_a_role_does_not_select_itself():
    own = role("own", READ, labels={"to": "own"}, selects=[{"to": "own"}])
    assert rules(own, [own]) == []
