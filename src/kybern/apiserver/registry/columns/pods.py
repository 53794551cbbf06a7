"""The row of a pod.

In:   a Pod.
Out:  how many containers are ready, one word for what it does, and how often it was restarted.
By:   all.py. Source of the rules: upstream's pkg/printers/internalversion, printPod.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from kybern.api.core.pods import condition
from kybern.apiserver.registry.columns import words
from kybern.apiserver.registry.columns.layout import AGE
from kybern.lib.clock import parse_rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.api.core.v1 import ContainerState, ContainerStatus, Pod

NAMES = "Name  Ready  Status  Restarts  Age|IP  Node  Nominated Node  Readiness Gates"


class Summary(NamedTuple):
    """What the containers add up to."""

    reason: str
    ready: int
    total: int
    restarts: int
    last_restart: str


def cells(pod: Pod) -> list[Any]:
    """Return the cells of a pod."""
    summary = summarise(pod)
    return [
        pod.metadata.name or "",
        f"{summary.ready}/{summary.total}",
        summary.reason,
        _restarts(summary),
        AGE,
        _address(pod),
        pod.spec.nodeName or words.NONE,
        pod.status.nominatedNodeName or words.NONE,
        _gates(pod),
    ]


def summarise(pod: Pod) -> Summary:
    """Return the word for a pod's state and the counts of its containers."""
    sidecars = {c.name for c in pod.spec.initContainers or () if c.restartPolicy == "Always"}
    total = len(pod.spec.containers or ()) + len(sidecars)
    initial = _initialising(pod, sidecars, total)
    summary = initial
    if not initial.reason or _is_true(pod, "Initialized"):
        summary = _running(pod, initial, sidecars)
    if pod.metadata.deletionTimestamp:
        phase = pod.status.phase
        if pod.status.reason == "NodeLost":
            summary = summary._replace(reason="Unknown")
        elif phase not in ("Succeeded", "Failed"):
            summary = summary._replace(reason="Terminating")
    return summary


def _initialising(pod: Pod, sidecars: set[str], total: int) -> Summary:
    """Go through the init containers; the reason is "" when they have all done their part."""
    ready = restarts = 0
    last = ""
    for index, status in enumerate(pod.status.initContainerStatuses or ()):
        restarts += status.restartCount
        last = max(last, _last_end(status))
        state = status.state
        if state and state.terminated and state.terminated.exitCode == 0:
            continue
        if status.name in sidecars and status.started:
            ready += status.ready
            continue
        reason = _init_reason(state, index, len(pod.spec.initContainers or ()))
        return Summary(reason, ready, total, restarts, last)
    return Summary("", ready, total, restarts, last)


def _init_reason(state: ContainerState | None, index: int, count: int) -> str:
    if state and state.terminated:
        return f"Init:{_ended(state)}"
    waiting = state.waiting.reason if state and state.waiting else ""
    if waiting and waiting != "PodInitializing":
        return f"Init:{waiting}"
    return f"Init:{index}/{count}"


def _running(pod: Pod, initial: Summary, sidecars: set[str]) -> Summary:
    statuses = pod.status.initContainerStatuses or ()
    kept = [s for s in statuses if s.name in sidecars]
    restarts = sum(s.restartCount for s in kept)
    last = max((_last_end(s) for s in kept), default="")
    reason, ready, running = _own_reason(pod), initial.ready, False
    for status in reversed(pod.status.containerStatuses or ()):
        restarts += status.restartCount
        last = max(last, _last_end(status))
        state = status.state
        if state and state.waiting and state.waiting.reason:
            reason = state.waiting.reason
        elif state and state.terminated:
            reason = _ended(state)
        elif status.ready and state and state.running:
            running = True
            ready += 1
    if reason == "Completed" and running:
        reason = "Running" if _is_true(pod, "Ready") else "NotReady"
    return Summary(reason, ready, initial.total, restarts, last)


def _own_reason(pod: Pod) -> str:
    scheduled = condition(pod, "PodScheduled")
    if scheduled is not None and scheduled.reason == "SchedulingGated":
        return "SchedulingGated"
    return pod.status.reason or pod.status.phase or ""


def _ended(state: ContainerState) -> str:
    ended = state.terminated
    if ended is None:
        return ""
    if ended.reason:
        return ended.reason
    return f"Signal:{ended.signal}" if ended.signal else f"ExitCode:{ended.exitCode}"


def _last_end(status: ContainerStatus) -> str:
    ended = status.lastState.terminated if status.lastState else None
    return (ended.finishedAt or "") if ended else ""


def _restarts(summary: Summary) -> str | Callable[[float], str]:
    if not summary.restarts or not summary.last_restart:
        return str(summary.restarts)
    ended = parse_rfc3339(summary.last_restart)
    return lambda now: f"{summary.restarts} ({words.duration(now - ended)} ago)"


def _is_true(pod: Pod, kind: str) -> bool:
    found = condition(pod, kind)
    return found is not None and found.status == "True"


def _address(pod: Pod) -> str:
    addresses = pod.status.podIPs or ()
    return (addresses[0].ip if addresses else pod.status.podIP) or words.NONE


def _gates(pod: Pod) -> str:
    gates = pod.spec.readinessGates or ()
    if not gates:
        return words.NONE
    true = sum(_is_true(pod, gate.conditionType) for gate in gates)
    return f"{true}/{len(gates)}"
