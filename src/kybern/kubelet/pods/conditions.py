"""A pod's conditions.

In:   the Pod with the conditions it had, its new container statuses and phase.
Out:  the list of conditions: the kubelet's own first, those of others as they were.
By:   status.py. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kybern.api import codec
from kybern.api.core.v1 import PodCondition
from kybern.kubelet.pods import specs
from kybern.kubelet.pods.specs import Role
from kybern.lib.clock import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.api.core.v1 import Pod, PodStatus
    from kybern.kubelet.pods.allotment import Pending

READY_TO_START = "PodReadyToStartContainers"
INITIALIZED, READY, CONTAINERS_READY = "Initialized", "Ready", "ContainersReady"
SCHEDULED = "PodScheduled"
DISRUPTION = "DisruptionTarget"
RESIZE_PENDING, RESIZE_IN_PROGRESS = "PodResizePending", "PodResizeInProgress"
PASSING = (RESIZE_PENDING, RESIZE_IN_PROGRESS)  # conditions of ours which go away
OURS = (READY_TO_START, INITIALIZED, READY, CONTAINERS_READY, SCHEDULED, *PASSING)


@dataclass(frozen=True, slots=True)
class Resize:
    """How far a pod has got with changing its size.

    Attributes:
        pending: why it does not get what it asks for.
        in_progress: it was given another size, which is not in force yet.
        error: why not.
        generation: of the pod, when it was given the size.
    """

    pending: Pending | None = None
    in_progress: bool = False
    error: str = ""
    generation: int = 0


def pod_conditions(
    pod: Pod, last: PodStatus, status: PodStatus, *, sandbox_ready: bool, now: float
) -> list[PodCondition]:
    """Return the pod's conditions; a condition keeps its time while its status is the same.

    Others' conditions are as the API server has them, the kubelet's own as it last worked them out.
    """
    theirs = {c.type: c for c in pod.status.conditions or ()}
    before = theirs | {c.type: c for c in last.conditions or () if c.type in OURS}
    fresh = [
        PodCondition(type=READY_TO_START, status=_truth(sandbox_ready)),
        _initialized(pod, status),
        _ready(pod, status),
        _containers_ready(pod, status),
        _copy(theirs.get(SCHEDULED)) or PodCondition(type=SCHEDULED, status="True"),
    ]
    for condition in fresh:
        condition.observedGeneration = pod.metadata.generation
        old = before.get(condition.type)
        unchanged = old is not None and old.status == condition.status
        condition.lastTransitionTime = old.lastTransitionTime if unchanged and old else rfc3339(now)
    return fresh + [c for kind, c in theirs.items() if kind not in OURS]


def add_disruption(
    status: PodStatus, why: tuple[str, str], last: PodStatus, generation: int | None, now: float
) -> None:
    """Add the condition of a pod which the node ends, with its reason and message."""
    old = next((c for c in last.conditions or () if c.type == DISRUPTION), None)
    since = old.lastTransitionTime if old is not None and old.status == "True" else rfc3339(now)
    others = [c for c in status.conditions or () if c.type != DISRUPTION]
    reason, message = why
    status.conditions = [
        *others,
        PodCondition(
            type=DISRUPTION,
            status="True",
            reason=reason,
            message=message,
            observedGeneration=generation,
            lastTransitionTime=since,
        ),
    ]


def of_resize(resize: Resize, last: PodStatus, now: float) -> list[PodCondition]:
    """Return the conditions of a pod whose size is being changed; none when it is not."""
    fresh = []
    if (pending := resize.pending) is not None:
        fresh.append(
            PodCondition(
                type=RESIZE_PENDING,
                status="True",
                reason=pending.reason,
                message=pending.message,
                observedGeneration=pending.generation or None,
            )
        )
    if resize.in_progress:
        fresh.append(
            PodCondition(
                type=RESIZE_IN_PROGRESS,
                status="True",
                reason="Error" if resize.error else None,
                message=resize.error or None,
                observedGeneration=resize.generation or None,
            )
        )
    before = {c.type: c for c in last.conditions or ()}
    for condition in fresh:
        old = before.get(condition.type)
        same = old is not None and old.reason == condition.reason
        condition.lastTransitionTime = old.lastTransitionTime if same and old else rfc3339(now)
    return fresh


def _copy(condition: PodCondition | None) -> PodCondition | None:
    # What a cache handed out is not ours to change.
    return codec.clone(condition) if condition is not None else None


def _initialized(pod: Pod, status: PodStatus) -> PodCondition:
    statuses = {s.name: s for s in status.initContainerStatuses or ()}
    if status.phase == "Succeeded":
        return PodCondition(type=INITIALIZED, status="True", reason="PodCompleted")
    if _any_regular_started(status):
        return PodCondition(type=INITIALIZED, status="True")
    incomplete = []
    for wanted in specs.init_containers(pod):
        found = statuses.get(wanted.name)
        done = found is not None and (found.started if wanted.role is Role.SIDECAR else found.ready)
        if not done:
            incomplete.append(wanted.name)
    if not incomplete:
        return PodCondition(type=INITIALIZED, status="True")
    return PodCondition(
        type=INITIALIZED,
        status="False",
        reason="ContainersNotInitialized",
        message=f"containers with incomplete status: {_listed(incomplete)}",
    )


def _containers_ready(pod: Pod, status: PodStatus) -> PodCondition:
    if status.phase == "Failed":
        return PodCondition(type=CONTAINERS_READY, status="False", reason="PodFailed")
    if status.phase == "Succeeded":
        return PodCondition(type=CONTAINERS_READY, status="False", reason="PodCompleted")
    sidecars = {w.name for w in specs.init_containers(pod) if w.role is Role.SIDECAR}
    relevant = [
        *(s for s in status.initContainerStatuses or () if s.name in sidecars),
        *(status.containerStatuses or ()),
    ]
    unready = [s.name for s in relevant if not s.ready]
    if not unready:
        return PodCondition(type=CONTAINERS_READY, status="True")
    return PodCondition(
        type=CONTAINERS_READY,
        status="False",
        reason="ContainersNotReady",
        message=f"containers with unready status: {_listed(unready)}",
    )


def _ready(pod: Pod, status: PodStatus) -> PodCondition:
    containers = _containers_ready(pod, status)
    if containers.status != "True":
        return PodCondition(
            type=READY, status="False", reason=containers.reason, message=containers.message
        )
    have = {c.type: c.status for c in pod.status.conditions or ()}
    problems = []
    for gate in pod.spec.readinessGates or ():
        kind = gate.conditionType
        if kind not in have:
            problems.append(
                f'corresponding condition of pod readiness gate "{kind}" does not exist.'
            )
        elif have[kind] != "True":
            problems.append(
                f'the status of pod readiness gate "{kind}" is not "True", but {have[kind]}'
            )
    if problems:
        return PodCondition(
            type=READY, status="False", reason="ReadinessGatesNotReady", message=", ".join(problems)
        )
    return PodCondition(type=READY, status="True")


def _any_regular_started(status: PodStatus) -> bool:
    for container in status.containerStatuses or ():
        if container.started:
            return True
        for state in (container.state, container.lastState):
            if state is not None and (state.running or state.terminated):
                return True
    return False


def _listed(names: Iterable[str]) -> str:
    """Return names as Go prints a slice."""
    return "[" + " ".join(names) + "]"


def _truth(value: bool) -> str:
    return "True" if value else "False"
