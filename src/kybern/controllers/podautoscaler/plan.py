"""What to do about one autoscaler, and what its status says.

In:   the autoscaler, its target's scale, what the metrics propose, its history.
Out:  a `Decision`: the number of replicas, the status, the event.
By:   podautoscaler.controller. Pure but for the history.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kybern.api import codec
from kybern.api.autoscaling.v2 import HorizontalPodAutoscalerCondition, MetricStatus
from kybern.controllers.podautoscaler.behavior import At, Bounds, settle
from kybern.lib.clock import rfc3339

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kybern.api.autoscaling.v2 import (
        HorizontalPodAutoscaler,
        HorizontalPodAutoscalerStatus,
    )
    from kybern.controllers.podautoscaler.behavior import History

ABLE, ACTIVE, LIMITED = "AbleToScale", "ScalingActive", "ScalingLimited"


class Measured(NamedTuple):
    """What one metric came to: a number of replicas, or why not."""

    name: str
    """As events call it: `cpu resource utilization (percentage of request)`."""
    replicas: int = 0
    status: MetricStatus | None = None
    reason: str = ""
    """Of the failure: `FailedGetResourceMetric`."""
    error: str = ""
    told: str = ""
    """The error as the event about the whole decision has it."""


class Decision(NamedTuple):
    """What is to be done."""

    replicas: int | None
    """The number to scale to; None: leave it."""
    status: HorizontalPodAutoscalerStatus
    why: str = ""
    """The reason as the event has it."""
    error: str = ""
    """What makes a decision impossible."""


class Status:
    """The status of an autoscaler in the making."""

    def __init__(self, autoscaler: HorizontalPodAutoscaler, now: float) -> None:
        self.now = now
        self.value = codec.clone(autoscaler.status)

    def say(self, kind: str, *, yes: bool, reason: str, message: str) -> None:
        """Set a condition."""
        status = str(yes)
        conditions = self.value.conditions = self.value.conditions or []
        for condition in conditions:
            if condition.type == kind:
                if condition.status != status:
                    condition.lastTransitionTime = rfc3339(self.now)
                condition.status, condition.reason, condition.message = status, reason, message
                return
        conditions.append(
            HorizontalPodAutoscalerCondition(
                type=kind, status=status, reason=reason, message=message,
                lastTransitionTime=rfc3339(self.now),
            )
        )  # fmt: skip


def bounds_of(autoscaler: HorizontalPodAutoscaler, downscale_window: float) -> Bounds:
    """Return what an autoscaler may do."""
    spec = autoscaler.spec
    least = 1 if spec.minReplicas is None else spec.minReplicas
    return Bounds(least, spec.maxReplicas, downscale_window, spec.behavior)


def without_metrics(current: int, bounds: Bounds, status: Status) -> Decision | None:
    """Decide what can be decided without looking at metrics; None: it takes them."""
    if not current and bounds.least:
        status.say(
            ACTIVE, yes=False, reason="ScalingDisabled",
            message="scaling is disabled since the replica count of the target is zero",
        )  # fmt: skip
        return _decided(current, current, [], status)
    if current > bounds.most:
        why = "Current number of replicas above Spec.MaxReplicas"
        return _decided(current, bounds.most, [], status, why)
    if current < bounds.least:
        why = "Current number of replicas below Spec.MinReplicas"
        return _decided(current, bounds.least, [], status, why)
    return None


def by_metrics(
    current: int,
    measured: Sequence[Measured],
    bounds: Bounds,
    history: History,
    status: Status,
) -> Decision:
    """Decide by what the metrics call for: the most that any of them does.

    Where some could not be had, the others may still add replicas, but not take any away.
    """
    good = [each for each in measured if not each.error]
    failed = [each for each in measured if each.error]
    wanted = max((each.replicas for each in good), default=0)
    if failed and (not good or wanted < current):
        first = failed[0]
        status.say(
            ACTIVE, yes=False, reason=first.reason,
            message=f"the HPA was unable to compute the replica count: {first.error}",
        )  # fmt: skip
        status.value.currentReplicas = current
        text = f"invalid metrics ({len(failed)} invalid out of {len(measured)}), first error is: "
        return Decision(None, status.value, error=text + (first.told or first.error))
    top = next(each for each in good if each.replicas == wanted)
    status.say(
        ACTIVE, yes=True, reason="ValidMetricFound",
        message=f"the HPA was able to successfully calculate a replica count from {top.name}",
    )  # fmt: skip
    if not history.recommended:  # after a start: nobody knows what was recommended before
        history.recommended.append(At(status.now, current))
    verdict = settle(current, wanted, bounds, history, status.now)
    status.say(ABLE, yes=True, reason=verdict.able[0], message=verdict.able[1])
    status.say(LIMITED, yes=verdict.limited, reason=verdict.why[0], message=verdict.why[1])
    why = f"{top.name} above target" if wanted > current else "All metrics below target"
    statuses = [each.status for each in good if each.status is not None]
    return _decided(current, verdict.replicas, statuses, status, why)


def _decided(
    current: int, wanted: int, metrics: list[MetricStatus], status: Status, why: str = ""
) -> Decision:
    value = status.value
    value.currentReplicas = current
    value.desiredReplicas = wanted
    value.currentMetrics = metrics or None
    if wanted == current:
        return Decision(None, value)
    value.lastScaleTime = rfc3339(status.now)
    return Decision(wanted, value, why)
