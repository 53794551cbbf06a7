"""What the status of a StatefulSet says.

In:   a StatefulSet, its pods, the two revisions.
Out:  a status.
By:   statefulset.plan. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api.apps.v1 import StatefulSetStatus
from kybern.api.core import pods as ask
from kybern.controllers.runtime.availability import is_available
from kybern.controllers.statefulset.identity import numbers, revision_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from kybern.api.apps.v1 import StatefulSet
    from kybern.api.core.v1 import Pod


def status(
    stateful_set: StatefulSet,
    pods: Sequence[Pod],
    current: str,
    update: str,
    leaving: Collection[str],
    now: float,
) -> StatefulSetStatus:
    """Count.

    Args:
        stateful_set: whose status it is.
        pods: all that exist.
        current: the revision that is being left, or that all are of.
        update: the revision of the template.
        leaving: names of pods that are being deleted for an update.
        now: the time.
    """
    patience = stateful_set.spec.minReadySeconds or 0
    ready = [pod for pod in pods if is_running_and_ready(pod)]
    staying = [pod for pod in pods if not ask.is_terminating(pod)]
    ofs = [revision_of(pod) for pod in staying if pod.metadata.name not in leaving]
    updated = sum(revision_of(pod) == update for pod in staying)
    before = stateful_set.status
    found = StatefulSetStatus(
        observedGeneration=stateful_set.metadata.generation,
        replicas=len(pods),
        readyReplicas=len(ready) or None,
        availableReplicas=sum(is_available(pod, patience, now) for pod in ready),
        currentReplicas=ofs.count(current) or None,
        updatedReplicas=updated or None,
        currentRevision=current,
        updateRevision=update,
        collisionCount=before.collisionCount or 0,
        conditions=before.conditions,
    )
    _complete(stateful_set, found)
    return found


def is_running_and_ready(pod: Pod) -> bool:
    """Whether a pod counts as ready."""
    return pod.status.phase == "Running" and ask.is_ready(pod)


def _complete(stateful_set: StatefulSet, found: StatefulSetStatus) -> None:
    """When every pod is of the new revision, that is the current one."""
    wanted = len(numbers(stateful_set))
    strategy = stateful_set.spec.updateStrategy
    counts = (found.updatedReplicas or 0, found.readyReplicas or 0, found.replicas)
    if strategy is not None and strategy.type == "RollingUpdate" and counts == (wanted,) * 3:
        found.currentReplicas = found.updatedReplicas
        found.currentRevision = found.updateRevision
