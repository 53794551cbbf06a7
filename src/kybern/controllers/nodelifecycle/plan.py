"""What to say about a node, and which taints it gets.

In:   a node, for how long it is silent, whether pods may be driven off it now.
Out:  conditions to write, taints it should have.
By:   nodelifecycle.controller. Pure. Reasons and messages are upstream's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api.core.v1 import NodeCondition, Taint
from kybern.controllers.nodelifecycle.health import condition
from kybern.lib.clock import rfc3339

if TYPE_CHECKING:
    from kybern.api.core.v1 import Node

NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
PRESSURES = {
    "MemoryPressure": "node.kubernetes.io/memory-pressure",
    "DiskPressure": "node.kubernetes.io/disk-pressure",
    "PIDPressure": "node.kubernetes.io/pid-pressure",
    "NetworkUnavailable": "node.kubernetes.io/network-unavailable",
}
OURS = frozenset((NOT_READY, UNREACHABLE, UNSCHEDULABLE, *PRESSURES.values()))
JUDGED = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
NO_SCHEDULE, NO_EXECUTE = "NoSchedule", "NoExecute"


def silent_conditions(node: Node, now: float) -> list[NodeCondition]:
    """Return the conditions that change when a node has been silent for too long."""
    stamp = rfc3339(now)
    changed = []
    for kind in JUDGED:
        current = condition(node, kind)
        if current is None:
            changed.append(
                NodeCondition(
                    type=kind,
                    status="Unknown",
                    reason="NodeStatusNeverUpdated",
                    message="Kubelet never posted node status.",
                    lastHeartbeatTime=node.metadata.creationTimestamp,
                    lastTransitionTime=stamp,
                )
            )
        elif current.status != "Unknown":
            changed.append(
                NodeCondition(
                    type=kind,
                    status="Unknown",
                    reason="NodeStatusUnknown",
                    message="Kubelet stopped posting node status.",
                    lastHeartbeatTime=current.lastHeartbeatTime,
                    lastTransitionTime=stamp,
                )
            )
    return changed


def wanted_execute(node: Node) -> str | None:
    """Return the taint that drives pods off this node, or None for a node that is fine."""
    ready = condition(node, "Ready")
    if ready is None or ready.status == "True":
        return None
    return NOT_READY if ready.status == "False" else UNREACHABLE


def taints(node: Node, execute: str | None, now: float) -> list[Taint] | None:
    """Return the taints the node should have, or None when it has them.

    Args:
        node: the node.
        execute: the NoExecute taint it shall have of those that are this controller's.
        now: the time, for new taints.
    """
    current = list(node.spec.taints or ())
    wanted = {(key, NO_SCHEDULE) for key in _no_schedule(node)}
    if execute is not None:
        wanted.add((execute, NO_EXECUTE))
    kept = [taint for taint in current if not _is_ours(taint) or _id(taint) in wanted]
    have = {_id(taint) for taint in kept}
    missing = sorted(wanted - have)
    if not missing and len(kept) == len(current):
        return None
    stamp = rfc3339(now)
    return kept + [Taint(key=key, effect=effect, timeAdded=stamp) for key, effect in missing]


def has_execute(node: Node) -> str | None:
    """Return the NoExecute taint of ours that a node has."""
    for taint in node.spec.taints or ():
        if taint.effect == NO_EXECUTE and taint.key in (NOT_READY, UNREACHABLE):
            return taint.key
    return None


def _no_schedule(node: Node) -> list[str]:
    keys = []
    if (key := wanted_execute(node)) is not None:
        keys.append(key)
    for kind, key in PRESSURES.items():
        current = condition(node, kind)
        if current is not None and current.status == "True":
            keys.append(key)
    if node.spec.unschedulable:
        keys.append(UNSCHEDULABLE)
    return keys


def _is_ours(taint: Taint) -> bool:
    if taint.effect == NO_EXECUTE:
        return taint.key in (NOT_READY, UNREACHABLE)
    return taint.effect == NO_SCHEDULE and taint.key in OURS


def _id(taint: Taint) -> tuple[str, str]:
    return (taint.key, taint.effect)
