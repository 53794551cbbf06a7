"""Aggregated roles follow what they collect, against the real API server."""

from __future__ import annotations

from tests.unit.controllers.cluster import cluster

from kybern.api.meta.v1 import LabelSelector, ObjectMeta
from kybern.api.rbac.v1 import AggregationRule, ClusterRole, PolicyRule
from kybern.lib.clock import run_virtual


def rule(verb):
    return PolicyRule(verbs=[verb], apiGroups=["example.com"], resources=["things"])


def test_rules_come_and_go():
    async def main():
        async with cluster("clusterrole-aggregation", nodes=False) as it:
            selector = LabelSelector(matchLabels={"to": "all"})
            await it.client.create(
                ClusterRole(
                    metadata=ObjectMeta(name="all"),
                    aggregationRule=AggregationRule(clusterRoleSelectors=[selector]),
                )
            )
            for verb in ("get", "list"):
                metadata = ObjectMeta(name=verb, labels={"to": "all"})
                await it.client.create(ClusterRole(metadata=metadata, rules=[rule(verb)]))
            await it.settle(2)
            found = await it.client.get(ClusterRole, "all")
            assert found.rules == [rule("get"), rule("list")]
            managers = {each.manager: each.operation for each in found.metadata.managedFields}
            assert managers["clusterrole-aggregation-controller"] == "Apply"
            change = {"rules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]}
            await it.client.patch(ClusterRole, "all", "", change)  # not by hand
            await it.client.delete(ClusterRole, "get")
            await it.settle(2)
            assert (await it.client.get(ClusterRole, "all")).rules == [rule("list")]
            await it.client.delete(ClusterRole, "list")
            await it.settle(2)
            assert not (await it.client.get(ClusterRole, "all")).rules
            await it.quiet()

    run_virtual(main())
