"""Cycles: the right node, the right words, and never a node with too much on it."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.scheduler.objects import a_node, a_pod, cache_of, info

from kybern.api.core.v1 import Toleration
from kybern.scheduler.cycle import Cycle, NoFit, Placement
from kybern.scheduler.framework import News
from kybern.scheduler.profile import default_profile


def decide(pod, *nodes, pods=(), seed=1):
    cache = cache_of(*nodes, pods=pods)
    return Cycle(default_profile(), cache.nodes, random.Random(seed)).decide(pod)


def test_the_emptier_node_wins():
    nodes = [a_node("n1"), a_node("n2")]
    pods = [a_pod(cpu="1", memory="2Gi", node="n1")]
    assert decide(info(cpu="1"), *nodes, pods=pods) == Placement(1, "n2")


def test_equals_are_chosen_between_by_chance():
    nodes = [a_node(f"n{i}") for i in range(4)]
    chosen = {decide(info(cpu="1"), *nodes, seed=seed).node for seed in range(40)}
    assert chosen == {"n0", "n1", "n2", "n3"}
    assert len({decide(info(cpu="1"), *nodes, seed=7).node for _ in range(5)}) == 1


def test_a_preference_outweighs_emptiness():
    nodes = [a_node("n1", taints=[("a", "1", "PreferNoSchedule")]), a_node("n2")]
    pods = [a_pod(cpu="3", memory="6Gi", node="n2")]
    assert decide(info(cpu="1"), *nodes, pods=pods).node == "n2"


def test_no_nodes():
    verdict = decide(info())
    assert verdict.message == "no nodes available to schedule pods"
    assert verdict.wakes & News.NODE_ADDED


@pytest.mark.parametrize(
    ("pod", "message"),
    [
        (
            {"cpu": "100"},
            "0/4 nodes are available: 1 Insufficient cpu, 1 node(s) were unschedulable, "
            "2 node(s) had untolerated taint(s).",
        ),
        (
            {"cpu": "100", "memory": "1Ti", "tolerations": [Toleration(operator="Exists")]},
            "0/4 nodes are available: 4 Insufficient cpu, 4 Insufficient memory.",
        ),
        (
            {"nodeSelector": {"a": "b"}},
            "0/4 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, "
            "1 node(s) were unschedulable, 2 node(s) had untolerated taint(s).",
        ),
    ],
)
def test_why_not(pod, message):
    nodes = [
        a_node("n1"),
        a_node("n2", unschedulable=True),
        a_node("n3", taints=[("a", "1")]),
        a_node("n4", taints=[("b", "1", "NoExecute")]),
    ]
    assert decide(info(**pod), *nodes).message == message


def test_who_could_be_helped_by_evicting():
    nodes = [a_node("n1", cpu="4"), a_node("n2", cpu="1"), a_node("n3", unschedulable=True)]
    verdict = decide(info(cpu="2"), *nodes, pods=[a_pod(cpu="3", node="n1")])
    assert verdict.resolvable == (0,)
    fit = News.NODE_ADDED | News.NODE_ALLOCATABLE | News.POD_GONE
    assert verdict.wakes == fit | News.NODE_UNSCHEDULABLE


def test_a_verdict_holds_until_something_changes():
    cache = cache_of(a_node("n1", cpu="1"))
    cycle = Cycle(default_profile(), cache.nodes, random.Random(1))
    first = cycle.decide(info(cpu="2"))
    assert cycle.decide(info(cpu="2")) is first
    cache.put_node(a_node("n1", cpu="3"))
    assert cycle.decide(info(cpu="2")).node == "n1"


def test_a_node_that_was_removed_takes_nothing():
    cache = cache_of(a_node("n1"), a_node("n2"))
    cycle = Cycle(default_profile(), cache.nodes, random.Random(1))
    cache.remove_node("n1")
    assert {cycle.decide(info(cpu="1")).node for _ in range(9)} == {"n2"}
    cache.remove_node("n2")
    assert isinstance(cycle.decide(info(cpu="1")), NoFit)


amounts = st.sampled_from([None, "0", "100m", "250m", "1", "2500m", "64"])
memories = st.sampled_from([None, "64Mi", "1Gi", "3Gi"])
changes = st.one_of(
    st.tuples(st.just("pod"), amounts, memories, st.sampled_from([(), ((80, None, "TCP"),)])),
    st.tuples(st.just("selecting"), amounts, st.sampled_from(["z0", "z1"])),
    st.tuples(st.just("tolerating"), amounts, st.just(None)),
    st.tuples(st.just("node"), st.integers(0, 6), st.sampled_from(["1", "2", "4"])),
    st.tuples(
        st.just("taint"), st.integers(0, 6), st.sampled_from(["NoSchedule", "PreferNoSchedule"])
    ),
    st.tuples(st.just("cordon"), st.integers(0, 6), st.booleans()),
    st.tuples(st.just("gone"), st.integers(0, 6), st.just(None)),
    st.tuples(st.just("deleted"), st.integers(0, 30), st.just(None)),
    st.tuples(st.just("forgotten"), st.integers(0, 30), st.just(None)),
    st.tuples(st.just("confirmed"), st.integers(0, 30), st.just(None)),
)


class Story:
    """A history of a small cluster, told to a cache and checked against plain sums."""

    def __init__(self):
        self.cache = cache_of()
        self.cycle = Cycle(default_profile(), self.cache.nodes, random.Random(3))
        self.nodes = {}
        self.placed = {}

    def tell(self, what, *args):
        getattr(self, what)(*args)

    def pod(self, cpu, memory, ports):
        self.schedule(info(cpu=cpu, memory=memory, ports=ports))

    def selecting(self, cpu, zone):
        self.schedule(info(cpu=cpu, nodeSelector={"zone": zone}))

    def tolerating(self, cpu, _):
        self.schedule(info(cpu=cpu, tolerations=[Toleration(operator="Exists")]))

    def schedule(self, pod):
        decision = self.cycle.decide(pod)
        # A decider that remembers nothing must see the same nodes fit, and score them the same.
        fresh = Cycle(default_profile(), self.cache.nodes, random.Random(3))
        again = fresh.decide(pod)
        assert type(again) is type(decision)
        fits = np.array([fresh.fits_on(pod, r) for r in self.cache.nodes.rows()], bool)
        if isinstance(decision, NoFit):
            assert not fits.any()
            assert decision == again
            return
        remembered, anew = self.cycle._kinds[pod.alike], fresh._kinds[pod.alike]
        assert remembered.total.tolist() == anew.total.tolist()
        rows = self.cache.nodes.rows()
        assert (remembered.total[rows] >= 0).tolist() == fits.tolist()
        assert decision.row in rows[fits]
        self.cache.assume(pod, decision.row)
        self.placed[pod.uid] = (pod, decision.node)
        self.check_room(decision.node)

    def check_room(self, name):
        node = self.nodes[name]
        pods = [pod for pod, where in self.placed.values() if where == name]
        added = self.placed[pods[-1].uid][0]
        capacity = int(node.status.allocatable["cpu"]) * 1000
        if added.fit.milli_cpu:
            assert sum(pod.fit.milli_cpu for pod in pods) <= capacity
        if added.fit.memory:
            assert sum(pod.fit.memory for pod in pods) <= 4 * 1024**3
        assert len(pods) <= 5
        ports = [port for pod in pods for port in pod.ports]
        if added.ports:
            assert len(ports) == len(set(ports))

    def node(self, number, cpu):
        node = a_node(
            f"n{number}", cpu=cpu, memory="4Gi", pods="5", labels={"zone": f"z{number % 2}"}
        )
        self.put(node)

    def taint(self, number, effect):
        name = f"n{number}"
        if old := self.nodes.get(name):
            cpu = old.status.allocatable["cpu"]
            labels = old.metadata.labels
            taints = [("t", None, effect)]
            self.put(a_node(name, cpu=cpu, memory="4Gi", pods="5", labels=labels, taints=taints))

    def cordon(self, number, on):
        name = f"n{number}"
        if old := self.nodes.get(name):
            cpu = old.status.allocatable["cpu"]
            labels = old.metadata.labels
            self.put(a_node(name, cpu=cpu, memory="4Gi", pods="5", labels=labels, unschedulable=on))

    def put(self, node):
        self.nodes[node.metadata.name] = node
        self.cache.put_node(node)

    def gone(self, number, _):
        self.nodes.pop(f"n{number}", None)
        self.cache.remove_node(f"n{number}")

    def pick(self, number):
        return list(self.placed)[number] if number < len(self.placed) else None

    def deleted(self, number, _):
        if uid := self.pick(number):
            del self.placed[uid]
            self.cache.remove_pod(uid)

    def forgotten(self, number, _):
        if (uid := self.pick(number)) and self.cache.forget(uid):
            del self.placed[uid]

    def confirmed(self, number, _):
        if uid := self.pick(number):
            pod, node = self.placed[uid]
            pod.pod.spec.nodeName = node
            self.cache.put_pod(pod.pod)

    def check(self):
        """The columns hold exactly the sums of what is placed."""
        columns = self.cache.nodes
        for name, row in columns.index.items():
            pods = [pod for pod, where in self.placed.values() if where == name]
            assert columns.requested[:4, row].tolist() == [
                sum(pod.fit.milli_cpu for pod in pods),
                sum(pod.fit.memory for pod in pods),
                0,
                len(pods),
            ]
            assert columns.nonzero[0, row] == sum(pod.nonzero[0] for pod in pods)
        assert columns.count == len(self.nodes) == int(columns.valid.sum())
        used = {port: users for port, users in columns.ports.items() if users}
        expected = sum(len(pod.ports) for pod, where in self.placed.values() if where in self.nodes)
        assert sum(sum(users.values()) for users in used.values()) == expected


def test_ports_of_a_node_that_was_removed_do_not_haunt_the_next_one():
    history = [("node", 0, "4"), ("pod", None, None, ((80, None, "TCP"),)), ("gone", 0, None)]
    story = Story()
    for change in [*history, ("deleted", 0, None), *history[:2]]:
        story.tell(*change)
    story.check()
    assert len(story.placed) == 1


@settings(max_examples=300, deadline=None)
@given(st.lists(changes, max_size=40))
def test_no_node_is_promised_more_than_it_has(history):
    story = Story()
    for change in history:
        story.tell(*change)
    story.check()
