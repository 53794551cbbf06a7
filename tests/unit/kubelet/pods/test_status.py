"""Statuses that follow from what containers do."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.kubelet.making import pod, ran, runs, view

from kybern.api.core.v1 import ContainerState, ContainerStateTerminated, ContainerStatus, PodStatus
from kybern.kubelet.pods.plan import Waiting
from kybern.kubelet.pods.status import Look, Outcome, pod_status
from kybern.kubelet.pods.view import SandboxView

NOW = 1_767_225_600.0
ALL = frozenset({"main", "a", "b", "side"})
INIT = [{"name": "i1", "image": "x"}]


def look(a_pod: Any, a_view: Any, **more: Any) -> PodStatus:
    more.setdefault("started", ALL)
    more.setdefault("ready", ALL)
    return pod_status(Look(a_pod, a_view, now=NOW, host_ips=("192.0.2.1",), **more))


def found(status: PodStatus) -> dict[str, tuple[str, str | None]]:
    return {c.type: (c.status, c.reason) for c in status.conditions or ()}


TWO = [{"name": "a"}, {"name": "b"}]


@pytest.mark.parametrize(
    ("policy", "containers", "expected"),
    [
        ("Always", [], "Pending"),
        ("Always", [runs("a")], "Pending"),
        ("Always", [runs("a"), runs("b")], "Running"),
        ("Always", [runs("a"), ran("b")], "Running"),
        ("Always", [ran("a"), ran("b")], "Running"),
        ("OnFailure", [ran("a"), ran("b")], "Succeeded"),
        ("OnFailure", [ran("a"), ran("b", 1)], "Running"),
        ("Never", [ran("a"), ran("b")], "Succeeded"),
        ("Never", [ran("a"), ran("b", 1)], "Failed"),
        ("Never", [runs("a"), ran("b", 1)], "Running"),
    ],
)
def test_phases(policy: str, containers: Any, expected: str) -> None:
    assert look(pod(TWO, restartPolicy=policy), view(*containers)).phase == expected


@pytest.mark.parametrize(
    ("containers", "expected"),
    [([ran("a"), ran("b")], "Succeeded"), ([ran("a"), ran("b", 143)], "Failed"), ([], "Failed")],
)
def test_phases_at_the_end_of_a_deleted_pod(containers: Any, expected: str) -> None:
    status = look(pod(TWO), view(*containers), terminating=True, ended=True)
    assert status.phase == expected


def test_a_pod_is_not_over_while_a_sidecar_runs() -> None:
    side = [{"name": "side", "image": "x", "restartPolicy": "Always"}]
    the_pod = pod(initContainers=side, restartPolicy="Never")
    assert look(the_pod, view(runs("side"), ran()), terminating=True).phase == "Running"
    assert look(the_pod, view(ran("side"), ran()), terminating=True).phase == "Succeeded"


def test_a_phase_that_is_over_stays() -> None:
    the_pod = pod(status={"phase": "Failed", "reason": "Evicted"})
    assert look(the_pod, view(runs())).phase == "Failed"


def test_a_pod_before_its_containers() -> None:
    status = look(pod(), view(sandbox=None))
    [container] = status.containerStatuses or []
    assert container.state is not None
    assert container.state.waiting is not None
    assert container.state.waiting.reason == "ContainerCreating"
    assert found(status) == {
        "PodReadyToStartContainers": ("False", None),
        "Initialized": ("True", None),
        "Ready": ("False", "ContainersNotReady"),
        "ContainersReady": ("False", "ContainersNotReady"),
        "PodScheduled": ("True", None),
    }
    assert status.startTime == "1970-01-01T00:00:00Z"


def test_a_pod_that_initialises() -> None:
    status = look(pod(initContainers=INIT), view(runs("i1")))
    assert found(status)["Initialized"] == ("False", "ContainersNotInitialized")
    condition = next(c for c in status.conditions or () if c.type == "Initialized")
    assert condition.message == "containers with incomplete status: [i1]"
    [container] = status.containerStatuses or []
    assert container.state is not None
    assert container.state.waiting is not None
    assert container.state.waiting.reason == "PodInitializing"


def test_a_container_in_its_restart_wait() -> None:
    held = {"main": Waiting("main", "CrashLoopBackOff", "back-off 10s", 5.0)}
    last = ran(code=2, message="why", id="c1")
    [container] = look(pod(), view(last), waiting=held).containerStatuses or []
    assert container.state is not None
    assert container.state.waiting is not None
    assert container.state.waiting.reason == "CrashLoopBackOff"
    assert container.lastState is not None
    ended = container.lastState.terminated
    assert ended is not None
    assert (ended.exitCode, ended.reason, ended.message) == (2, "Error", "why")
    assert ended.containerID == "containerd://c1"


def test_what_could_not_be_started_started_when_time_began() -> None:
    never = ran(code=128, started_at=0.0)
    [container] = look(pod(restartPolicy="Never"), view(never)).containerStatuses or []
    assert container.state is not None
    assert container.state.terminated is not None
    assert container.state.terminated.startedAt == "1970-01-01T00:00:00Z"


def test_the_try_before_is_the_last_state() -> None:
    now = runs(restarts=1, id="c2")
    [container] = look(pod(), view(ran(code=9, id="c1"), now)).containerStatuses or []
    assert container.restartCount == 1
    assert container.lastState is not None
    assert container.lastState.terminated is not None
    assert container.lastState.terminated.exitCode == 9


def test_a_last_state_the_runtime_has_forgotten_is_kept() -> None:
    old = ContainerStatus(
        name="main",
        restartCount=1,
        lastState=ContainerState(terminated=ContainerStateTerminated(exitCode=9)),
    )
    before = PodStatus(containerStatuses=[old])
    [container] = look(pod(), view(runs(restarts=1)), before=before).containerStatuses or []
    assert container.lastState == old.lastState


def test_readiness_needs_a_start_and_a_passing_probe() -> None:
    def seen(**more: Any) -> tuple[bool | None, bool]:
        [container] = look(pod(), view(runs()), **more).containerStatuses or []
        return container.started, container.ready

    assert seen() == (True, True)
    assert seen(ready=frozenset()) == (True, False)
    assert seen(started=frozenset()) == (False, False)


def test_addresses_are_the_pods_or_the_nodes() -> None:
    status = look(pod(), view(runs()))
    assert (status.podIP, status.hostIP) == ("10.0.0.5", "192.0.2.1")
    host = SandboxView("sb", host_network=True)
    status = look(pod(hostNetwork=True), view(runs(), sandbox=host))
    assert (status.podIP, status.hostIP) == ("192.0.2.1", "192.0.2.1")


def test_conditions_keep_their_time_while_nothing_changes() -> None:
    first = look(pod(), view(runs()))
    later = pod_status(Look(pod(), view(runs()), before=first, started=ALL, now=NOW + 60))
    times = {c.type: c.lastTransitionTime for c in later.conditions or ()}
    assert times["Initialized"] == "2026-01-01T00:00:00Z"
    assert times["Ready"] == "2026-01-01T00:01:00Z"


def test_a_refused_pod_has_nothing_but_the_refusal() -> None:
    refusal = Outcome("Failed", "OutOfcpu", "Pod was rejected: …")
    status = look(pod(), view(sandbox=None), outcome=refusal)
    assert (status.phase, status.reason) == ("Failed", "OutOfcpu")
    assert status.containerStatuses is None


def test_a_pod_over_long_ago_keeps_its_status() -> None:
    before = {"phase": "Succeeded", "podIP": "10.0.0.9"}
    the_pod = pod(status=before)
    assert look(the_pod, view(sandbox=None)) == the_pod.status


def test_a_container_nobody_can_find_is_reported_as_lost() -> None:
    old = ContainerStatus(name="main", containerID="containerd://x", restartCount=4)
    status = look(
        pod(), view(), before=PodStatus(containerStatuses=[old]), terminating=True, ended=True
    )
    [container] = status.containerStatuses or []
    assert container.state is not None
    assert container.state.terminated is not None
    assert container.state.terminated.reason == "ContainerStatusUnknown"
    assert container.restartCount == 4
