"""How a pod is doing, as its status says.

In:   the Pod, the PodView, the probes' results, why containers wait, the status before.
Out:  a PodStatus.
By:   worker.py. Pure. Phases and conditions follow kubernetes `pkg/kubelet/kubelet_pods.go` and
      `pkg/kubelet/status/generate.go` in their effect.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kybern.api.core.v1 import (
    ContainerState,
    ContainerStateRunning,
    ContainerStateTerminated,
    ContainerStateWaiting,
    ContainerStatus,
    ContainerUser,
    HostIP,
    LinuxContainerUser,
    PodIP,
    PodStatus,
    VolumeMountStatus,
)
from kybern.kubelet.pods import conditions, qos, specs
from kybern.kubelet.pods.specs import Role
from kybern.kubelet.pods.view import State
from kybern.lib.clock import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kybern.api.core.v1 import Pod, ResourceRequirements
    from kybern.kubelet.pods.plan import Waiting
    from kybern.kubelet.pods.specs import Wanted
    from kybern.kubelet.pods.view import ContainerView, PodView

PENDING, RUNNING, SUCCEEDED, FAILED = "Pending", "Running", "Succeeded", "Failed"
TERMINAL = (SUCCEEDED, FAILED)
CREATING, INITIALIZING = "ContainerCreating", "PodInitializing"
LOST_MESSAGE = "The container could not be located when the pod was terminated"
LOST_CODE = 137


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the node decided about a pod besides what its containers do: evicted, rejected, late.

    Where it is no fault of the pod's, `disruption` is the reason of its condition DisruptionTarget.
    """

    phase: str
    reason: str
    message: str
    disruption: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """All a status is made from.

    Attributes:
        pod: the pod, with the status the API server has.
        view: what exists of it.
        before: the status worked out last, which the API server may not have yet.
        waiting: why containers are not started, by name.
        started: containers whose startup probe has passed, or which have none.
        ready: containers whose readiness probe passes, or which have none.
        host_ips: the node's addresses.
        now: the time.
        terminating: the pod was told to stop, or has finished.
        ended: nothing of it runs any more.
        outcome: a decision of the node about it.
        runtime_name: prefix of container ids, such as `containerd`.
        start_time: when the kubelet first saw the pod.
        running: the size of running containers, where it is not the one they were given.
        resize: how far the pod has got with changing its size.
    """

    pod: Pod
    view: PodView
    before: PodStatus | None = None
    waiting: Mapping[str, Waiting] = field(default_factory=dict)
    started: frozenset[str] = frozenset()
    ready: frozenset[str] = frozenset()
    host_ips: tuple[str, ...] = ()
    now: float = 0.0
    terminating: bool = False
    ended: bool = False
    outcome: Outcome | None = None
    runtime_name: str = "containerd"
    start_time: float = 0.0
    running: Mapping[str, ResourceRequirements] = field(default_factory=dict)
    resize: conditions.Resize = field(default_factory=conditions.Resize)


def pod_status(look: Look) -> PodStatus:
    """Return the pod's status."""
    pod, before = look.pod, look.before or look.pod.status
    if not look.view.containers and not look.view.sandboxes:
        if look.outcome is not None:
            return _refused(look, look.outcome, before)
        if before.phase in TERMINAL:
            return before  # it ended long ago, and nobody here remembers more than it says
    init = [_container_status(look, w, before) for w in specs.init_containers(pod)]
    regular = [_container_status(look, w, before) for w in specs.regular_containers(pod)]
    ephemeral = [_container_status(look, w, before) for w in specs.ephemeral_containers(pod)]
    computed = phase(pod, init, regular, terminating=look.terminating and look.ended)
    reason, message = before.reason, before.message
    if look.outcome is not None:
        reason, message = look.outcome.reason, look.outcome.message
        computed = look.outcome.phase if look.ended or not look.view.containers else computed
    if computed in TERMINAL and any(c.state is State.RUNNING for c in look.view.containers):
        computed = RUNNING  # sidecars end last, and the pod with them
    if before.phase in TERMINAL:
        computed = before.phase or computed
    sandbox = look.view.sandbox
    ips = _pod_ips(look)
    status = PodStatus(
        phase=computed,
        reason=reason,
        message=message,
        hostIP=look.host_ips[0] if look.host_ips else None,
        hostIPs=[HostIP(ip=ip) for ip in look.host_ips] or None,
        podIP=ips[0] if ips else None,
        podIPs=[PodIP(ip=ip) for ip in ips] or None,
        startTime=before.startTime or rfc3339(look.start_time),
        initContainerStatuses=init or None,
        containerStatuses=regular or None,
        ephemeralContainerStatuses=ephemeral or None,
        qosClass=qos.qos_class(pod),
        observedGeneration=pod.metadata.generation,
    )
    usable = sandbox is not None and sandbox.ready and bool(ips)
    status.conditions = conditions.pod_conditions(
        pod, before, status, sandbox_ready=usable and not look.ended, now=look.now
    )
    if look.outcome is not None and look.outcome.disruption:
        disruption = (look.outcome.disruption, look.outcome.message)
        conditions.add_disruption(status, disruption, before, pod.metadata.generation, look.now)
    if not look.terminating:
        status.conditions += conditions.of_resize(look.resize, before, look.now)
    return status


