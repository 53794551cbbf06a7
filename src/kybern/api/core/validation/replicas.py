"""Counts of replicas, as the statuses of controllers hold them.

In:   a status with `replicas`, `readyReplicas` and the like.
Out:  problems appended to the list given.
By:   `replication_controllers`, the apps group.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kybern.api.field_path import Problem, invalid
from kybern.api.meta.validation import STATUS, check_not_negative

if TYPE_CHECKING:
    from collections.abc import Iterable

PARTS: Final = ("fullyLabeledReplicas", "readyReplicas", "availableReplicas")


def check_replica_counts(
    status: Any, out: list[Problem], parts: Iterable[str] = PARTS
) -> None:
    """No count is negative; no part exceeds the whole; what is available is ready."""
    for field in ("replicas", *parts, "observedGeneration"):
        check_not_negative(getattr(status, field), STATUS, field, out)
    whole = status.replicas or 0
    for field in parts:
        count = getattr(status, field) or 0
        if count > whole:
            out.append(invalid(STATUS / field, count, "cannot be greater than status.replicas"))
    available, ready = status.availableReplicas or 0, status.readyReplicas or 0
    if available > ready:
        told = "cannot be greater than readyReplicas"
        out.append(invalid(STATUS / "availableReplicas", available, told))


def check_collisions(new: Any, old: Any, out: list[Problem]) -> None:
    """The counter of name clashes only grows."""
    check_not_negative(new.status.collisionCount, STATUS, "collisionCount", out)
    after, before = new.status.collisionCount, old.status.collisionCount
    if before is not None and (after is None or after < before):
        out.append(invalid(STATUS / "collisionCount", after or 0, "cannot be decremented"))
