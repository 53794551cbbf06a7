"""RollingUpdate: grow the new, shrink the old, within bounds at every moment.

In:   the new ReplicaSet, the old ones, the bounds.
Out:  changed sizes.
By:   deployment.plan. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.controllers.deployment.sizes import active, oldest_first, total

if TYPE_CHECKING:
    from kybern.controllers.deployment.sizes import Bounds, Member


def roll(new: Member, old: list[Member], bounds: Bounds) -> None:
    """Take the next step from old to new."""
    new.replicas = size_of_new(new, old, bounds)
    _shrink(new, active(old), bounds)


def size_of_new(new: Member, old: list[Member], bounds: Bounds) -> int:
    """Return how big the new one may be: what is wanted, as far as the surge allows."""
    if new.replicas >= bounds.desired:
        return bounds.desired
    room = bounds.maximum - total(old) - new.replicas
    return new.replicas + max(0, min(room, bounds.desired - new.replicas))


def _shrink(new: Member, old: list[Member], bounds: Bounds) -> None:
    everything = total(old) + new.replicas
    # Pods of the new one that are not available yet must not be counted on.
    removable = everything - bounds.minimum - (new.replicas - new.available)
    if removable <= 0:
        return
    removable -= _remove_unhealthy(old, removable)
    available = sum(member.available for member in old) + new.available
    _remove(old, min(removable, available - bounds.minimum))


def _remove_unhealthy(old: list[Member], most: int) -> int:
    """Remove pods that serve nobody, so that a broken rollout never stands in a new one's way."""
    removed = 0
    for member in oldest_first(old):
        step = min(most - removed, member.replicas - member.available)
        member.replicas -= step
        removed += step
    return removed


def _remove(old: list[Member], most: int) -> None:
    for member in oldest_first(old):
        step = max(0, min(most, member.replicas))
        member.replicas -= step
        most -= step
