"""Questions one asks of a pod.

In:   a Pod or its spec; borrowed, never changed (but for `set_condition`, which says so).
Out:  answers: what it requests, its QoS class, whether it is ready or over, its ports.
By:   scheduler, kubelet, controllers, admission, tables.

Facts: upstream's `component-helpers/resource/helpers.go`, `pkg/apis/core/v1/helper/qos`,
`pkg/api/v1/pod/util.go`.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

from kybern.api.quantity import ZERO, Quantity, parse, to_milli, to_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kybern.api.core.v1 import (
        Container,
        ContainerStatus,
        EphemeralContainer,
        Pod,
        PodCondition,
        PodSpec,
        Taint,
        Toleration,
    )

    Amounts = dict[str, Quantity]

POD_LEVEL: Final = frozenset(("cpu", "memory"))
HUGE_PAGES: Final = "hugepages-"


# --- resources ----------------------------------------------------------------------------------


def is_sidecar(container: Container) -> bool:
    """Whether an init container keeps running beside the others."""
    return container.restartPolicy == "Always"


def requests_of(container: Container | EphemeralContainer) -> dict[str, str]:
    """What a container requests; empty when it says nothing."""
    return (container.resources and container.resources.requests) or {}


def limits_of(container: Container | EphemeralContainer) -> dict[str, str]:
    """What a container is limited to; empty when it says nothing."""
    return (container.resources and container.resources.limits) or {}


def _add(total: Amounts, more: dict[str, str] | Amounts) -> None:
    for name, amount in more.items():
        quantity = amount if isinstance(amount, Quantity) else parse(amount)
        have = total.get(name)
        total[name] = quantity if have is None else have + quantity


def _at_least(total: Amounts, other: Amounts) -> None:
    for name, quantity in other.items():
        have = total.get(name)
        if have is None or have < quantity:
            total[name] = quantity


def _aggregate(spec: PodSpec, *, limits: bool) -> Amounts:
    """All containers together: the most that is ever needed at one time.

    Init containers run one after the other, before the rest; sidecars among them stay.
    """
    of = limits_of if limits else requests_of
    total: Amounts = {}
    for container in spec.containers:
        _add(total, of(container))
    if not spec.initContainers:
        return total
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in spec.initContainers:
        if is_sidecar(container):
            _add(total, of(container))
            _add(sidecars, of(container))
            now = dict(sidecars)
        else:
            now = dict(sidecars)
            _add(now, of(container))
        _at_least(peak, now)
    _at_least(total, peak)
    return total


def aggregate_requests(spec: PodSpec) -> Amounts:
    """What the containers request together, without regard to pod-level resources."""
    return _aggregate(spec, limits=False)


def requests(spec: PodSpec) -> Amounts:
    """What a pod needs of a node: containers, pod-level resources, overhead."""
    total = aggregate_requests(spec)
    if spec.resources is not None and spec.resources.requests:
        for name, text in spec.resources.requests.items():
            if name in POD_LEVEL or name.startswith(HUGE_PAGES):
                total[name] = parse(text)
    if spec.overhead:
        _add(total, spec.overhead)
    return total


def limits(spec: PodSpec) -> Amounts:
    """What a pod is held to; overhead counts only where there is a limit at all."""
    total = _aggregate(spec, limits=True)
    if spec.resources is not None and spec.resources.limits:
        for name, text in spec.resources.limits.items():
            if name in POD_LEVEL or name.startswith(HUGE_PAGES):
                total[name] = parse(text)
    for name, text in (spec.overhead or {}).items():
        if total.get(name):
            total[name] = total[name] + parse(text)
    return total


class Fit(NamedTuple):
    """Requests as integers, for whoever adds up thousands of them."""

    milli_cpu: int
    memory: int
    ephemeral_storage: int
    others: dict[str, int]


NO_OTHERS: Final[dict[str, int]] = {}


def fit(spec: PodSpec) -> Fit:
    """`requests` in thousandths of a CPU, in bytes, and in wholes of everything else."""
    if len(spec.containers) == 1 and not (spec.initContainers or spec.overhead or spec.resources):
        asked = requests_of(spec.containers[0])
        # One plain container is the usual case: no sums, only cached look-ups.
        return Fit(
            to_milli(asked.get("cpu", "0")),
            to_value(asked.get("memory", "0")),
            to_value(asked.get("ephemeral-storage", "0")),
            {k: to_value(v) for k, v in asked.items() if k not in _COMMON} or NO_OTHERS,
        )
    total = requests(spec)
    return Fit(
        total.get("cpu", ZERO).milli,
        total.get("memory", ZERO).value,
        total.get("ephemeral-storage", ZERO).value,
        {k: v.value for k, v in total.items() if k not in _COMMON} or NO_OTHERS,
    )


_COMMON: Final = frozenset(("cpu", "memory", "ephemeral-storage"))

GUARANTEED: Final = "Guaranteed"
BURSTABLE: Final = "Burstable"
BEST_EFFORT: Final = "BestEffort"


def qos_class(spec: PodSpec) -> str:
    """How a pod is treated when its node runs short."""
    if spec.resources is not None and (spec.resources.requests or spec.resources.limits):
        asked = _positive(spec.resources.requests)
        held = _positive(spec.resources.limits)
        return _class(asked, held, guaranteed=len(held) == 2)
    asked_total: dict[str, int] = {}
    held_total: dict[str, int] = {}
    guaranteed = True
    for container in chain(spec.containers, spec.initContainers or ()):
        resources = container.resources
        if resources is None or not (resources.requests or resources.limits):
            guaranteed = False
            continue
        for name, nanos in _positive(resources.requests).items():
            asked_total[name] = asked_total.get(name, 0) + nanos
        held = _positive(resources.limits)
        for name, nanos in held.items():
            held_total[name] = held_total.get(name, 0) + nanos
        guaranteed = guaranteed and len(held) == 2
    return _class(asked_total, held_total, guaranteed=guaranteed)


def _positive(resources: dict[str, str] | None) -> dict[str, int]:
    found = {}
    for name in ("cpu", "memory"):
        text = resources.get(name) if resources else None
        if text is not None and (nanos := parse(text).nanos) > 0:
            found[name] = nanos
    return found


def _class(asked: dict[str, int], held: dict[str, int], *, guaranteed: bool) -> str:
    if not asked and not held:
        return BEST_EFFORT
    return GUARANTEED if guaranteed and asked == held else BURSTABLE


# --- conditions and phases ----------------------------------------------------------------------


def condition(pod: Pod, kind: str) -> PodCondition | None:
    """The condition of this type."""
    for each in pod.status.conditions or ():
        if each.type == kind:
            return each
    return None


def set_condition(pod: Pod, new: PodCondition, now: str) -> bool:
    """Put a condition into a pod one owns; whether anything changed.

    The time of transition is `now`, unless the status stays as it was.
    """
    conditions = pod.status.conditions
    if conditions is None:
        conditions = pod.status.conditions = []
    for index, old in enumerate(conditions):
        if old.type != new.type:
            continue
        same = old.status == new.status
        new.lastTransitionTime = old.lastTransitionTime if same else now
        conditions[index] = new
        return old != new
    new.lastTransitionTime = now
    conditions.append(new)
    return True


def is_ready(pod: Pod) -> bool:
    """Whether traffic may be sent to it."""
    ready = condition(pod, "Ready")
    return ready is not None and ready.status == "True"


def is_scheduled(pod: Pod) -> bool:
    """Whether it has a node."""
    return bool(pod.spec.nodeName)


def is_terminal(pod: Pod) -> bool:
    """Whether it has run and will never run again."""
    return pod.status.phase in ("Succeeded", "Failed")


def is_terminating(pod: Pod) -> bool:
    """Whether somebody has asked for its end."""
    return pod.metadata.deletionTimestamp is not None


def is_active(pod: Pod) -> bool:
    """Whether it counts for whoever wants so many of it: neither over nor told to go."""
    return pod.metadata.deletionTimestamp is None and not is_terminal(pod)


def is_mirror(pod: Pod) -> bool:
    """Whether it only shows a pod that a kubelet runs from a file."""
    return "kubernetes.io/config.mirror" in (pod.metadata.annotations or {})


def is_critical(pod: Pod) -> bool:
    """Whether it must run before others may."""
    source = (pod.metadata.annotations or {}).get("kubernetes.io/config.source", "api")
    return source != "api" or is_mirror(pod) or (pod.spec.priority or 0) >= 2_000_000_000


# --- containers ---------------------------------------------------------------------------------


def containers(spec: PodSpec) -> Iterator[Container | EphemeralContainer]:
    """All containers: init, regular, ephemeral."""
    yield from spec.initContainers or ()
    yield from spec.containers
    yield from spec.ephemeralContainers or ()


def container_status(
    statuses: Iterable[ContainerStatus] | None, name: str
) -> ContainerStatus | None:
    """The status of the container of this name."""
    for status in statuses or ():
        if status.name == name:
            return status
    return None


ANY_ADDRESS: Final = "0.0.0.0"  # noqa: S104 - compared, never bound


class HostPort(NamedTuple):
    """A port of the node that a pod takes for itself."""

    protocol: str
    ip: str
    port: int


def host_ports(spec: PodSpec) -> list[HostPort]:
    """The node's ports that a pod occupies; sidecars count, other init containers do not."""
    sidecars = (each for each in spec.initContainers or () if is_sidecar(each))
    return [
        HostPort(port.protocol or "TCP", port.hostIP or ANY_ADDRESS, port.hostPort)
        for container in chain(spec.containers, sidecars)
        for port in container.ports or ()
        if port.hostPort
    ]


