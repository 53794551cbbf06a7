"""How much of the machine a pod may have: quality of service as the kernel understands it.

In:   a Pod's requests and limits.
Out:  QoS class, CPU shares, quota, memory limit, oom_score_adj.
By:   translate.py, cgroups.py, eviction. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kybern.api import quantity
from kybern.kubelet.pods.specs import Role, all_containers, init_containers, regular_containers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kybern.api.core.v1 import Pod
    from kybern.kubelet.pods.specs import AnyContainer

GUARANTEED, BURSTABLE, BEST_EFFORT = "Guaranteed", "Burstable", "BestEffort"
MIN_SHARES, MAX_SHARES = 2, 262144
SHARES_PER_CPU = 1024
PERIOD = 100_000
MIN_QUOTA = 1_000
CRITICAL_PRIORITY = 2_000_000_000
GUARANTEED_SCORE, BEST_EFFORT_SCORE = -997, 1000


@dataclass(frozen=True, slots=True)
class PodLimits:
    """What goes into a pod's own cgroup; 0 means unlimited."""

    cpu_shares: int
    cpu_quota: int
    memory: int


def qos_class(pod: Pod) -> str:
    """Return the pod's class; the API server has usually worked it out already."""
    if pod.status.qosClass:
        return pod.status.qosClass
    requests: dict[str, int] = {}
    limits: dict[str, int] = {}
    guaranteed = True
    for wanted in all_containers(pod):
        if wanted.role is Role.EPHEMERAL:
            continue
        limited = 0
        for name in ("cpu", "memory"):
            limit, request = (
                _milli(_limits(wanted.spec), name),
                _milli(_requests(wanted.spec), name),
            )
            requests[name] = requests.get(name, 0) + request
            limits[name] = limits.get(name, 0) + limit
            limited += bool(limit)
        guaranteed = guaranteed and limited == 2
    if not any(requests.values()) and not any(limits.values()):
        return BEST_EFFORT
    return GUARANTEED if guaranteed and requests == limits else BURSTABLE


def shares(milli_cpu: int) -> int:
    """Return the CPU shares of a request."""
    return max(MIN_SHARES, min(MAX_SHARES, milli_cpu * SHARES_PER_CPU // 1000))


def quota(milli_cpu: int) -> int:
    """Return microseconds of CPU per period for a limit; 0 for none."""
    if not milli_cpu:
        return 0
    return max(MIN_QUOTA, milli_cpu * PERIOD // 1000)


def weight(cpu_shares: int) -> int:
    """Return the cgroup v2 weight for v1 shares, as the runtimes convert them."""
    return 1 + (cpu_shares - 2) * 9999 // 262142


def milli_cpu_request(container: AnyContainer) -> int:
    """Return a container's CPU request, which a limit alone implies."""
    return _milli(_requests(container), "cpu") or _milli(_limits(container), "cpu")


def milli_cpu_limit(container: AnyContainer) -> int:
    """Return a container's CPU limit; 0 for none."""
    return _milli(_limits(container), "cpu")


def memory_request(container: AnyContainer) -> int:
    """Return a container's memory request in bytes, which a limit alone implies."""
    return _bytes(_requests(container), "memory") or _bytes(_limits(container), "memory")


def memory_limit(container: AnyContainer) -> int:
    """Return a container's memory limit in bytes; 0 for none."""
    return _bytes(_limits(container), "memory")


def oom_score_adj(pod: Pod, container: AnyContainer, memory_capacity: int) -> int:
    """Return who the kernel kills first when memory runs out: higher goes earlier."""
    if (pod.spec.priority or 0) >= CRITICAL_PRIORITY:
        return GUARANTEED_SCORE
    kind = qos_class(pod)
    if kind == GUARANTEED:
        return GUARANTEED_SCORE
    if kind == BEST_EFFORT:
        return BEST_EFFORT_SCORE
    request = _bytes(_requests(container), "memory")
    score = 1000 - 1000 * request // memory_capacity
    # Burstable containers sort between the two other classes whatever they request.
    return min(max(score, 1000 + GUARANTEED_SCORE), BEST_EFFORT_SCORE - 1)


def pod_limits(pod: Pod) -> PodLimits:
    """Return the limits of the pod as a whole."""
    total = pod.spec.resources
    cpu, limit_cpu, limit_memory = _sums(pod)
    if total is not None:
        cpu = _milli(total.requests, "cpu") or _milli(total.limits, "cpu") or cpu
        limit_cpu = _milli(total.limits, "cpu") or limit_cpu
        limit_memory = _bytes(total.limits, "memory") or limit_memory
    overhead = pod.spec.overhead or {}
    cpu += _milli(overhead, "cpu")
    if limit_cpu:
        limit_cpu += _milli(overhead, "cpu")
    if limit_memory:
        limit_memory += _bytes(overhead, "memory")
    return PodLimits(shares(cpu), quota(limit_cpu), limit_memory)


def larger(one: PodLimits, other: PodLimits) -> PodLimits:
    """Return limits under which both fit; the shares are the second's."""
    return PodLimits(
        other.cpu_shares,
        _wider(one.cpu_quota, other.cpu_quota),
        _wider(one.memory, other.memory),
    )


def _wider(one: int, other: int) -> int:
    return max(one, other) if one and other else 0


def amount(limits: Mapping[str, str], name: str) -> int:
    """Return thousandths of a CPU, or bytes; 0 when nothing is said."""
    return _milli(limits, name) if name == "cpu" else _bytes(limits, name)


def _sums(pod: Pod) -> tuple[int, int, int]:
    """Return CPU request, CPU limit and memory limit; a limit is 0 when any container has none."""
    cpu = _peak(pod, milli_cpu_request)
    limits = [0 if _unlimited(pod, m) else _peak(pod, m) for m in (milli_cpu_limit, memory_limit)]
    return cpu, limits[0], limits[1]


def _peak(pod: Pod, measure: Callable[[AnyContainer], int]) -> int:
    """Return the most a pod has at any time: sidecars stay beside what runs after them."""
    highest = beside = 0
    for wanted in init_containers(pod):
        amount = measure(wanted.spec)
        highest = max(highest, beside + amount)
        if wanted.role is Role.SIDECAR:
            beside += amount
    return max(highest, beside + sum(measure(w.spec) for w in regular_containers(pod)))


def _unlimited(pod: Pod, measure: Callable[[AnyContainer], int]) -> bool:
    return not all(measure(w.spec) for w in (*init_containers(pod), *regular_containers(pod)))


def _requests(container: AnyContainer) -> Mapping[str, str]:
    return (container.resources.requests if container.resources else None) or {}


def _limits(container: AnyContainer) -> Mapping[str, str]:
    return (container.resources.limits if container.resources else None) or {}


def _milli(amounts: Mapping[str, str] | None, name: str) -> int:
    return quantity.to_milli((amounts or {}).get(name, "0"))


def _bytes(amounts: Mapping[str, str] | None, name: str) -> int:
    return quantity.to_value((amounts or {}).get(name, "0"))
