"""Each filter's verdicts, in upstream's words."""

from __future__ import annotations

import pytest
from tests.unit.scheduler.objects import a_node, a_pod, info, verdicts

from kybern.api.core.v1 import (
    Affinity,
    Container,
    NodeAffinity,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    Toleration,
)
from kybern.scheduler.plugins import all as plugins
from kybern.scheduler.plugins.node_affinity import NodeAffinity as NodeAffinityPlugin
from kybern.scheduler.plugins.node_name import NodeName
from kybern.scheduler.plugins.node_ports import NodePorts
from kybern.scheduler.plugins.node_resources_fit import NodeResourcesFit
from kybern.scheduler.plugins.node_unschedulable import NodeUnschedulable
from kybern.scheduler.plugins.taint_toleration import TaintToleration

CORDONED = ("node(s) were unschedulable", False)
TAINTED = ("node(s) had untolerated taint(s)", False)
ELSEWHERE = ("node(s) didn't match Pod's node affinity/selector", False)
PORT_TAKEN = ("node(s) didn't have free ports for the requested pod ports", True)


def tolerate(key=None, operator="Exists", value=None, effect=None):
    return Toleration(key=key, operator=operator, value=value, effect=effect)


@pytest.mark.parametrize(
    ("tolerations", "expected"),
    [
        (None, CORDONED),
        ([tolerate("node.kubernetes.io/unschedulable", effect="NoSchedule")], True),
        ([tolerate("node.kubernetes.io/unschedulable", effect="NoExecute")], CORDONED),
        ([tolerate()], True),
    ],
)
def test_node_unschedulable(tolerations, expected):
    pod = info(tolerations=tolerations)
    nodes = [a_node("n1", unschedulable=True), a_node("n2")]
    assert verdicts(NodeUnschedulable(), pod, *nodes) == [expected, True]


def test_node_name():
    nodes = [a_node("n1"), a_node("n2")]
    other = ("node(s) didn't match the requested node name", False)
    assert verdicts(NodeName(), info(), *nodes) == [True, True]
    assert verdicts(NodeName(), info(node="n2"), *nodes) == [other, True]
    assert verdicts(NodeName(), info(node="n3"), *nodes) == [other, other]


@pytest.mark.parametrize(
    ("taints", "tolerations", "expected"),
    [
        ((), None, True),
        ([("a", "1")], None, TAINTED),
        ([("a", "1")], [tolerate("a")], True),
        ([("a", "1")], [tolerate("a", "Equal", "1", "NoSchedule")], True),
        ([("a", "1")], [tolerate("a", "Equal", "2")], TAINTED),
        ([("a", "1", "NoExecute")], [tolerate("a", effect="NoSchedule")], TAINTED),
        ([("a", "1", "PreferNoSchedule")], None, True),
        ([("a", "1"), ("b", "1")], [tolerate("a")], TAINTED),
        ([("a", "1"), ("b", "1")], [tolerate()], True),
        ([("a", "5")], [tolerate("a", "Gt", "4")], True),
        ([("a", "5")], [tolerate("a", "Lt", "4")], TAINTED),
    ],
)
def test_taint_toleration(taints, tolerations, expected):
    nodes = [a_node("n1", taints=taints), a_node("n2")]
    assert verdicts(TaintToleration(), info(tolerations=tolerations), *nodes) == [expected, True]


def requirement(key, operator, *values):
    return NodeSelectorRequirement(key=key, operator=operator, values=list(values) or None)


def required(*terms):
    selector = NodeSelector(
        nodeSelectorTerms=[
            NodeSelectorTerm(
                matchExpressions=[r for r in term if r.key != "metadata.name"] or None,
                matchFields=[r for r in term if r.key == "metadata.name"] or None,
            )
            for term in terms
        ]
    )
    return Affinity(
        nodeAffinity=NodeAffinity(requiredDuringSchedulingIgnoredDuringExecution=selector)
    )


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, "abcd"),
        ({"nodeSelector": {"zone": "z1"}}, "ab"),
        ({"nodeSelector": {"zone": "z1", "gpu": "2"}}, "b"),
        ({"nodeSelector": {"zone": "nowhere"}}, ""),
        ({"nodeSelector": {"unknown": "x"}}, ""),
        ({"affinity": required([requirement("zone", "In", "z1", "z2", "z9")])}, "abc"),
        ({"affinity": required([requirement("zone", "NotIn", "z1")])}, "cd"),
        ({"affinity": required([requirement("gpu", "Exists")])}, "bc"),
        ({"affinity": required([requirement("gpu", "DoesNotExist")])}, "ad"),
        ({"affinity": required([requirement("gpu", "Gt", "2")])}, "c"),
        ({"affinity": required([requirement("gpu", "Lt", "10")])}, "b"),
        ({"affinity": required([requirement("zone", "Gt", "1")])}, ""),
        ({"affinity": required([requirement("gpu", "Gt", "many")])}, ""),
        ({"affinity": required([requirement("metadata.name", "In", "c", "x")])}, "c"),
        ({"affinity": required([requirement("metadata.name", "NotIn", "c")])}, "abd"),
        ({"affinity": required([requirement("metadata.name", "Exists")])}, ""),
        (
            {"affinity": required([requirement("gpu", "Exists"), requirement("zone", "In", "z1")])},
            "b",
        ),
        (
            {
                "affinity": required(
                    [requirement("gpu", "In", "10")], [requirement("zone", "In", "z1")]
                )
            },
            "abc",
        ),
        ({"affinity": required([])}, ""),
        ({"affinity": required()}, ""),
        (
            {
                "nodeSelector": {"zone": "z1"},
                "affinity": required([requirement("gpu", "Exists")]),
            },
            "b",
        ),
    ],
)
def test_node_affinity(spec, expected):
    nodes = [
        a_node("a", labels={"zone": "z1"}),
        a_node("b", labels={"zone": "z1", "gpu": "2"}),
        a_node("c", labels={"zone": "z2", "gpu": "10"}),
        a_node("d"),
    ]
    found = verdicts(NodeAffinityPlugin(), info(**spec), *nodes)
    assert found == [True if name in expected else ELSEWHERE for name in "abcd"]