def _refused(look: Look, outcome: Outcome, before: PodStatus) -> PodStatus:
    """Return the status of a pod which was never begun."""
    return PodStatus(
        phase=outcome.phase,
        reason=outcome.reason,
        message=outcome.message,
        startTime=before.startTime,
        qosClass=qos.qos_class(look.pod),
        observedGeneration=look.pod.metadata.generation,
        conditions=look.pod.status.conditions,
    )


def phase(
    pod: Pod,
    init: Iterable[ContainerStatus],
    regular: Iterable[ContainerStatus],
    *,
    terminating: bool = False,
) -> str:
    """Return the phase that follows from the containers' states."""
    roles = {w.name: w.role for w in specs.init_containers(pod)}
    initialising = failed_init = 0
    for status in init:
        if roles.get(status.name) is Role.SIDECAR:
            initialising += not status.started and not _has_ended(status)
        elif not _succeeded(status):
            initialising += 1
            failed_init += _ended_badly(status) and _never(pod, status.name)
    regulars = list(regular)
    running = sum(_is_running(s) for s in regulars)
    ended = sum(_has_ended(s) for s in regulars)
    succeeded = sum(_succeeded(s) for s in regulars)
    if failed_init and (not running or terminating):
        return FAILED
    if initialising and not running and not ended:
        return FAILED if terminating else PENDING
    if ended + running < len(regulars):
        return FAILED if terminating else PENDING
    if running:
        return RUNNING
    if succeeded == len(regulars) and (terminating or pod.spec.restartPolicy != specs.ALWAYS):
        return SUCCEEDED
    if terminating or _nothing_restarts(pod, regulars):
        return FAILED
    return RUNNING


def _container_status(look: Look, wanted: Wanted, before: PodStatus) -> ContainerStatus:
    old = status_of(before, wanted.name)
    current = look.view.latest(wanted.name)
    status = ContainerStatus(
        name=wanted.name,
        image=wanted.spec.image or "",
        imageID="",
        lastState=ContainerState(),
        started=False,
    )
    if current is None:
        _without_container(look, wanted, status, old)
    else:
        _with_container(look, wanted, status, current, old)
    _add_readiness(look, wanted, status)
    _add_details(look, wanted, status, current)
    return status


def _with_container(
    look: Look,
    wanted: Wanted,
    status: ContainerStatus,
    current: ContainerView,
    old: ContainerStatus | None,
) -> None:
    status.image = current.image or status.image
    status.imageID = current.image_id
    status.containerID = f"{look.runtime_name}://{current.id}"
    status.restartCount = current.restarts
    previous = look.view.previous(current)
    if previous is not None:
        status.lastState = ContainerState(terminated=_terminated(look, previous))
    elif old is not None and old.lastState is not None and old.restartCount == current.restarts:
        status.lastState = old.lastState
    held = look.waiting.get(wanted.name)
    if current.state is State.RUNNING:
        started = rfc3339(current.started_at)
        status.state = ContainerState(running=ContainerStateRunning(startedAt=started))
    elif current.state is State.CREATED:
        status.state = _waiting(CREATING)
    elif held is not None and not look.terminating:
        status.state = _waiting(held.reason, held.message)
        status.lastState = ContainerState(terminated=_terminated(look, current))
    elif current.state is State.EXITED:
        status.state = ContainerState(terminated=_terminated(look, current))
    else:
        status.state = ContainerState(terminated=_lost())


def _without_container(
    look: Look, wanted: Wanted, status: ContainerStatus, old: ContainerStatus | None
) -> None:
    """Fill in the status of a container the runtime does not know (yet, or any more)."""
    if old is not None and old.containerID:
        status.restartCount = old.restartCount
        status.lastState = old.lastState
        status.imageID = old.imageID
        was_ended = old.state is not None and old.state.terminated is not None
        if was_ended and (look.terminating or look.ended or wanted.role is Role.INIT):
            status.state = old.state
            status.containerID = old.containerID
            return
        if look.ended:
            status.state = ContainerState(terminated=_lost())
            return
    held = look.waiting.get(wanted.name)
    if held is not None:
        status.state = _waiting(held.reason, held.message)
        return
    initialising = bool(look.pod.spec.initContainers) and wanted.role is not Role.EPHEMERAL
    status.state = _waiting(INITIALIZING if initialising else CREATING)


