"""How many pods to make, which to delete, and what the status says.

In:   a ReplicaSet, its pods, the time.
Out:  `Plan`; `Status`.
By:   replicaset.controller. Pure.

Victims are chosen in upstream's order: those that lose least go first.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kybern.api import codec
from kybern.api.apps.v1 import ReplicaSetCondition, ReplicaSetStatus
from kybern.api.core import pods as ask
from kybern.api.core.v1 import Pod, PodSpec
from kybern.api.meta.v1 import ObjectMeta
from kybern.controllers.runtime.availability import available_in
from kybern.controllers.runtime.ownership import reference_to
from kybern.lib.clock import parse_rfc3339, rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, ItemsView, Iterable, Sequence

    from kybern.api.apps.v1 import ReplicaSet
    from kybern.api.core.v1 import ReplicationController

    Replicas = ReplicaSet | ReplicationController

BURST = 500  # pods made or deleted in one go
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
REPLICA_FAILURE = "ReplicaFailure"
_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do about the number of pods."""

    create: int = 0
    delete: tuple[Pod, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """Why pods could not be made or deleted."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Status:
    """What the status should be, and when that changes by the passing of time alone."""

    status: ReplicaSetStatus
    check_after: float | None


def plan(
    replica_set: Replicas,
    pods: Sequence[Pod],
    related: Callable[[], Iterable[Pod]],
    now: float,
) -> Plan:
    """Decide what to do.

    Args:
        replica_set: what is wanted.
        pods: its active pods.
        related: active pods of everything with the same owner, to spread deletions over nodes;
            asked for only when some are to be deleted.
        now: the time.
    """
    surplus = len(pods) - _wanted(replica_set)
    if surplus < 0:
        return Plan(create=min(-surplus, BURST))
    if surplus > 0:
        ranked = rank(pods, related(), now) if surplus < len(pods) else list(pods)
        return Plan(delete=tuple(ranked[: min(surplus, BURST)]))
    return Plan()


def rank(pods: Iterable[Pod], related: Iterable[Pod], now: float) -> list[Pod]:
    """Order pods by how little is lost with them."""
    crowd = Counter(pod.spec.nodeName for pod in related if pod.spec.nodeName)

    def loss(pod: Pod) -> tuple[object, ...]:
        ready = ask.is_ready(pod)
        return (
            bool(pod.spec.nodeName),
            _PHASES.get(pod.status.phase or "Pending", 2),
            ready,
            _cost(pod),
            -crowd[pod.spec.nodeName or ""],
            _age(_ready_since(pod), now) if ready else 0,
            -_restarts(pod),
            _age(pod.metadata.creationTimestamp, now),
            pod.metadata.uid or "",
        )

    return sorted(pods, key=loss)


def new_pod(replica_set: Replicas) -> Pod:
    """Return a pod as the template says; it shares parts of the template: encode, do not change."""
    template = replica_set.spec.template
    metadata = template.metadata if template is not None else ObjectMeta()
    return Pod(
        metadata=ObjectMeta(
            generateName=f"{replica_set.metadata.name}-",
            namespace=replica_set.metadata.namespace,
            labels=metadata.labels,
            annotations=metadata.annotations,
            finalizers=metadata.finalizers,
            ownerReferences=[reference_to(replica_set)],
        ),
        spec=template.spec or PodSpec() if template is not None else PodSpec(),
    )


def status(
    replica_set: Replicas, pods: Iterable[Pod], now: float, failure: Failure | None
) -> Status:
    """Work out the status from all pods, those on their way out included."""
    template = replica_set.spec.template
    labels = (template.metadata.labels if template is not None else None) or {}
    count = _count(pods, labels.items(), replica_set.spec.minReadySeconds or 0, now)
    return Status(
        ReplicaSetStatus(
            replicas=count.active,
            fullyLabeledReplicas=count.labeled or None,
            readyReplicas=count.ready or None,
            availableReplicas=count.ready - count.pending or None,
            terminatingReplicas=count.leaving,
            observedGeneration=replica_set.metadata.generation,
            conditions=_conditions(replica_set, failure, now),
        ),
        count.soonest,
    )


@dataclass(slots=True)
class _Count:
    """How many pods of each sort there are."""

    active: int = 0
    labeled: int = 0
    ready: int = 0
    pending: int = 0
    """Ready, but not for long enough …"""
    soonest: float | None = None
    """… and when the first of them will have been."""
    leaving: int = 0


def _count(pods: Iterable[Pod], labels: ItemsView[str, str], patience: int, now: float) -> _Count:
    """Look at each pod once: there may be very many."""
    count = _Count()
    for pod in pods:
        if ask.is_terminal(pod):
            continue
        if pod.metadata.deletionTimestamp is not None:
            count.leaving += 1
            continue
        count.active += 1
        count.labeled += labels <= (pod.metadata.labels or {}).items()
        wait = available_in(pod, patience, now)
        if wait is None:
            continue
        count.ready += 1
        if wait:
            count.pending += 1
            count.soonest = wait if count.soonest is None else min(wait, count.soonest)
    return count


def changed(replica_set: Replicas, new: Any) -> bool:
    """Whether the status has to be written."""
    return not codec.equal(replica_set.status, new)


def _wanted(replica_set: Replicas) -> int:
    replicas = replica_set.spec.replicas
    return 1 if replicas is None else replicas


def _conditions(
    replica_set: Replicas, failure: Failure | None, now: float
) -> list[ReplicaSetCondition] | None:
    conditions: list[Any] = list(replica_set.status.conditions or ())
    existing = next((c for c in conditions if c.type == REPLICA_FAILURE), None)
    if failure is not None and existing is None:
        conditions.append(
            ReplicaSetCondition(
                type=REPLICA_FAILURE,
                status="True",
                lastTransitionTime=rfc3339(now),
                reason=failure.reason,
                message=failure.message,
            )
        )
    elif failure is None and existing is not None:
        conditions.remove(existing)
    return conditions or None


def _cost(pod: Pod) -> int:
    text = (pod.metadata.annotations or {}).get(DELETION_COST, "0")
    try:
        return int(text)
    except ValueError:
        return 0


def _restarts(pod: Pod) -> int:
    statuses = (pod.status.containerStatuses or ()), (pod.status.initContainerStatuses or ())
    return max((one.restartCount for some in statuses for one in some), default=0)


def _ready_since(pod: Pod) -> str | None:
    condition = ask.condition(pod, "Ready")
    return condition.lastTransitionTime if condition is not None else None


def _age(stamp: str | None, now: float) -> int:
    # By order of magnitude only: among pods of about the same age chance decides (their uid),
    # or else the newest node would always lose its pods first.
    if stamp is None:
        return -2
    age = now - parse_rfc3339(stamp)
    return int(math.log2(age * 1e9)) if age > 0 else -1
