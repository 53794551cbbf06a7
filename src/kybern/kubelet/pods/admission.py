"""Whether this node takes a pod.

In:   a pod bound to the node, the pods it has already, what it can offer.
Out:  None, or the Outcome with which the pod is refused.
By:   sources.py. Pure. The scheduler has asked the same before; a pod can be bound without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import quantity
from kybern.kubelet.pods import specs
from kybern.kubelet.pods.specs import Role
from kybern.kubelet.pods.status import FAILED, TERMINAL, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from kybern.api.core.v1 import Pod

REFUSED = "Pod was rejected: "
SAFE_SYSCTLS = (
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range", "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
)  # fmt: skip


def admit(
    pod: Pod, others: Iterable[Pod], allocatable: Mapping[str, str], labels: Mapping[str, str]
) -> Outcome | None:
    """Return why a pod is refused; None when it is taken."""
    taken = [other for other in others if other.status.phase not in TERMINAL]
    return (
        _selects_another_node(pod, labels)
        or _sysctls(pod)
        or _ports(pod, taken)
        or _resources(pod, taken, allocatable)
    )


def requests(pod: Pod) -> dict[str, int]:
    """Return what a pod asks for in thousandths: the most it has at any one time."""
    names = {
        name
        for wanted in specs.all_containers(pod)
        if wanted.spec.resources is not None
        for name in (wanted.spec.resources.requests or {})
    }
    overhead = pod.spec.overhead or {}
    return {
        name: _peak(pod, _request(name)) + quantity.to_milli(overhead.get(name, "0"))
        for name in names | overhead.keys()
    }


def _selects_another_node(pod: Pod, labels: Mapping[str, str]) -> Outcome | None:
    selector = pod.spec.nodeSelector or {}
    if any(labels.get(key) != value for key, value in selector.items()):
        message = "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"
        return Outcome(FAILED, "NodeAffinity", REFUSED + message)
    return None


def _sysctls(pod: Pod) -> Outcome | None:
    context = pod.spec.securityContext
    for sysctl in (context.sysctls if context else None) or ():
        name = sysctl.name.replace("/", ".")
        if name not in SAFE_SYSCTLS:
            return Outcome(FAILED, "SysctlForbidden", f'forbidden sysctl: "{name}" not allowlisted')
    return None


def _ports(pod: Pod, taken: list[Pod]) -> Outcome | None:
    used = {port for other in taken for port in _host_ports(other)}
    for protocol, port, address in _host_ports(pod):
        for other_protocol, other_port, other_address in used:
            same_place = "" in (address, other_address) or address == other_address
            if (protocol, port) == (other_protocol, other_port) and same_place:
                message = "Predicate NodePorts failed: node(s) didn't have free ports for the "
                return Outcome(FAILED, "NodePorts", REFUSED + message + "requested pod ports")
    return None


def _host_ports(pod: Pod) -> list[tuple[str, int, str]]:
    found = []
    for wanted in specs.all_containers(pod):
        for port in wanted.spec.ports or ():
            if port.hostPort:
                address = "" if port.hostIP in (None, "0.0.0.0") else port.hostIP  # noqa: S104
                found.append((port.protocol or "TCP", port.hostPort, address or ""))
    return found


def _resources(pod: Pod, taken: list[Pod], allocatable: Mapping[str, str]) -> Outcome | None:
    limit = int(allocatable.get("pods", "0"))
    if limit and len(taken) + 1 > limit:
        return Outcome(FAILED, "OutOfpods", REFUSED + _too_little("pods", 1, len(taken), limit))
    missing = lack(requests(pod), taken, allocatable)
    if missing is None:
        return None
    return Outcome(FAILED, f"OutOf{missing[0]}", REFUSED + missing[1])


def lack(
    asked: Mapping[str, int], taken: Iterable[Pod], allocatable: Mapping[str, str]
) -> tuple[str, str] | None:
    """Return what the node has too little of and a sentence about it; None when all fits."""
    used: dict[str, int] = {}
    for other in taken:
        for name, amount in requests(other).items():
            used[name] = used.get(name, 0) + amount
    for name, amount in asked.items():
        capacity = quantity.to_milli(allocatable.get(name, "0"))
        if amount and used.get(name, 0) + amount > capacity:
            unit = 1 if name == "cpu" else 1000
            return name, _too_little(
                name, amount // unit, used.get(name, 0) // unit, capacity // unit
            )
    return None


def _too_little(resource: str, requested: int, used: int, capacity: int) -> str:
    return (
        f"Node didn't have enough resource: {resource}, requested: {requested}, used: {used}, "
        f"capacity: {capacity}"
    )


def _request(name: str) -> Callable[[specs.AnyContainer], int]:
    def measure(container: specs.AnyContainer) -> int:
        resources = container.resources
        amounts = (resources.requests if resources else None) or {}
        return quantity.to_milli(amounts.get(name, "0"))

    return measure


def _peak(pod: Pod, measure: Callable[[specs.AnyContainer], int]) -> int:
    highest = beside = 0
    for wanted in specs.init_containers(pod):
        amount = measure(wanted.spec)
        highest = max(highest, beside + amount)
        if wanted.role is Role.SIDECAR:
            beside += amount
    return max(highest, beside + sum(measure(w.spec) for w in specs.regular_containers(pod)))