def _terminated(look: Look, ended: ContainerView) -> ContainerStateTerminated:
    reason = ended.reason or ("Completed" if ended.exit_code == 0 else "Error")
    if ended.state is State.UNKNOWN:
        return _lost()
    return ContainerStateTerminated(
        exitCode=ended.exit_code,
        reason=reason,
        message=ended.message or None,
        startedAt=rfc3339(ended.started_at),  # 1970 for one that could not be started
        finishedAt=rfc3339(ended.finished_at),
        containerID=f"{look.runtime_name}://{ended.id}",
    )


def _lost() -> ContainerStateTerminated:
    return ContainerStateTerminated(
        exitCode=LOST_CODE, reason="ContainerStatusUnknown", message=LOST_MESSAGE
    )


def _waiting(reason: str, message: str = "") -> ContainerState:
    return ContainerState(waiting=ContainerStateWaiting(reason=reason, message=message or None))


def _add_readiness(look: Look, wanted: Wanted, status: ContainerStatus) -> None:
    running = _is_running(status)
    status.started = running and wanted.name in look.started
    if wanted.role is Role.INIT:
        status.ready = _succeeded(status)
    elif wanted.role is Role.EPHEMERAL:
        status.ready = False
        status.started = None
    else:
        status.ready = bool(status.started) and wanted.name in look.ready


def _add_details(
    look: Look, wanted: Wanted, status: ContainerStatus, current: ContainerView | None
) -> None:
    status.volumeMounts = [
        VolumeMountStatus(
            name=mount.name,
            mountPath=mount.mountPath,
            readOnly=mount.readOnly or None,
            recursiveReadOnly="Disabled" if mount.readOnly else None,
        )
        for mount in wanted.spec.volumeMounts or ()
    ] or None
    resources = wanted.spec.resources
    if current is not None and resources is not None and (resources.requests or resources.limits):
        running = look.running.get(wanted.name) if _is_running(status) else None
        status.resources = running or resources
        status.allocatedResources = resources.requests
    if current is not None and current.uid is not None:
        status.user = ContainerUser(
            linux=LinuxContainerUser(
                uid=current.uid, gid=current.gid or 0, supplementalGroups=list(current.groups)
            )
        )


def _pod_ips(look: Look) -> tuple[str, ...]:
    if look.pod.spec.hostNetwork:
        return look.host_ips if look.view.sandbox is not None else ()
    sandbox = look.view.sandbox
    if sandbox is not None and sandbox.ips and not look.ended:
        return sandbox.ips
    if look.terminating:
        before = look.before or look.pod.status
        return tuple(ip.ip for ip in before.podIPs or ())
    return ()


def status_of(before: PodStatus, name: str) -> ContainerStatus | None:
    """Return the status of a container, of whichever kind; None without one."""
    for group in (
        before.containerStatuses,
        before.initContainerStatuses,
        before.ephemeralContainerStatuses,
    ):
        for status in group or ():
            if status.name == name:
                return status
    return None


def _is_running(status: ContainerStatus) -> bool:
    return status.state is not None and status.state.running is not None


def _has_ended(status: ContainerStatus) -> bool:
    """Say whether a container has run and ended; one waiting for its restart has."""
    if status.state is None:
        return False
    if status.state.terminated is not None:
        return True
    last = status.lastState
    waiting = status.state.waiting is not None
    return waiting and last is not None and last.terminated is not None


def _succeeded(status: ContainerStatus) -> bool:
    ended = status.state.terminated if status.state is not None else None
    return ended is not None and ended.exitCode == 0


def _ended_badly(status: ContainerStatus) -> bool:
    ended = status.state.terminated if status.state is not None else None
    return ended is not None and ended.exitCode != 0


def _never(pod: Pod, name: str) -> bool:
    wanted = specs.find(pod, name)
    return wanted is not None and not specs.restarts_after(pod, wanted, 1)


def _nothing_restarts(pod: Pod, regular: list[ContainerStatus]) -> bool:
    for status in regular:
        wanted = specs.find(pod, status.name)
        ended = status.state.terminated if status.state is not None else None
        if wanted is None or ended is None or specs.restarts_after(pod, wanted, ended.exitCode):
            return False
    return True
