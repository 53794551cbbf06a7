"""Each scorer's numbers, against sums done by hand."""

from __future__ import annotations

import pytest
from tests.unit.scheduler.objects import a_node, a_pod, info, scores

from kybern.api.core.v1 import (
    Affinity,
    NodeAffinity,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    PreferredSchedulingTerm,
    Toleration,
)
from kybern.scheduler.plugins.image_locality import ImageLocality, full_name
from kybern.scheduler.plugins.node_affinity import PreferredNodeAffinity
from kybern.scheduler.plugins.node_resources_balanced_allocation import (
    NodeResourcesBalancedAllocation,
)
from kybern.scheduler.plugins.node_resources_fit import LeastAllocated
from kybern.scheduler.plugins.taint_toleration import TaintToleration

GI = 1024**3
MI = 1024**2


@pytest.mark.parametrize(
    ("pod", "running", "expected"),
    [
        # (4000-3000)/4000 and (10000-5000)/10000, upstream's own example
        (
            {"cpu": "3", "memory": "5000"},
            {},
            [(25 + 50) // 2, (50 + 50) // 2],
        ),
        # requests that nobody makes count as 100m and 200Mi
        ({}, {}, [(97 + 0) // 2, (98 + 0) // 2]),
        # what runs there counts
        ({"cpu": "1", "memory": "1000"}, {"cpu": "1", "memory": "4000"}, [(50 + 50) // 2, 86]),
        # more than there is: nothing is left
        ({"cpu": "5", "memory": "1000"}, {}, [(0 + 90) // 2, (16 + 90) // 2]),
    ],
)
def test_least_allocated(pod, running, expected):
    nodes = [a_node("n1", cpu="4", memory="10000"), a_node("n2", cpu="6", memory="10000")]
    pods = [a_pod(node="n1", **running)] if running else []
    assert scores(LeastAllocated(), info(**pod), *nodes, pods=pods) == expected


def test_least_allocated_ignores_what_a_node_does_not_have():
    nodes = [a_node("n1", cpu="4", memory=None), a_node("n2", cpu=None, memory=None)]
    assert scores(LeastAllocated(), info(cpu="1"), *nodes) == [75, 0]


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        ({}, None),
        ({"cpu": "2", "memory": "5000"}, [100, 91]),
        ({"cpu": "3", "memory": "5000"}, [87, 100]),
        ({"cpu": "8", "memory": "5000"}, [75, 75]),
    ],
)
def test_balanced_allocation(pod, expected):
    nodes = [a_node("n1", cpu="4", memory="10000"), a_node("n2", cpu="6", memory="10000")]
    assert scores(NodeResourcesBalancedAllocation(), info(**pod), *nodes) == expected


def test_balanced_allocation_counts_what_is_requested_and_not_what_is_assumed():
    nodes = [a_node("n1", cpu="4", memory="10000")]
    pods = [a_pod(node="n1")]
    found = scores(
        NodeResourcesBalancedAllocation(), info(cpu="2", memory="5000"), *nodes, pods=pods
    )
    assert found == [100]


def test_soft_taints():
    soft = [("a", "1", "PreferNoSchedule"), ("b", "1", "PreferNoSchedule")]
    nodes = [a_node("n1"), a_node("n2", taints=soft[:1]), a_node("n3", taints=soft)]
    assert scores(TaintToleration(), info(), *nodes) == [100, 50, 0]
    tolerant = info(tolerations=[Toleration(key="a", operator="Exists")])
    assert scores(TaintToleration(), tolerant, *nodes) == [100, 100, 0]
    other = info(tolerations=[Toleration(key="a", operator="Exists", effect="NoSchedule")])
    assert scores(TaintToleration(), other, *nodes) == [100, 50, 0]
    assert scores(TaintToleration(), info(), a_node("n1")) is None


def preferring(*weights):
    return Affinity(
        nodeAffinity=NodeAffinity(
            preferredDuringSchedulingIgnoredDuringExecution=[
                PreferredSchedulingTerm(
                    weight=weight,
                    preference=NodeSelectorTerm(
                        matchExpressions=[
                            NodeSelectorRequirement(key=key, operator="In", values=[value])
                        ]
                    ),
                )
                for key, value, weight in weights
            ]
        )
    )


def test_preferred_node_affinity():
    nodes = [
        a_node("n1", labels={"a": "1", "b": "1"}),
        a_node("n2", labels={"a": "1"}),
        a_node("n3"),
    ]
    pod = info(affinity=preferring(("a", "1", 2), ("b", "1", 3)))
    assert scores(PreferredNodeAffinity(), pod, *nodes) == [100, 40, 0]
    assert scores(PreferredNodeAffinity(), info(), *nodes) is None
    nobody = info(affinity=preferring(("c", "1", 2)))
    assert scores(PreferredNodeAffinity(), nobody, *nodes) == [0, 0, 0]


def test_image_locality():
    nodes = [
        a_node("n1", images={"app:latest": 500 * MI}),
        a_node("n2", images={"app:v1": 900 * MI}),
    ]
    # Half the nodes have it: 250 MiB count, of 23 to 1000.
    assert scores(ImageLocality(), info(image="app"), *nodes) == [(250 - 23) * 100 // 977, 0]
    assert scores(ImageLocality(), info(image="other"), *nodes) is None
    huge = [a_node("n1", images={"app:latest": 9 * GI})]
    assert scores(ImageLocality(), info(image="app"), *huge) == [100]


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("app", "app:latest"),
        ("app:v1", "app:v1"),
        ("localhost:5000/app", "localhost:5000/app:latest"),
        ("app@sha256:12", "app@sha256:12"),
    ],
)
def test_full_names_of_images(image, name):
    assert full_name(image) == name