def port_number(pod: Pod, wanted: int | str, protocol: str = "TCP") -> int | None:
    """The number behind a Service's targetPort; None when the pod has no port of that name."""
    if isinstance(wanted, int):
        return wanted
    sidecars = (each for each in pod.spec.initContainers or () if is_sidecar(each))
    for container in chain(pod.spec.containers, sidecars):
        for port in container.ports or ():
            if port.name == wanted and (port.protocol or "TCP") == protocol:
                return port.containerPort
    return None


# --- taints -------------------------------------------------------------------------------------


def tolerates(toleration: Toleration, taint: Taint) -> bool:
    """Whether one toleration allows for one taint."""
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    operator = toleration.operator or "Equal"
    if operator == "Exists":
        return True
    if operator == "Equal":
        return (toleration.value or "") == (taint.value or "")
    return _compares(operator, toleration.value or "", taint.value or "")


def _compares(operator: str, bound: str, value: str) -> bool:
    """`Gt` and `Lt` compare the taint's value with the toleration's, as integers."""
    try:
        left, right = int(value), int(bound)
    except ValueError:
        return False
    return left > right if operator == "Gt" else operator == "Lt" and left < right


def untolerated(
    tolerations: Iterable[Toleration] | None,
    taints: Iterable[Taint] | None,
    effects: tuple[str, ...] = ("NoSchedule", "NoExecute"),
) -> Taint | None:
    """The first taint of these effects which no toleration allows for."""
    allowed = tuple(tolerations or ())
    for taint in taints or ():
        if taint.effect in effects and not any(tolerates(each, taint) for each in allowed):
            return taint
    return None
