"""Decisions about a pod, as tables of what is and what follows."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.kubelet.making import pod, ran, runs, view

from kybern.kubelet.pods.plan import Plan, Situation, Verdicts, Waiting, plan
from kybern.kubelet.pods.restarts import Waited, after_start, remaining, spoken
from kybern.kubelet.pods.specs import container_hash
from kybern.kubelet.pods.view import SandboxView, State

INIT = [{"name": "i1", "image": "x"}, {"name": "i2", "image": "x"}]
SIDE = [{"name": "side", "image": "x", "restartPolicy": "Always"}]


def decide(a_pod: Any, a_view: Any, **more: Any) -> Plan:
    return plan(Situation(a_pod, a_view, now=100.0, **more))


def started(steps: Plan) -> list[tuple[str, int]]:
    return [(step.wanted.name, step.restarts) for step in steps.start]


def test_a_new_pod_gets_a_sandbox_and_its_containers() -> None:
    steps = decide(pod([{"name": "a"}, {"name": "b"}]), view(sandbox=None))
    assert (steps.new_sandbox, steps.attempt, steps.drop_sandbox) == (True, 0, False)
    assert started(steps) == [("a", 0), ("b", 0)]


def test_a_new_pod_with_init_containers_begins_with_the_first() -> None:
    assert started(decide(pod(initContainers=INIT), view(sandbox=None))) == [("i1", 0)]


def test_a_running_pod_is_left_alone() -> None:
    assert decide(pod(), view(runs())) == Plan()


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        ([], [("i1", 0)]),
        ([ran("i1")], [("i2", 0)]),
        ([ran("i1"), ran("i2")], [("main", 0)]),
        ([runs("i1")], []),
        ([ran("i1", 1)], [("i1", 1)]),
    ],
)
def test_init_containers_run_in_order(ended: Any, expected: Any) -> None:
    assert started(decide(pod(initContainers=INIT), view(*ended))) == expected


def test_init_containers_are_over_once_a_regular_container_was_there() -> None:
    assert decide(pod(initContainers=INIT), view(runs())) == Plan()


def test_a_sidecar_holds_the_others_until_it_has_started() -> None:
    the_pod = pod(initContainers=SIDE)
    assert started(decide(the_pod, view(runs("side")))) == []
    ready = Verdicts(started=frozenset({"side"}))
    assert started(decide(the_pod, view(runs("side")), verdicts=ready)) == [("main", 0)]


def test_a_sidecar_is_started_again_whatever_the_policy() -> None:
    the_pod = pod(initContainers=SIDE, restartPolicy="Never")
    assert started(decide(the_pod, view(ran("side"), runs()))) == [("side", 1)]


@pytest.mark.parametrize(
    ("policy", "code", "again"),
    [
        ("Always", 0, True),
        ("Always", 1, True),
        ("OnFailure", 0, False),
        ("OnFailure", 1, True),
        ("Never", 1, False),
    ],
)
def test_the_policy_decides_whether_a_container_runs_again(
    policy: str, code: int, again: bool
) -> None:
    steps = decide(pod(restartPolicy=policy), view(ran(code=code)))
    assert (started(steps) == [("main", 1)]) is again
    assert steps.finished is not again


def test_a_containers_own_policy_wins() -> None:
    containers = [{"name": "main", "restartPolicy": "Never"}]
    assert decide(pod(containers, restartPolicy="Always"), view(ran(code=1))).finished


def test_restart_rules_look_at_the_exit_code() -> None:
    rules = [{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]
    the_pod = pod([{"name": "main", "restartPolicyRules": rules}], restartPolicy="Never")
    assert started(decide(the_pod, view(ran(code=42)))) == [("main", 1)]
    assert decide(the_pod, view(ran(code=41))).finished


def test_the_first_restart_is_immediate_and_the_next_waits() -> None:
    assert started(decide(pod(), view(ran()))) == [("main", 1)]
    steps = decide(pod(), view(ran(finished_at=98.0)), waits={"main": Waited(10.0, 60.0)})
    [waiting] = steps.waiting
    assert (waiting.reason, waiting.until) == ("CrashLoopBackOff", 108.0)
    assert waiting.message == ("back-off 10s restarting failed container=main pod=web_shop(u-1)")
    assert steps.look_again == 108.0
    assert steps.start == ()


def test_a_dead_container_is_stopped_with_the_probe_as_reason() -> None:
    steps = decide(pod(), view(runs()), verdicts=Verdicts(dead={"main": "liveness"}))
    [stop] = steps.stop
    assert stop.message == "Container main failed liveness probe, will be restarted"
    assert stop.probe == "liveness"
    steps = decide(
        pod(restartPolicy="Never"), view(runs()), verdicts=Verdicts(dead={"main": "startup"})
    )
    assert steps.stop[0].message == "Container main failed startup probe"


def test_a_changed_image_stops_the_container_and_starts_it_again() -> None:
    the_pod = pod(restartPolicy="Never")
    old = runs(hash="other")
    [stop] = decide(the_pod, view(old)).stop
    assert stop.message == "Container main definition changed, will be restarted"
    steps = decide(the_pod, view(ran(code=143)), replacing=frozenset({"main"}))
    assert started(steps) == [("main", 1)]
    same = runs(hash=container_hash(the_pod.spec.containers[0]))
    assert decide(the_pod, view(same)) == Plan()


def test_a_dead_sandbox_is_replaced_and_everything_starts_anew() -> None:
    dead = SandboxView("sb", ready=False, ips=("10.0.0.5",))
    steps = decide(pod(initContainers=INIT), view(ran("i1"), ran("i2"), runs(), sandbox=dead))
    assert (steps.drop_sandbox, steps.new_sandbox, steps.attempt) == (True, True, 1)
    assert started(steps) == [("i1", 1)]


def test_a_new_sandbox_does_not_shorten_the_wait() -> None:
    waits = {"main": Waited(10.0, 60.0)}
    failed = ran(finished_at=98.0, sandbox_id="old")
    steps = decide(pod(), view(failed, sandbox=SandboxView("old", ready=False)), waits=waits)
    assert (steps.new_sandbox, steps.start, steps.look_again) == (True, (), 108.0)
    assert steps.waiting[0].reason == "CrashLoopBackOff"
    steps = decide(pod(), view(failed, sandbox=SandboxView("sb", ips=("10.0.0.5",))), waits=waits)
    assert (steps.start, steps.look_again) == ((), 108.0)
    steps = decide(pod(), view(ran(finished_at=89.0, sandbox_id="old")), waits=waits)
    assert started(steps) == [("main", 1)]


def test_what_succeeded_is_not_run_again_in_a_new_sandbox() -> None:
    dead = SandboxView("sb", ready=False)
    the_pod = pod([{"name": "a"}, {"name": "b"}], restartPolicy="OnFailure")
    steps = decide(the_pod, view(ran("a", 0), ran("b", 137), sandbox=dead))
    assert started(steps) == [("b", 1)]


def test_a_pod_that_never_restarts_ends_with_its_sandbox() -> None:
    dead = SandboxView("sb", ready=False)
    steps = decide(pod(restartPolicy="Never"), view(runs(), sandbox=dead))
    assert (steps.drop_sandbox, steps.new_sandbox, steps.finished) == (True, False, False)
    assert decide(pod(restartPolicy="Never"), view(ran(code=137), sandbox=dead)).finished


def test_a_sandbox_without_an_address_is_no_use() -> None:
    assert decide(pod(), view(sandbox=SandboxView("sb"))).new_sandbox
    host = SandboxView("sb", host_network=True)
    assert not decide(pod(hostNetwork=True), view(runs(), sandbox=host)).new_sandbox


def test_a_failed_init_container_ends_a_pod_that_never_restarts() -> None:
    the_pod = pod(initContainers=INIT, restartPolicy="Never")
    assert decide(the_pod, view(ran("i1", 1))).finished


def test_a_pod_whose_sidecar_still_runs_is_finished() -> None:
    the_pod = pod(initContainers=SIDE, restartPolicy="Never")
    assert decide(the_pod, view(runs("side"), ran())).finished


def test_what_could_not_be_started_is_held() -> None:
    held = {"main": Waiting("main", "ErrImagePull", "no", 105.0)}
    steps = decide(pod(), view(), held=held)
    assert (steps.start, steps.waiting, steps.look_again) == ((), (held["main"],), 105.0)
    late = {"main": Waiting("main", "ErrImagePull", "no", 99.0)}
    assert started(decide(pod(), view(), held=late)) == [("main", 0)]


def test_a_container_left_created_or_lost_is_replaced() -> None:
    created = runs()
    created.state = State.CREATED
    steps = decide(pod(), view(created))
    assert [stop.id for stop in steps.stop] == ["main-0"]
    assert started(steps) == [("main", 1)]


def test_ephemeral_containers_start_once() -> None:
    the_pod = pod(ephemeralContainers=[{"name": "debug", "image": "x"}])
    assert started(decide(the_pod, view(runs()))) == [("debug", 0)]
    assert decide(the_pod, view(runs(), ran("debug", 1))) == Plan()


def test_of_each_container_one_ended_try_is_kept() -> None:
    tries = [ran(restarts=n, created_at=float(n)) for n in range(3)]
    steps = decide(pod(), view(*tries, runs(restarts=3)))
    assert steps.remove == ("main-1", "main-0")
    assert decide(pod(restartPolicy="Never"), view(*tries)).remove == ()


def test_waits_double_up_to_five_minutes_and_are_forgiven() -> None:
    entry = None
    delays = []
    for number in range(8):
        entry = after_start(entry, float(number))
        delays.append(entry.delay)
    assert delays == [10, 20, 40, 80, 160, 300, 300, 300]
    assert remaining(entry, ended=100.0, now=150.0) == 250.0
    assert remaining(entry, ended=1000.0, now=1000.0) == 0.0
    assert after_start(entry, 1000.0).delay == 10.0
    assert [spoken(s) for s in (10, 80, 300)] == ["10s", "1m20s", "5m0s"]
