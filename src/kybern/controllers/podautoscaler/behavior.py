"""Not too much, and not too fast.

In:   the number of replicas the metrics call for, and what was called for and done before.
Out:  the number to scale to, and the conditions that say what held it back.
By:   podautoscaler.plan. Pure but for `History`, which it adds to. Source: upstream's
      `podautoscaler/horizontal.go`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from kybern.api.autoscaling.v2 import HorizontalPodAutoscalerBehavior, HPAScalingRules

FACTOR, AT_LEAST = 2.0, 4.0
"""Without rules of its own an autoscaler goes up to double, or to four."""


class At(NamedTuple):
    """A number and when it was."""

    time: float
    number: int


@dataclass(slots=True)
class History:
    """What one autoscaler was to do and did, in order of time."""

    recommended: list[At] = field(default_factory=list)
    added: list[At] = field(default_factory=list)
    removed: list[At] = field(default_factory=list)

    def scaled(self, before: int, after: int, now: float) -> None:
        """Note a change that was made."""
        changes = self.added if after > before else self.removed
        changes.append(At(now, abs(after - before)))

    def forget(self, longest: float, now: float) -> None:
        """Drop what is older than anybody looks back."""
        for entries in (self.recommended, self.added, self.removed):
            while entries and entries[0].time < now - longest:
                del entries[0]

    def change(self, seconds: float, now: float) -> int:
        """Return how many replicas more there are than so many seconds ago, by our own doing."""
        return _since(self.added, seconds, now) - _since(self.removed, seconds, now)


class Verdict(NamedTuple):
    """What comes of a recommendation: two conditions beside the number."""

    replicas: int
    able: tuple[str, str]
    """Reason and message of AbleToScale."""
    limited: bool
    why: tuple[str, str]
    """Reason and message of ScalingLimited."""


UP_STABILIZED = (
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
)
DOWN_STABILIZED = (
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent "
    "recommendation",
)
READY = ("ReadyForNewScale", "recommended size matches current size")
WITHIN = ("DesiredWithinRange", "the desired count is within the acceptable range")
TOO_MANY = ("TooManyReplicas", "the desired replica count is more than the maximum replica count")
TOO_FEW = ("TooFewReplicas", "the desired replica count is less than the minimum replica count")
UP_LIMIT = (
    "ScaleUpLimit",
    "the desired replica count is increasing faster than the maximum scale rate",
)
DOWN_LIMIT = (
    "ScaleDownLimit",
    "the desired replica count is decreasing faster than the maximum scale rate",
)


class Bounds(NamedTuple):
    """What an autoscaler may do."""

    least: int
    most: int
    downscale_window: float
    """Seconds of stabilisation before going down, where the autoscaler does not say."""
    behavior: HorizontalPodAutoscalerBehavior | None


def settle(current: int, wanted: int, bounds: Bounds, history: History, now: float) -> Verdict:
    """Return what comes of a recommendation, and remember it."""
    behavior = bounds.behavior
    up = behavior.scaleUp if behavior is not None else None
    down = behavior.scaleDown if behavior is not None else None
    if behavior is None or up is None or down is None:
        history.forget(bounds.downscale_window, now)
        stable = max([wanted, *(each.number for each in history.recommended)])
        held_back = DOWN_STABILIZED
        number, why = _plain_limits(current, stable, bounds)
    else:
        stable = _stabilised(current, wanted, up, down, bounds, history, now)
        held_back = UP_STABILIZED if wanted >= current else DOWN_STABILIZED
        number, why = _ruled_limits(current, stable, up, down, bounds, history, now)
        longest = max(_longest(up), _longest(down), bounds.downscale_window)
        history.forget(longest, now)
    history.recommended.append(At(now, wanted))
    able = READY if stable == wanted else held_back
    return Verdict(number, able, number != stable, why)


def _plain_limits(current: int, wanted: int, bounds: Bounds) -> tuple[int, tuple[str, str]]:
    limit = int(max(FACTOR * current, AT_LEAST))
    most, why = (limit, UP_LIMIT) if bounds.most > limit else (bounds.most, TOO_MANY)
    if wanted < bounds.least:
        return bounds.least, TOO_FEW
    return (most, why) if wanted > most else (wanted, WITHIN)


def _stabilised(
    current: int,
    wanted: int,
    up: HPAScalingRules,
    down: HPAScalingRules,
    bounds: Bounds,
    history: History,
    now: float,
) -> int:
    """Return the number that all recommendations of the window agree to move to at least."""
    up_window = up.stabilizationWindowSeconds or 0
    down_window = down.stabilizationWindowSeconds
    if down_window is None:
        down_window = int(bounds.downscale_window)
    lowest = min([wanted, *_recent(history, up_window, now)])
    highest = max([wanted, *_recent(history, down_window, now)])
    return min(max(current, lowest), highest)


def _ruled_limits(
    current: int,
    wanted: int,
    up: HPAScalingRules,
    down: HPAScalingRules,
    bounds: Bounds,
    history: History,
    now: float,
) -> tuple[int, tuple[str, str]]:
    if wanted > current:
        limit = max(current, _up_limit(current, up, history, now))
        most, why = (limit, UP_LIMIT) if bounds.most > limit else (bounds.most, TOO_MANY)
        if wanted > most:
            return most, why
    elif wanted < current:
        limit = min(current, _down_limit(current, down, history, now))
        least, why = (limit, DOWN_LIMIT) if bounds.least < limit else (bounds.least, TOO_FEW)
        if wanted < least:
            return least, why
    return wanted, WITHIN


def _up_limit(current: int, rules: HPAScalingRules, history: History, now: float) -> int:
    if rules.selectPolicy == "Disabled":
        return current
    limits = []
    for policy in rules.policies or ():
        start = current - history.change(policy.periodSeconds, now)
        if policy.type == "Pods":
            limits.append(start + policy.value)
        else:
            limits.append(math.ceil(start * (1 + policy.value / 100)))
    return (min if rules.selectPolicy == "Min" else max)(limits, default=current)


def _down_limit(current: int, rules: HPAScalingRules, history: History, now: float) -> int:
    if rules.selectPolicy == "Disabled":
        return current
    limits = []
    for policy in rules.policies or ():
        start = current - history.change(policy.periodSeconds, now)
        if policy.type == "Pods":
            limits.append(start - policy.value)
        else:
            limits.append(int(start * (1 - policy.value / 100)))
    return (max if rules.selectPolicy == "Min" else min)(limits, default=current)


def _recent(history: History, seconds: float, now: float) -> list[int]:
    return [each.number for each in history.recommended if each.time > now - seconds]


def _since(entries: list[At], seconds: float, now: float) -> int:
    return sum(each.number for each in entries if each.time > now - seconds)


def _longest(rules: HPAScalingRules) -> float:
    periods = [policy.periodSeconds for policy in rules.policies or ()]
    return max([*periods, rules.stabilizationWindowSeconds or 0])
