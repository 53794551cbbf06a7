"""How many pods may be taken away now.

In:   a PodDisruptionBudget, its pods, how many pods their controllers want, the time.
Out:  the budget's status, which pods were to go and did not, when to look again.
By:   disruption.controller. Pure. Source: upstream's `pkg/controller/disruption/disruption.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kybern.api import codec
from kybern.api.core import pods as ask
from kybern.api.meta.v1 import Condition
from kybern.controllers.runtime.shares import share
from kybern.lib.clock import parse_rfc3339, rfc3339

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kybern.api.core.v1 import Pod
    from kybern.api.policy.v1 import PodDisruptionBudget, PodDisruptionBudgetStatus

PATIENCE = 120.0  # seconds an evicted pod gets to show that it goes
ALLOWED = "DisruptionAllowed"
ENOUGH, TOO_FEW, FAILED = "SufficientPods", "InsufficientPods", "SyncFailed"


class Wanted(NamedTuple):
    """How many pods there should be, and how many of them healthy."""

    expected: int
    healthy: int


class Found(NamedTuple):
    """The outcome."""

    status: PodDisruptionBudgetStatus
    overdue: tuple[Pod, ...] = ()
    """Pods whose eviction was allowed, and which are still not going."""
    check_after: float | None = None
    """Seconds after which the next pod is overdue."""


def needs_scale(budget: PodDisruptionBudget) -> bool:
    """Say whether it matters how many pods the controllers want, not only how many there are."""
    return budget.spec.maxUnavailable is not None or isinstance(budget.spec.minAvailable, str)


def wanted(budget: PodDisruptionBudget, pods: int, scale: int) -> Wanted:
    """Return what a budget wants.

    Args:
        budget: the budget.
        pods: how many it selects.
        scale: how many their controllers want, where that matters.
    """
    spec = budget.spec
    if spec.maxUnavailable is not None:
        return Wanted(scale, max(0, scale - (share(spec.maxUnavailable, scale) or 0)))
    if isinstance(spec.minAvailable, str):
        return Wanted(scale, share(spec.minAvailable, scale) or 0)
    return Wanted(pods, spec.minAvailable or 0)


def judge(budget: PodDisruptionBudget, pods: Sequence[Pod], want: Wanted, now: float) -> Found:
    """Return the status of a budget."""
    status = codec.clone(budget.status)
    pending, overdue, check_after = _pending(budget, pods, now)
    healthy = sum(
        pod.metadata.deletionTimestamp is None
        and pod.metadata.name not in pending
        and ask.is_ready(pod)
        for pod in pods
    )
    allowed = max(0, healthy - want.healthy) if want.expected > 0 else 0
    status.currentHealthy = healthy
    status.desiredHealthy = want.healthy
    status.expectedPods = want.expected
    status.disruptionsAllowed = allowed
    status.disruptedPods = pending or None
    status.observedGeneration = budget.metadata.generation
    reason = ENOUGH if allowed else TOO_FEW
    _say(budget, status, Condition(type=ALLOWED, reason=reason, status=str(bool(allowed))), now)
    return Found(status, overdue, check_after)


def failed(budget: PodDisruptionBudget, why: str, now: float) -> PodDisruptionBudgetStatus:
    """Return the status when it cannot be found out how many pods there should be: none may go."""
    status = codec.clone(budget.status)
    status.disruptionsAllowed = 0
    status.observedGeneration = budget.metadata.generation
    _say(budget, status, Condition(type=ALLOWED, reason=FAILED, status="False", message=why), now)
    return status


def forgiven(pod: Pod, now: float) -> float | None:
    """Return in how many seconds a pod is no longer about to be disrupted; None: it never was.

    An eviction marks its pod before it deletes it. When the deletion never comes, the mark is
    taken off again.
    """
    mark = ask.condition(pod, "DisruptionTarget")
    if (
        mark is None
        or mark.status != "True"
        or mark.reason == "PreemptionByScheduler"
        or mark.lastTransitionTime is None
        or pod.metadata.deletionTimestamp is not None
        or ask.is_terminal(pod)
    ):
        return None
    return max(0.0, parse_rfc3339(mark.lastTransitionTime) + PATIENCE - now)


def _pending(
    budget: PodDisruptionBudget, pods: Sequence[Pod], now: float
) -> tuple[dict[str, str], tuple[Pod, ...], float | None]:
    """Return the pods that were evicted and do not show it yet, and since when."""
    noted = budget.status.disruptedPods or {}
    pending: dict[str, str] = {}
    overdue, waits = [], []
    for pod in pods:
        name = pod.metadata.name or ""
        since = noted.get(name)
        if since is None or pod.metadata.deletionTimestamp is not None:
            continue
        left = parse_rfc3339(since) + PATIENCE - now
        if left <= 0:
            overdue.append(pod)
        else:
            pending[name] = since
            waits.append(left)
    return pending, tuple(overdue), min(waits, default=None)


def _say(
    budget: PodDisruptionBudget, status: PodDisruptionBudgetStatus, new: Condition, now: float
) -> None:
    new.observedGeneration = budget.metadata.generation
    new.lastTransitionTime = rfc3339(now)
    conditions = status.conditions or []
    for index, old in enumerate(conditions):
        if old.type == new.type:
            if old.status == new.status:
                new.lastTransitionTime = old.lastTransitionTime
            conditions[index] = new
            break
    else:
        conditions.append(new)
    status.conditions = conditions
