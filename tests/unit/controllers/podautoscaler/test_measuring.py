"""What is said about metrics that cannot be had."""

from __future__ import annotations

import asyncio

import pytest

from kybern.api import codec
from kybern.api.autoscaling import v2
from kybern.controllers.podautoscaler.measuring import Target, measure
from kybern.controllers.podautoscaler.replicas import Rules, Unusable

TARGET = Target("ns", "a=b", [], 1, 1, Rules(), 0.0)
HALF = {"type": "Utilization", "averageUtilization": 50}
EACH = {"type": "AverageValue", "averageValue": "30"}
ALL = {"type": "Value", "value": "30"}
QUEUE = {"name": "queue"}


class Silent:
    """Knows no metric."""

    def __getattr__(self, name):
        async def nothing(*_):
            raise Unusable("why")

        return nothing


def measured(kind, **source):
    spec = codec.from_tree({"type": kind, kind[0].lower() + kind[1:]: source}, v2.MetricSpec)
    return asyncio.run(measure(Silent(), spec, TARGET))


@pytest.mark.parametrize(
    ("kind", "source", "error", "told"),
    [
        (
            "Resource", {"name": "cpu", "target": HALF},
            "failed to get cpu utilization: why",
            "failed to get cpu resource metric value: failed to get cpu utilization: why",
        ),
        (
            "Resource", {"name": "memory", "target": EACH},
            "failed to get memory usage: why",
            "failed to get memory resource metric value: failed to get memory usage: why",
        ),
        (
            "ContainerResource", {"name": "cpu", "container": "web", "target": HALF},
            "failed to get cpu utilization: why",
            "failed to get web container metric value: failed to get cpu utilization: why",
        ),
        (
            "Pods", {"metric": QUEUE, "target": EACH}, "why",
            "failed to get pods metric value: why",
        ),
        (
            "Object",
            {"metric": QUEUE, "target": ALL, "describedObject": {"kind": "Service", "name": "s"}},
            "why", "failed to get object metric value: why",
        ),
        (
            "Object",
            {"metric": QUEUE, "target": EACH, "describedObject": {"kind": "Service", "name": "s"}},
            "why", "failed to get object metric value: failed to get queue object metric: why",
        ),
        (
            "External", {"metric": QUEUE, "target": EACH}, "why",
            "failed to get queue external metric value: failed to get queue external metric: why",
        ),
        (
            "External", {"metric": QUEUE, "target": ALL}, "why",
            "failed to get queue external metric value: failed to get external metric queue: why",
        ),
    ],
)  # fmt: skip
def test_errors_are_upstreams(kind, source, error, told):
    found = measured(kind, **source)
    assert (found.reason, found.error, found.told) == (f"FailedGet{kind}Metric", error, told)


def test_a_selector_is_shown_as_upstream_does():
    expression = {"key": "c", "operator": "In", "values": ["d", "e"]}
    selector = {"matchLabels": {"b": "2", "a": "1"}, "matchExpressions": [expression]}
    source = {"metric": {"name": "queue", "selector": selector}, "target": ALL}
    spec = codec.from_tree({"type": "External", "external": source}, v2.MetricSpec)

    class One:
        async def external(self, namespace, metric, selector, shown):
            return 30_000

    assert asyncio.run(measure(One(), spec, TARGET)).name == (
        "external metric queue(&LabelSelector{MatchLabels:map[string]string{a: 1,b: 2,},"
        "MatchExpressions:[]LabelSelectorRequirement{LabelSelectorRequirement{Key:c,Operator:In,"
        "Values:[d e],},},})"
    )
