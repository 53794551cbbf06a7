"""What a DaemonSet does next, in tables and with arbitrary beginnings."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kybern.api import codec
from kybern.api.apps.v1 import (
    DaemonSet,
    DaemonSetSpec,
    DaemonSetUpdateStrategy,
    RollingUpdateDaemonSet,
)
from kybern.api.core.v1 import (
    Affinity,
    Container,
    Node,
    NodeAffinity,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    NodeSpec,
    PodCondition,
    PodSpec,
    PodStatus,
    PodTemplateSpec,
    Taint,
    Toleration,
)
from kybern.api.meta.v1 import LabelSelector, ObjectMeta
from kybern.controllers.daemonset.failures import Failures
from kybern.controllers.daemonset.placement import fate, new_pod, target_of, tolerations
from kybern.controllers.daemonset.plan import plan
from kybern.lib.clock import rfc3339

NOW = 1_800_000_000.0


def daemon_set(strategy="RollingUpdate", down=1, up=0, **options):
    spec, patience = PodSpec(containers=[Container(name="c", image="d:1")]), None
    patience = options.pop("minReadySeconds", None)
    for name, value in options.items():
        setattr(spec, name, value)
    rolling = RollingUpdateDaemonSet(maxUnavailable=down, maxSurge=up)
    labels = {"app": "d"}
    return DaemonSet(
        metadata=ObjectMeta(name="d", namespace="default", uid="set", generation=2),
        spec=DaemonSetSpec(
            selector=LabelSelector(matchLabels=labels),
            template=PodTemplateSpec(metadata=ObjectMeta(labels=labels), spec=spec),
            updateStrategy=DaemonSetUpdateStrategy(type=strategy, rollingUpdate=rolling),
            minReadySeconds=patience,
        ),
    )


def node(name, labels=None, *taints):
    spec = NodeSpec(taints=[Taint(key=key, effect=effect) for key, effect in taints] or None)
    return Node(metadata=ObjectMeta(name=name, labels=labels or {}), spec=spec)


NODES = [node(f"n{number}") for number in range(4)]


def pod(owner, where, digest="new", *, state="ready", since=0.0, name="", bound=True):
    made = codec.clone(new_pod(owner, where, digest))
    metadata = made.metadata
    metadata.name = name or f"d-{where}-{digest}"
    metadata.namespace, metadata.uid = "default", metadata.name
    metadata.creationTimestamp = rfc3339(NOW - 1000)
    if bound:
        made.spec.nodeName = where
    ready = "True" if state in ("ready", "leaving") else "False"
    phases = {"failed": "Failed", "succeeded": "Succeeded", "pending": "Pending"}
    made.status = PodStatus(
        phase=phases.get(state, "Running"),
        conditions=[
            PodCondition(type="Ready", status=ready, lastTransitionTime=rfc3339(NOW - since))
        ],
    )
    if state == "leaving":
        metadata.deletionTimestamp = rfc3339(NOW)
    return made


def decide(owner, pods, nodes=None, wait=lambda node: 0.0):
    found = plan(owner, pods, NODES if nodes is None else nodes, "new", wait, NOW)
    return sorted(found.create), sorted(pod.metadata.name for pod in found.delete)


TERM = NodeSelectorTerm(
    matchExpressions=[NodeSelectorRequirement(key="zone", operator="In", values=["a", "b"])]
)
ZONES = Affinity(
    nodeAffinity=NodeAffinity(
        requiredDuringSchedulingIgnoredDuringExecution=NodeSelector(nodeSelectorTerms=[TERM])
    )
)


@pytest.mark.parametrize(
    ("options", "where", "expected"),
    [
        ({}, node("n"), (True, True)),
        ({"nodeName": "n"}, node("n"), (True, True)),
        ({"nodeName": "m"}, node("n"), (False, False)),
        ({"nodeSelector": {"disk": "ssd"}}, node("n"), (False, False)),
        ({"nodeSelector": {"disk": "ssd"}}, node("n", {"disk": "ssd"}), (True, True)),
        ({"affinity": ZONES}, node("n", {"zone": "b"}), (True, True)),
        ({"affinity": ZONES}, node("n", {"zone": "c"}), (False, False)),
        ({}, node("n", None, ("x", "NoSchedule")), (False, True)),
        ({}, node("n", None, ("x", "NoExecute")), (False, False)),
        ({}, node("n", None, ("x", "PreferNoSchedule")), (True, True)),
        ({"tolerations": [Toleration(operator="Exists")]},
         node("n", None, ("x", "NoExecute")), (True, True)),
        ({}, node("n", None, ("node.kubernetes.io/not-ready", "NoExecute")), (True, True)),
        ({}, node("n", None, ("node.kubernetes.io/unschedulable", "NoSchedule")), (True, True)),
        ({}, node("n", None, ("node.kubernetes.io/network-unavailable", "NoSchedule")),
         (False, True)),
        ({"hostNetwork": True},
         node("n", None, ("node.kubernetes.io/network-unavailable", "NoSchedule")), (True, True)),
    ],
)  # fmt: skip
def test_which_nodes(options, where, expected):
    assert fate(daemon_set(**options), where) == expected


def test_a_pod_asks_for_its_node_and_bears_what_befalls_nodes():
    owner = daemon_set(affinity=ZONES)
    owner.metadata.annotations = {"deprecated.daemonset.template.generation": "3"}
    made = new_pod(owner, "n1", "abc")
    assert target_of(made) == "n1"
    assert made.metadata.generateName == "d-"
    assert made.metadata.labels == {
        "app": "d", "controller-revision-hash": "abc", "pod-template-generation": "3",
    }  # fmt: skip
    required = made.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution
    assert [term.matchExpressions for term in required.nodeSelectorTerms] == [None]
    keys = [one.key.removeprefix("node.kubernetes.io/") for one in tolerations(made.spec)]
    assert keys == [
        "not-ready", "unreachable", "disk-pressure", "memory-pressure", "pid-pressure",
        "unschedulable",
    ]  # fmt: skip
    # the template stays as it was
    assert owner.spec.template.spec.affinity is ZONES
    assert ZONES.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms == [
        TERM
    ]


def test_every_node_gets_one_and_only_one():
    owner = daemon_set()
    assert decide(owner, []) == (["n0", "n1", "n2", "n3"], [])
    pods = [pod(owner, f"n{number}") for number in range(4)]
    assert decide(owner, pods) == ([], [])
    younger = pod(owner, "n1", name="younger")
    younger.metadata.creationTimestamp = rfc3339(NOW)
    assert decide(owner, [*pods, younger]) == ([], ["younger"])


@pytest.mark.parametrize(
    ("taint", "expected"), [(("x", "NoSchedule"), []), (("x", "NoExecute"), ["d-n0-new"])]
)
def test_a_node_that_is_closed_keeps_its_pod_one_that_throws_out_does_not(taint, expected):
    owner = daemon_set()
    assert decide(owner, [pod(owner, "n0")], [node("n0", None, taint)]) == ([], expected)


def test_a_pod_on_its_way_out_is_waited_for():
    owner = daemon_set()
    leaving = pod(owner, "n0", state="leaving")
    assert decide(owner, [leaving], NODES[:1]) == ([], [])
    leaving.status.phase = "Failed"  # ended: only the kubelet has still to let go of it
    assert decide(owner, [leaving], NODES[:1]) == (["n0"], [])


def test_pods_that_have_ended_go():
    owner = daemon_set()
    pods = [pod(owner, "n0", state="failed"), pod(owner, "n1", state="succeeded")]
    found = plan(owner, pods, NODES[:2], "new", lambda _: 0.0, NOW)
    assert [one.metadata.name for one in found.delete] == ["d-n0-new", "d-n1-new"]
    assert found.failed == ["n0"]
    assert found.news == [
        ("Warning", "FailedDaemonPod",
         "Found failed daemon pod default/d-n0-new on node n0, will try to kill it"),
        ("Normal", "SucceededDaemonPod",
         "Found succeeded daemon pod default/d-n1-new on node n1, will try to delete it"),
    ]  # fmt: skip
    rested = plan(owner, pods[:1], NODES[:1], "new", lambda _: 7.0, NOW)
    assert (rested.delete, rested.check_after) == ([], 7.0)


def test_a_pod_for_a_node_that_is_gone_goes():
    owner = daemon_set()
    lost = pod(owner, "gone", bound=False)
    assert decide(owner, [lost, pod(owner, "n0")], NODES[:1]) == ([], ["d-gone-new"])


def fleet(owner, *states):
    """Pods on n0, n1, …: `old`, `new`, `old:pending`, `both`, …"""
    pods = []
    for number, text in enumerate(states):
        kind, _, state = text.partition(":")
        for digest in ("old", "new") if kind == "both" else (kind,):
            new = digest == "new" or kind != "both"
            one = pod(owner, f"n{number}", digest, state=(state or "ready") if new else "ready")
            pods.append(one)
    return pods


@pytest.mark.parametrize(
    ("options", "states", "expected"),
    [
        ({}, ("old", "old", "old"), ([], ["d-n0-old"])),
        ({"down": 2}, ("old", "old", "old"), ([], ["d-n0-old", "d-n1-old"])),
        ({"down": "50%"}, ("old", "old", "old"), ([], ["d-n0-old", "d-n1-old"])),
        ({}, ("new:pending", "old", "old"), ([], [])),
        ({}, ("new", "old:pending", "old"), ([], ["d-n1-old", "d-n2-old"])),
        ({"down": 0}, ("old", "old"), ([], ["d-n0-old"])),
        ({"strategy": "OnDelete"}, ("old", "old"), ([], [])),
        ({"down": 0, "up": 1}, ("old", "old"), (["n0"], [])),
        ({"down": 0, "up": "100%"}, ("old", "old"), (["n0", "n1"], [])),
        ({"down": 0, "up": 1}, ("both:pending", "old"), ([], [])),
        ({"down": 0, "up": 1}, ("both", "old"), ([], ["d-n0-old"])),
        ({"down": 0, "up": 1}, ("old", "old:pending"), (["n0", "n1"], [])),
        ({}, ("both",), ([], ["d-n0-old"])),
    ],
)
def test_a_new_template(options, states, expected):
    owner = daemon_set(**options)
    assert decide(owner, fleet(owner, *states), NODES[: len(states)]) == expected


def test_the_status_counts():
    owner = daemon_set(minReadySeconds=10, nodeSelector={"disk": "ssd"})
    ssd = {"disk": "ssd"}
    nodes = [*(node(f"n{number}", ssd) for number in range(4)), node("n4")]
    pods = [
        pod(owner, "n0", since=60),
        pod(owner, "n1", "old", since=4),
        pod(owner, "n2", state="pending"),
        pod(owner, "n4", since=60),
    ]
    found = plan(owner, pods, nodes, "new", lambda _: 0.0, NOW)
    status = found.status
    assert (status.desiredNumberScheduled, status.currentNumberScheduled) == (4, 3)
    assert (status.numberReady, status.numberAvailable, status.numberUnavailable) == (2, 1, 3)
    assert (status.updatedNumberScheduled, status.numberMisscheduled) == (2, 1)
    assert status.observedGeneration == 2
    assert found.check_after == 6.0


def test_failures_are_replaced_less_and_less_often():
    failures, place, now, waits = Failures(), ("set", "n0"), NOW, []
    assert failures.wait(place, now) == 0
    for _ in range(12):
        failures.count(place, now)
        waits.append(failures.wait(place, now))
        now += waits[-1]
        assert failures.wait(place, now) == 0
    assert waits[:4] == [1, 2, 4, 8]
    assert max(waits) == 900
    failures.count(place, now + 2000)
    assert failures.wait(place, now + 2000) == 1
    failures.forget("set")
    assert failures.wait(place, now + 2000) == 0


STATES = st.sampled_from(["ready", "pending", "failed", "succeeded", "leaving"])
ON_NODE = st.lists(st.tuples(STATES, st.sampled_from(["old", "new"])), max_size=3)


@settings(max_examples=150, deadline=None)
@given(
    begin=st.lists(ON_NODE, min_size=1, max_size=4),
    strategy=st.sampled_from(
        [{}, {"down": 2}, {"down": 0, "up": 1}, {"down": 0, "up": "50%"}, {"strategy": "OnDelete"}]
    ),
)
def test_it_always_gets_there_and_then_stays(begin, strategy):
    owner = daemon_set(**strategy)
    nodes, pods, made = NODES[: len(begin)], {}, 0
    for place, here in zip(nodes, begin, strict=True):
        for state, digest in here:
            made += 1
            one = pod(owner, place.metadata.name, digest, state=state, name=f"d-{made}")
            pods[one.metadata.name] = one
    for _ in range(60):
        found = plan(owner, list(pods.values()), nodes, "new", lambda _: 0.0, NOW)
        for where in found.create:
            made += 1
            pods[f"d-{made}"] = pod(owner, where, state="pending", name=f"d-{made}")
        for one in found.delete:
            assert one.metadata.deletionTimestamp is None
            one.metadata.deletionTimestamp = rfc3339(NOW)
        restless = found.create or found.delete
        for name, one in list(pods.items()):
            if one.metadata.deletionTimestamp is not None:
                del pods[name]
                restless = True
            elif one.status.phase == "Pending":
                digest = one.metadata.labels["controller-revision-hash"]
                pods[name] = pod(owner, target_of(one), digest, name=name)
                restless = True
        if not restless:
            break
    assert sorted(target_of(one) for one in pods.values()) == [n.metadata.name for n in nodes]
    if strategy.get("strategy") != "OnDelete":
        hashes = {one.metadata.labels["controller-revision-hash"] for one in pods.values()}
        assert hashes == {"new"}
