"""How big things are and may be, while a plan is being made.

In:   a Deployment and its ReplicaSets.
Out:  `Member`s whose sizes the plan changes, and the bounds a rollout keeps to.
By:   the other files here. Pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kybern.api.decimals import natural

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.api.apps.v1 import Deployment, ReplicaSet

DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"


@dataclass(slots=True, eq=False)
class Member:
    """A ReplicaSet with the size it is to get.

    `before` is the size it has; it differs from `replicas` once the plan has changed it.
    """

    replica_set: ReplicaSet
    replicas: int
    before: int
    annotations: dict[str, str] = field(default_factory=dict)
    min_ready_seconds: int | None = None

    @property
    def name(self) -> str:
        """The ReplicaSet's name."""
        return self.replica_set.metadata.name or ""

    @property
    def created(self) -> str:
        """When it was created, in a form that sorts."""
        return self.replica_set.metadata.creationTimestamp or "9999"

    @property
    def available(self) -> int:
        """How many available pods it will keep: its status may not know of a scale-down yet."""
        return min(self.replica_set.status.availableReplicas or 0, self.replicas)

    def annotation(self, key: str) -> str | None:
        """An annotation, as it is going to be."""
        have = self.replica_set.metadata.annotations or {}
        return self.annotations.get(key, have.get(key))

    def annotate(self, key: str, value: str) -> None:
        """Set an annotation, unless it is that already."""
        if self.annotation(key) != value:
            self.annotations[key] = value


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a rollout may do: `desired` pods, at most `maximum`, at least `minimum` available."""

    desired: int
    surge: int
    unavailable: int

    @property
    def maximum(self) -> int:
        """Pods there may be in total."""
        return self.desired + self.surge

    @property
    def minimum(self) -> int:
        """Pods that have to be available."""
        return self.desired - self.unavailable


def desired(deployment: Deployment) -> int:
    """Return the number of pods wanted."""
    return 1 if deployment.spec.replicas is None else deployment.spec.replicas


def is_rolling(deployment: Deployment) -> bool:
    """Whether old and new run side by side."""
    strategy = deployment.spec.strategy
    return strategy is None or strategy.type != "Recreate"


def bounds(deployment: Deployment) -> Bounds:
    """Return what the strategy allows; surge is rounded up, unavailability down, never both 0."""
    total = desired(deployment)
    if not is_rolling(deployment):
        return Bounds(total, 0, 0)
    strategy = deployment.spec.strategy
    rolling = strategy.rollingUpdate if strategy is not None else None
    surge = _share(rolling.maxSurge if rolling else None, total, up=True)
    unavailable = _share(rolling.maxUnavailable if rolling else None, total, up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return Bounds(total, surge, min(unavailable, total))


def total(members: Iterable[Member]) -> int:
    """Return how many pods these are to have."""
    return sum(member.replicas for member in members)


def active(members: Iterable[Member]) -> list[Member]:
    """Return those that are to have pods."""
    return [member for member in members if member.replicas > 0]


def oldest_first(members: Iterable[Member]) -> list[Member]:
    """Order by age."""
    return sorted(members, key=lambda member: (member.created, member.name))


def annotate_sizes(member: Member, limits: Bounds) -> None:
    """Write down for which size of the Deployment this size was chosen."""
    member.annotate(DESIRED, str(limits.desired))
    member.annotate(MAXIMUM, str(limits.maximum))


def _share(value: int | str | None, whole: int, *, up: bool) -> int:
    if value is None:
        return 0
    if isinstance(value, int):
        return value
    text = value.removesuffix("%")
    percent = natural(text)
    if text == value or percent is None:
        return 0  # what validation lets through is no number that makes sense
    exact = percent * whole / 100
    return math.ceil(exact) if up else math.floor(exact)
