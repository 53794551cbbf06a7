"""What a Deployment's status says, and how a rollout is going.

In:   the Deployment, its ReplicaSets as they are, the sizes they are to get, the time.
Out:  a DeploymentStatus; when to look again because time alone may change it.
By:   deployment.plan. Pure. Reasons and messages are upstream's, as users grep for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api.apps.v1 import DeploymentCondition, DeploymentStatus
from kybern.controllers.deployment.sizes import bounds, desired, total
from kybern.lib.clock import parse_rfc3339, rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.api.apps.v1 import Deployment, ReplicaSet
    from kybern.controllers.deployment.sizes import Member

AVAILABLE, PROGRESSING, REPLICA_FAILURE = "Available", "Progressing", "ReplicaFailure"
NEW_AVAILABLE = "NewReplicaSetAvailable"
UPDATED = "ReplicaSetUpdated"
CREATED = "NewReplicaSetCreated"
FOUND = "FoundNewReplicaSet"
NOT_CREATED = "ReplicaSetCreateError"
TIMED_OUT = "ProgressDeadlineExceeded"
PAUSED, RESUMED = "DeploymentPaused", "DeploymentResumed"
MINIMUM_AVAILABLE = "MinimumReplicasAvailable"
MINIMUM_UNAVAILABLE = "MinimumReplicasUnavailable"
NO_DEADLINE = 2**31 - 1

Conditions = dict[str, DeploymentCondition]


def has_deadline(deployment: Deployment) -> bool:
    """Whether the rollout is expected to make progress."""
    deadline = deployment.spec.progressDeadlineSeconds
    return deadline is not None and deadline != NO_DEADLINE


def conditions_of(deployment: Deployment) -> Conditions:
    """Return the conditions by type, in their order."""
    return {condition.type: condition for condition in deployment.status.conditions or ()}


def put(
    conditions: Conditions, kind: str, status: str, reason: str, message: str, now: str
) -> None:
    """Set a condition, unless it has this status for this reason already."""
    current = conditions.get(kind)
    if current is not None and (current.status, current.reason) == (status, reason):
        return
    same = current is not None and current.status == status
    conditions.pop(kind, None)
    conditions[kind] = DeploymentCondition(
        type=kind,
        status=status,
        lastUpdateTime=now,
        lastTransitionTime=current.lastTransitionTime if current and same else now,
        reason=reason,
        message=message,
    )


def note_pause(deployment: Deployment, conditions: Conditions, now: float) -> None:
    """Say that time stands still while the rollout is paused, and that it goes on afterwards."""
    if not has_deadline(deployment):
        return
    current = conditions.get(PROGRESSING)
    if current is not None and current.reason == TIMED_OUT:
        return
    noted = current is not None and current.reason == PAUSED
    if deployment.spec.paused and not noted:
        put(conditions, PROGRESSING, "Unknown", PAUSED, "Deployment is paused", rfc3339(now))
    elif not deployment.spec.paused and noted:
        put(conditions, PROGRESSING, "Unknown", RESUMED, "Deployment is resumed", rfc3339(now))


def count(
    deployment: Deployment,
    new: ReplicaSet | None,
    sets: Iterable[ReplicaSet],
    members: Iterable[Member],
    conditions: Conditions,
    now: float,
) -> DeploymentStatus:
    """Add up the ReplicaSets and say whether enough pods are available."""
    sets = list(sets)
    available = sum(rs.status.availableReplicas or 0 for rs in sets)
    if available >= bounds(deployment).minimum:
        status, reason, text = "True", MINIMUM_AVAILABLE, "has"
    else:
        status, reason, text = "False", MINIMUM_UNAVAILABLE, "does not have"
    message = f"Deployment {text} minimum availability."
    put(conditions, AVAILABLE, status, reason, message, rfc3339(now))
    return DeploymentStatus(
        observedGeneration=deployment.metadata.generation,
        replicas=sum(rs.status.replicas for rs in sets) or None,
        updatedReplicas=(new.status.replicas if new is not None else 0) or None,
        readyReplicas=sum(rs.status.readyReplicas or 0 for rs in sets) or None,
        availableReplicas=available or None,
        unavailableReplicas=max(0, total(members) - available) or None,
        terminatingReplicas=_terminating(sets),
        collisionCount=deployment.status.collisionCount,
    )


def judge(
    deployment: Deployment,
    new: ReplicaSet | None,
    status: DeploymentStatus,
    conditions: Conditions,
    now: float,
) -> None:
    """Say how the rollout is going: done, under way, or stuck for too long."""
    current = conditions.get(PROGRESSING)
    if not has_deadline(deployment):
        conditions.pop(PROGRESSING, None)
        return
    settled = current is not None and current.reason == NEW_AVAILABLE
    if settled and (status.replicas or 0) == (status.updatedReplicas or 0):
        return
    name = new.metadata.name if new is not None else deployment.metadata.name
    subject = f'{"ReplicaSet" if new is not None else "Deployment"} "{name}"'
    stamp = rfc3339(now)
    if is_complete(deployment, status):
        message = f"{subject} has successfully progressed."
        put(conditions, PROGRESSING, "True", NEW_AVAILABLE, message, stamp)
    elif _is_moving(deployment.status, status):
        # The time of the last update is what the deadline counts from, so it always moves.
        keep = current is not None and current.status == "True"
        conditions.pop(PROGRESSING, None)
        put(conditions, PROGRESSING, "True", UPDATED, f"{subject} is progressing.", stamp)
        if current is not None and keep:
            conditions[PROGRESSING].lastTransitionTime = current.lastTransitionTime
    elif _is_overdue(deployment, current, now):
        message = f"{subject} has timed out progressing."
        put(conditions, PROGRESSING, "False", TIMED_OUT, message, stamp)


def note_failures(
    sets: Iterable[ReplicaSet], new: ReplicaSet | None, conditions: Conditions
) -> None:
    """Pass on why pods cannot be created, from the new ReplicaSet or else from any."""
    failing = None
    for replica_set in [*([new] if new is not None else ()), *sets]:
        for condition in replica_set.status.conditions or ():
            if condition.type == REPLICA_FAILURE:
                failing = failing or condition
    if failing is None:
        conditions.pop(REPLICA_FAILURE, None)
        return
    put(
        conditions,
        REPLICA_FAILURE,
        failing.status,
        failing.reason or "",
        failing.message or "",
        failing.lastTransitionTime or "",
    )


def is_complete(deployment: Deployment, status: DeploymentStatus) -> bool:
    """Whether everything runs the current template and nothing else does."""
    wanted = desired(deployment)
    return (
        (status.updatedReplicas or 0) == wanted
        and (status.replicas or 0) == wanted
        and (status.availableReplicas or 0) == wanted
        and (status.observedGeneration or 0) >= (deployment.metadata.generation or 0)
    )


def check_after(
    deployment: Deployment, status: DeploymentStatus, conditions: Conditions, now: float
) -> float | None:
    """Return the seconds until the deadline passes, if one is running."""
    current = conditions.get(PROGRESSING)
    if not has_deadline(deployment) or current is None or deployment.spec.paused:
        return None
    if current.reason in (TIMED_OUT, NEW_AVAILABLE) or is_complete(deployment, status):
        return None
    return max(0.0, _deadline(deployment, current) - now) + 1.0


def _is_moving(old: DeploymentStatus, new: DeploymentStatus) -> bool:
    old_updated, new_updated = old.updatedReplicas or 0, new.updatedReplicas or 0
    return (
        new_updated > old_updated
        or (new.replicas or 0) - new_updated < (old.replicas or 0) - old_updated
        or (new.readyReplicas or 0) > (old.readyReplicas or 0)
        or (new.availableReplicas or 0) > (old.availableReplicas or 0)
    )


def _is_overdue(deployment: Deployment, current: DeploymentCondition | None, now: float) -> bool:
    if current is None or current.reason == NEW_AVAILABLE:
        return False
    return current.reason == TIMED_OUT or _deadline(deployment, current) < now


def _deadline(deployment: Deployment, current: DeploymentCondition) -> float:
    since = current.lastUpdateTime or current.lastTransitionTime
    patience = deployment.spec.progressDeadlineSeconds or 0
    return (parse_rfc3339(since) if since else 0.0) + patience


def _terminating(sets: list[ReplicaSet]) -> int | None:
    known = [rs.status.terminatingReplicas for rs in sets]
    return sum(n or 0 for n in known) if any(n is not None for n in known) else None
