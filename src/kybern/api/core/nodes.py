"""Questions one asks of a node.

In:   a Node; borrowed, never changed (but for `set_condition`, which says so).
Out:  answers.
By:   scheduler, controllers, kubelet, tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kybern.api.quantity import ZERO, Quantity, parse

if TYPE_CHECKING:
    from kybern.api.core.v1 import Node, NodeCondition, Taint

ROLE_LABEL: Final = "node-role.kubernetes.io/"
OLD_ROLE_LABEL: Final = "kubernetes.io/role"
NOT_READY: Final = "node.kubernetes.io/not-ready"
UNREACHABLE: Final = "node.kubernetes.io/unreachable"
UNSCHEDULABLE: Final = "node.kubernetes.io/unschedulable"
MEMORY_PRESSURE: Final = "node.kubernetes.io/memory-pressure"
DISK_PRESSURE: Final = "node.kubernetes.io/disk-pressure"
PID_PRESSURE: Final = "node.kubernetes.io/pid-pressure"
NETWORK_UNAVAILABLE: Final = "node.kubernetes.io/network-unavailable"


def condition(node: Node, kind: str) -> NodeCondition | None:
    """The condition of this type."""
    for each in node.status.conditions or ():
        if each.type == kind:
            return each
    return None


def set_condition(node: Node, new: NodeCondition, now: str) -> bool:
    """Put a condition into a node one owns; whether its status, reason or message changed.

    The time of transition is `now`, unless the status stays as it was.
    """
    conditions = node.status.conditions
    if conditions is None:
        conditions = node.status.conditions = []
    for index, old in enumerate(conditions):
        if old.type != new.type:
            continue
        same = old.status == new.status
        new.lastTransitionTime = old.lastTransitionTime if same else now
        conditions[index] = new
        told = (old.status, old.reason, old.message)
        return told != (new.status, new.reason, new.message)
    new.lastTransitionTime = now
    conditions.append(new)
    return True


def is_ready(node: Node) -> bool:
    """Whether its kubelet says that it can run pods."""
    ready = condition(node, "Ready")
    return ready is not None and ready.status == "True"


def is_schedulable(node: Node) -> bool:
    """Whether nobody has closed it to new pods."""
    return not node.spec.unschedulable


def roles(node: Node) -> list[str]:
    """What its labels call it: `control-plane`, `worker`."""
    labels = node.metadata.labels or {}
    found = [key.removeprefix(ROLE_LABEL) for key in labels if key.startswith(ROLE_LABEL)]
    if labels.get(OLD_ROLE_LABEL):
        found.append(labels[OLD_ROLE_LABEL])
    return sorted(name for name in set(found) if name)


def address(node: Node, *kinds: str) -> str | None:
    """Its first address of the first of these kinds that it has."""
    for kind in kinds:
        for each in node.status.addresses or ():
            if each.type == kind:
                return each.address
    return None


def internal_ip(node: Node) -> str | None:
    """Where other nodes reach it."""
    return address(node, "InternalIP", "ExternalIP")


def allocatable(node: Node, name: str) -> Quantity:
    """How much of a resource its pods may request in all."""
    text = (node.status.allocatable or {}).get(name)
    return parse(text) if text is not None else ZERO


def has_taint(node: Node, key: str, effect: str) -> bool:
    """Whether it has a taint of this key and effect."""
    return any(t.key == key and t.effect == effect for t in node.spec.taints or ())


def with_taint(taints: list[Taint] | None, taint: Taint) -> list[Taint]:
    """The taints with this one among them, in place of one of the same key and effect."""
    rest = without_taint(taints, taint.key, taint.effect)
    return [*rest, taint]


def without_taint(taints: list[Taint] | None, key: str, effect: str) -> list[Taint]:
    """The taints but for that of this key and effect."""
    return [t for t in taints or () if (t.key, t.effect) != (key, effect)]


def pod_cidrs(node: Node) -> list[str]:
    """Where the addresses of its pods come from."""
    return node.spec.podCIDRs or ([node.spec.podCIDR] if node.spec.podCIDR else [])
