"""Preemption: as few as possible, as unimportant as possible, and only where it helps."""

from __future__ import annotations

import random

import pytest
from tests.unit.scheduler.objects import a_node, a_pod, cache_of, info

from kybern.api.core.v1 import PodCondition
from kybern.api.meta.v1 import LabelSelector, ObjectMeta
from kybern.api.policy.v1 import (
    PodDisruptionBudget,
    PodDisruptionBudgetSpec,
    PodDisruptionBudgetStatus,
)
from kybern.scheduler.cycle import Cycle, NoFit
from kybern.scheduler.preemption import Nomination, Preemption
from kybern.scheduler.profile import default_profile


def running(name, cpu, priority=0, node="n1", started=None, **more):
    pod = a_pod(name, cpu=cpu, priority=priority, node=node, **more)
    pod.status.startTime = started
    return pod


def budget(allowed, disrupted=None, **labels):
    return PodDisruptionBudget(
        metadata=ObjectMeta(name="b", namespace="default", uid="b"),
        spec=PodDisruptionBudgetSpec(selector=LabelSelector(matchLabels=labels)),
        status=PodDisruptionBudgetStatus(disruptionsAllowed=allowed, disruptedPods=disrupted),
    )


def choose(pod, nodes, pods, budgets=()):
    cache = cache_of(*nodes, pods=pods)
    cycle = Cycle(default_profile(), cache.nodes, random.Random(1))
    before = cache.nodes.requested.tolist()
    preemption = Preemption(cache, cycle, random.Random(1), lambda namespace: list(budgets))
    verdict = cycle.decide(pod)
    assert isinstance(verdict, NoFit)
    found = preemption.choose(pod, verdict)
    assert cache.nodes.requested.tolist() == before
    return found


def victims(found):
    assert isinstance(found, Nomination), found
    return found.node, sorted(victim.key[1] for victim in found.victims)


IMPORTANT = {"cpu": "2", "priority": 100}


def test_the_least_important_goes():
    pods = [running("a", "2", 10), running("b", "2", 5)]
    assert victims(choose(info(**IMPORTANT), [a_node(cpu="4")], pods)) == ("n1", ["b"])


def test_no_more_than_needed():
    pods = [running("a", "1"), running("b", "1"), running("c", "2", 50)]
    found = choose(info(**IMPORTANT), [a_node(cpu="4")], pods)
    assert victims(found) == ("n1", ["a", "b"])
    pods = [running("big", "3"), running("small", "1")]
    assert victims(choose(info(**IMPORTANT), [a_node(cpu="4")], pods)) == ("n1", ["big"])


def test_equals_are_no_victims():
    nodes = [a_node("n1", cpu="2"), a_node("n2", cpu="1")]
    message = choose(info(**IMPORTANT), nodes, [running("a", "1", 100)])
    assert message == (
        "0/2 nodes are available: 1 No preemption victims found for incoming pod, "
        "1 Preemption is not helpful for scheduling."
    )


def test_room_that_victims_do_not_make():
    nodes = [a_node("n1", cpu="3")]
    pods = [running("lesser", "1"), running("equal", "2", 100)]
    message = choose(info(**IMPORTANT), nodes, pods)
    assert message == "0/1 nodes are available: 1 Insufficient cpu."


@pytest.mark.parametrize(
    ("pods", "chosen"),
    [
        # the highest victim matters most
        ([running("a", "4", 9), running("b", "4", 8, "n2")], "n2"),
        # then the sum of all
        ([running("a", "2", 9), running("c", "2", 9), running("b", "4", 9, "n2")], "n2"),
        # then who started last
        (
            [
                running("a", "4", 9, "n1", "2026-01-01T00:00:00Z"),
                running("b", "4", 9, "n2", "2026-01-02T00:00:00Z"),
            ],
            "n2",
        ),
    ],
)
def test_which_node(pods, chosen):
    nodes = [a_node("n1", cpu="4"), a_node("n2", cpu="4")]
    assert victims(choose(info(cpu="4", priority=100), nodes, pods))[0] == chosen


def test_budgets_are_broken_last():
    nodes = [a_node("n1", cpu="4"), a_node("n2", cpu="4")]
    guarded = {"app": "db"}
    pods = [running("a", "4", 1, labels=guarded), running("b", "4", 9, "n2")]
    pod = info(cpu="4", priority=100)
    assert victims(choose(pod, nodes, pods, [budget(0, **guarded)]))[0] == "n2"
    assert victims(choose(pod, nodes, pods, [budget(1, **guarded)]))[0] == "n1"
    assert victims(choose(pod, nodes, pods, [budget(0, {"a": "now"}, **guarded)]))[0] == "n1"
    # Where there is no other way, they are broken.
    assert victims(choose(pod, nodes[:1], pods[:1], [budget(0, **guarded)])) == ("n1", ["a"])


def test_within_a_node_the_guarded_are_spared():
    pods = [running("a", "2", 1, labels={"app": "db"}), running("b", "2", 9)]
    found = choose(info(**IMPORTANT), [a_node(cpu="4")], pods, [budget(0, app="db")])
    assert victims(found) == ("n1", ["b"])


def test_a_pod_that_never_preempts():
    pod = info(**IMPORTANT, preemptionPolicy="Never")
    found = choose(pod, [a_node(cpu="2")], [running("a", "2")])
    assert found == "not eligible due to preemptionPolicy=Never."


def test_a_pod_whose_victims_are_still_leaving_takes_no_others():
    leaving = running("a", "2")
    leaving.metadata.deletionTimestamp = "2026-01-01T00:00:00Z"
    pod = info(**IMPORTANT)
    pod.pod.status.nominatedNodeName = "n1"
    nodes = [a_node("n1", cpu="2"), a_node("n2", cpu="2")]
    pods = [leaving, running("b", "2", 0, "n2")]
    # Somebody else deleted it: that is no reason to wait.
    assert isinstance(choose(pod, nodes, pods), Nomination)
    leaving.status.conditions = [
        PodCondition(type="DisruptionTarget", status="True", reason="PreemptionByScheduler")
    ]
    found = choose(pod, nodes, pods)
    assert found == "not eligible due to a terminating pod on the nominated node."


def test_host_ports_are_freed_too():
    port = (80, None, "TCP")
    pods = [running("a", "1", ports=[port]), running("b", "1")]
    found = choose(info(priority=1, ports=[port]), [a_node(cpu="4")], pods)
    assert victims(found) == ("n1", ["a"])


def test_a_promised_node_is_kept_from_lesser_pods_and_given_to_its_own():
    cache = cache_of(a_node("n1", cpu="2"), a_node("n2", cpu="1"))
    cycle = Cycle(default_profile(), cache.nodes, random.Random(1))
    promised = info("promised", cpu="2", priority=10)
    cycle.nominations.put(promised, "n1")
    assert cycle.decide(info(cpu="1", priority=5)).node == "n2"
    verdict = cycle.decide(info(cpu="2", priority=5))
    assert verdict.reasons == {"Insufficient cpu": 2}
    assert cycle.decide(info(cpu="2", priority=11)).node == "n1"
    assert cycle.decide(promised).node == "n1"
    cycle.nominations.drop(promised.uid)
    assert cycle.decide(info(cpu="2", priority=5)).node == "n1"
    assert not cycle.nominations
