"""A Deployment changes its size: who gets how much of it.

In:   the ReplicaSets, the bounds of the new size.
Out:  changed sizes and annotations.
By:   deployment.plan, outside of rollouts and when one is paused. Pure.

In the middle of a rollout the change is spread in proportion, so that scaling does not speed the
rollout up.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from kybern.controllers.deployment.sizes import (
    DESIRED,
    MAXIMUM,
    active,
    annotate_sizes,
    total,
)

if TYPE_CHECKING:
    from kybern.controllers.deployment.sizes import Bounds, Member


def is_scaling(members: list[Member], desired: int) -> bool:
    """Whether the sizes there are were chosen for another size of the Deployment."""
    return any(
        (noted := _number(member.annotation(DESIRED))) is not None and noted != desired
        for member in active(members)
    )


def scale(
    new: Member | None, old: list[Member], bounds: Bounds, recorded: int, *, rolling: bool
) -> None:
    """Spread the new size.

    Args:
        new: the ReplicaSet of the current template.
        old: the others.
        bounds: of the new size.
        recorded: `status.replicas`, for ReplicaSets that do not say what they were part of.
        rolling: whether old and new may be side by side.
    """
    only = _only_one_that_matters(new, old)
    if only is not None:
        only.replicas = bounds.desired
        annotate_sizes(only, bounds)
        return
    if new is not None and _is_saturated(new, bounds.desired):
        for member in active(old):
            member.replicas = 0
            annotate_sizes(member, bounds)
        return
    if rolling:
        _spread(active([*old, *([new] if new is not None else ())]), bounds, recorded)


def _only_one_that_matters(new: Member | None, old: list[Member]) -> Member | None:
    running = active([*old, *([new] if new is not None else ())])
    if len(running) > 1:
        return None
    if running:
        return running[0]
    if new is not None:
        return new
    return max(old, key=lambda member: (member.created, member.name), default=None)


def _is_saturated(new: Member, desired: int) -> bool:
    available = new.replica_set.status.availableReplicas or 0
    noted = _number(new.annotation(DESIRED))
    return noted == desired and new.replicas == desired and available == desired


def _spread(members: list[Member], bounds: Bounds, recorded: int) -> None:
    allowed = bounds.maximum if bounds.desired > 0 else 0
    to_add = allowed - total(members)
    newest_first = sorted(members, key=lambda m: (m.created, m.name), reverse=to_add > 0)
    biggest_first = sorted(newest_first, key=lambda m: -m.replicas)
    added = 0
    for member in biggest_first:
        share = _share(member, bounds, recorded, to_add, added)
        member.replicas += share
        added += share
    if biggest_first and to_add:
        first = biggest_first[0]  # what rounding left over goes to the biggest
        first.replicas = max(0, first.replicas + to_add - added)
    for member in members:
        annotate_sizes(member, bounds)


def _share(member: Member, bounds: Bounds, recorded: int, to_add: int, added: int) -> int:
    left = to_add - added
    if member.replicas == 0 or left == 0:
        return 0
    if bounds.desired == 0:
        fraction = -member.replicas
    else:
        before = _number(member.annotation(MAXIMUM)) or recorded or bounds.maximum
        fraction = math.floor(member.replicas * bounds.maximum / before + 0.5) - member.replicas
    return min(fraction, left) if to_add > 0 else max(fraction, left)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None