@pytest.mark.parametrize(
    ("used", "wanted", "expected"),
    [
        ((80, None, "TCP"), (80, None, "TCP"), PORT_TAKEN),
        ((80, None, "TCP"), (81, None, "TCP"), True),
        ((80, None, "TCP"), (80, None, "UDP"), True),
        ((80, "10.0.0.1", "TCP"), (80, "10.0.0.2", "TCP"), True),
        ((80, "10.0.0.1", "TCP"), (80, "10.0.0.1", "TCP"), PORT_TAKEN),
        ((80, "10.0.0.1", "TCP"), (80, None, "TCP"), PORT_TAKEN),
        ((80, "0.0.0.0", "TCP"), (80, "10.0.0.1", "TCP"), PORT_TAKEN),
    ],
)
def test_node_ports(used, wanted, expected):
    pods = [a_pod(ports=[used], node="n1")]
    nodes = [a_node("n1"), a_node("n2")]
    assert verdicts(NodePorts(), info(ports=[wanted]), *nodes, pods=pods) == [expected, True]
    assert verdicts(NodePorts(), info(), *nodes, pods=pods) == [True, True]


GPU = {"example.com/gpu": "2"}


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        ({}, True),
        ({"cpu": "1", "memory": "4Gi"}, True),
        ({"cpu": "3001m"}, ("Insufficient cpu", True)),
        ({"cpu": "4001m"}, ("Insufficient cpu", False)),
        ({"memory": "7Gi"}, ("Insufficient memory", True)),
        ({"cpu": "9", "memory": "7Gi"}, ("Insufficient cpu", "Insufficient memory", False)),
        ({"requests": {"ephemeral-storage": "1"}}, ("Insufficient ephemeral-storage", False)),
        ({"requests": GPU}, True),
        ({"requests": {"example.com/gpu": "3"}}, ("Insufficient example.com/gpu", False)),
        ({"requests": {"example.com/none": "1"}}, ("Insufficient example.com/none", False)),
        ({"requests": {"example.com/none": "0"}}, True),
    ],
)
def test_node_resources_fit(pod, expected):
    node = a_node("n1", cpu="4", memory="8Gi", **GPU)
    running = a_pod(cpu="1", memory="4Gi", node="n1")
    assert verdicts(NodeResourcesFit(), info(**pod), node, pods=[running]) == [expected]


def test_too_many_pods_comes_first():
    node = a_node("n1", cpu="4", pods="1")
    running = a_pod(cpu="1", node="n1")
    assert verdicts(NodeResourcesFit(), info(cpu="9"), node, pods=[running]) == [
        ("Too many pods", "Insufficient cpu", False)
    ]
    assert verdicts(NodeResourcesFit(), info(), node, pods=[running]) == [("Too many pods", True)]


def test_an_overcommitted_node_still_takes_what_asks_for_nothing():
    node = a_node("n1", cpu="1")
    running = [a_pod(cpu="1", node="n1"), a_pod(cpu="1", node="n1")]
    assert verdicts(NodeResourcesFit(), info(), node, pods=running) == [True]
    found = verdicts(NodeResourcesFit(), info(cpu="1m"), node, pods=running)
    assert found == [("Insufficient cpu", True)]


def test_init_containers_count_with_their_peak():
    def container(name, cpu):
        return Container(name=name, resources=a_pod(cpu=cpu).spec.containers[0].resources)

    pod = info(containers=[container("main", "1")], initContainers=[container("init", "5")])
    assert verdicts(NodeResourcesFit(), pod, a_node(cpu="4")) == [("Insufficient cpu", False)]


def test_every_filter_of_the_folder_is_in_the_list_once():
    names = [plugin.name for plugin in plugins.FILTERS]
    assert len(names) == len(set(names))
    assert names.index("NodeResourcesFit") > names.index("NodeAffinity")
