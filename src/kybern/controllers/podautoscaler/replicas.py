"""How many replicas a metric calls for.

In:   what was measured, what is aimed at, the pods.
Out:  a Proposal, or `Unusable` when the measurements do not allow one.
By:   podautoscaler.plan. Pure. Source: upstream's `podautoscaler/replica_calculator.go`.

Amounts are thousandths: of a core, of a byte, of a request per second.

A pod that has only just started, or has no measurement, must not drive the number: going up it
counts as idle, going down as just what is aimed at. When that turns the direction, nothing changes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from kybern.api.core import pods as ask
from kybern.api.quantity import to_milli
from kybern.lib.clock import parse_rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kybern.api.core.v1 import Container, Pod


class Unusable(Exception):
    """There is no telling how many replicas are needed; the message says why."""


class Reading(NamedTuple):
    """What was measured of one pod."""

    value: int
    at: float
    """Seconds since 1970."""
    window: float
    """Over how many seconds."""


class Proposal(NamedTuple):
    """What a metric calls for."""

    replicas: int
    average: int
    """What a pod uses on average."""
    utilization: int | None = None
    """The same in percent of what it requests."""


class Rules(NamedTuple):
    """How measurements are judged; times in seconds."""

    tolerance_up: float = 0.1
    tolerance_down: float = 0.1
    cpu_initialization: float = 300.0
    readiness_delay: float = 30.0

    def within(self, ratio: float) -> bool:
        """Say whether a ratio is close enough to 1 to leave things as they are."""
        return 1.0 - self.tolerance_down <= ratio <= 1.0 + self.tolerance_up


class Groups(NamedTuple):
    """Pods by what their measurements are worth."""

    ready: int
    measured: dict[str, int]
    unready: set[str]
    missing: set[str]


def by_pods(
    current: int,
    pods: Sequence[Pod],
    readings: Mapping[str, Reading],
    target: int,
    rules: Rules,
    now: float,
    *,
    cpu: bool = False,
) -> Proposal:
    """Return what an average per pod calls for: pods' own metrics, or resources by amount."""
    groups = _group(pods, readings, rules, now, cpu=cpu)

    def ratio(values: Mapping[str, int]) -> float:
        return sum(values.values()) / len(values) / target

    average = sum(groups.measured.values()) // len(groups.measured)
    wanted = _rebalanced(current, groups, ratio, lambda _: target, rules)
    return Proposal(wanted, average)


def by_utilization(
    current: int,
    pods: Sequence[Pod],
    readings: Mapping[str, Reading],
    target: int,
    resource: str,
    container: str,
    rules: Rules,
    now: float,
) -> Proposal:
    """Return what a percentage of the requests calls for.

    Args:
        current: how many replicas there are.
        pods: what the target selects.
        readings: by name of the pod.
        target: in percent.
        resource: `cpu` or `memory`.
        container: the one container that counts; "" for all.
        rules: how measurements are judged.
        now: in seconds since 1970.
    """
    groups = _group(pods, readings, rules, now, cpu=resource == "cpu")
    requests = {_name(pod): _request(pod, resource, container) for pod in pods}

    def percent(values: Mapping[str, int]) -> int:
        asked = sum(requests[name] for name in values)
        if not asked:
            raise Unusable("no metrics returned matched known pods")
        return sum(values.values()) * 100 // asked

    used = percent(groups.measured)
    average = sum(groups.measured.values()) // len(groups.measured)
    wanted = _rebalanced(
        current, groups, lambda values: percent(values) / target, requests.__getitem__, rules
    )
    return Proposal(wanted, average, used)


def by_value(current: int, pods: Sequence[Pod], value: int, target: int, rules: Rules) -> Proposal:
    """Return what one value calls for that all pods share: of an object, or from outside."""
    ratio = value / target
    if not current:  # from nothing to something, or not
        return Proposal(math.ceil(ratio), value)
    if rules.within(ratio):
        return Proposal(current, value)
    if not pods:
        raise Unusable("no pods returned by selector while calculating replica count")
    ready = sum(pod.status.phase == "Running" and ask.is_ready(pod) for pod in pods)
    return Proposal(math.ceil(ratio * ready), value)


def by_value_per_pod(running: int, value: int, target: int, rules: Rules) -> Proposal:
    """Return what one value calls for of which every pod is to have a share."""
    wanted = running
    if not running or not rules.within(value / (target * running)):
        wanted = math.ceil(value / target)
    return Proposal(wanted, math.ceil(value / running) if running else value)


def _group(
    pods: Sequence[Pod], readings: Mapping[str, Reading], rules: Rules, now: float, *, cpu: bool
) -> Groups:
    if not pods:
        raise Unusable("no pods returned by selector while calculating replica count")
    measured: dict[str, int] = {}
    unready: set[str] = set()
    missing: set[str] = set()
    for pod in pods:
        name = _name(pod)
        if pod.metadata.deletionTimestamp is not None or pod.status.phase == "Failed":
            continue
        reading = readings.get(name)
        if pod.status.phase == "Pending":
            unready.add(name)
        elif reading is None:
            missing.add(name)
        elif cpu and _is_starting(pod, reading, rules, now):
            unready.add(name)
        else:
            measured[name] = reading.value
    if not measured:
        raise Unusable("did not receive metrics for targeted pods (pods might be unready)")
    return Groups(len(measured), measured, unready, missing)


def _is_starting(pod: Pod, reading: Reading, rules: Rules, now: float) -> bool:
    """Say whether the CPU is that of a program which begins, and not of its work."""
    ready = ask.condition(pod, "Ready")
    if ready is None or pod.status.startTime is None or ready.lastTransitionTime is None:
        return True
    started, changed = parse_rfc3339(pod.status.startTime), parse_rfc3339(ready.lastTransitionTime)
    if started + rules.cpu_initialization > now:
        return ready.status == "False" or reading.at < changed + reading.window
    return ready.status == "False" and started + rules.readiness_delay > changed


def _rebalanced(
    current: int,
    groups: Groups,
    ratio: Callable[[Mapping[str, int]], float],
    aimed_at: Callable[[str], int],
    rules: Rules,
) -> int:
    first = ratio(groups.measured)
    with_unready = bool(groups.unready) and first > 1.0
    if not with_unready and not groups.missing:
        return current if rules.within(first) else math.ceil(first * groups.ready)
    values = dict(groups.measured)
    for name in groups.missing:
        values[name] = aimed_at(name) if first < 1.0 else 0
    if with_unready:
        values.update(dict.fromkeys(groups.unready, 0))
    second = ratio(values)
    if rules.within(second) or (first < 1.0 < second) or (first > 1.0 > second):
        return current
    wanted = math.ceil(second * len(values))
    if (second < 1.0 and wanted > current) or (second > 1.0 and wanted < current):
        return current
    return wanted


def _request(pod: Pod, resource: str, container: str) -> int:
    """Return what a pod, or one container of it, requests.

    Raises:
        Unusable: it does not say.
    """
    spec = pod.spec
    whole = (spec.resources and spec.resources.requests) or {}
    if not container and resource in whole:
        return to_milli(whole[resource])
    counted: list[Container] = [*spec.containers]
    counted += [each for each in spec.initContainers or () if ask.is_sidecar(each)]
    total = 0
    for each in counted:
        if container in ("", each.name):
            request = ask.requests_of(each).get(resource)
            if request is None:
                raise Unusable(
                    f"missing request for {resource} in container {each.name} of Pod {_name(pod)}"
                )
            total += to_milli(request)
    return total


def _name(pod: Pod) -> str:
    return pod.metadata.name or ""
