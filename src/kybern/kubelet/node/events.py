"""What is told about a node when its state changes.

In:   the Node's conditions, or its spec, before and after.
Out:  reasons of events; the sentence to go with one.
By:   status.py, agent.py. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api.core.v1 import ObjectReference

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.api.core.v1 import Node, NodeCondition

# type of a condition -> reason when it is "True", reason when it is not
REASONS = {
    "MemoryPressure": ("NodeHasInsufficientMemory", "NodeHasSufficientMemory"),
    "DiskPressure": ("NodeHasDiskPressure", "NodeHasNoDiskPressure"),
    "PIDPressure": ("NodeHasInsufficientPID", "NodeHasSufficientPID"),
    "Ready": ("NodeReady", "NodeNotReady"),
}


def about(name: str) -> ObjectReference:
    """Return what the kubelet's events about its node refer to; as upstream's, by name alone."""
    return ObjectReference(kind="Node", name=name, uid=name)


def sentence(name: str, reason: str) -> str:
    """Return the message of an event with one of these reasons."""
    return f"Node {name} status is now: {reason}"


def of_conditions(before: Iterable[NodeCondition], after: Iterable[NodeCondition]) -> list[str]:
    """Return the reasons for what has changed, in the order of the conditions."""
    known = {condition.type: condition.status for condition in before}
    return [
        REASONS[condition.type][condition.status != "True"]
        for condition in after
        if condition.type in REASONS and known.get(condition.type) != condition.status
    ]


def of_spec(before: Node, after: Node) -> list[str]:
    """Return the reason when pods may now, or may no longer, be scheduled to the node."""
    if bool(before.spec.unschedulable) == bool(after.spec.unschedulable):
        return []
    return ["NodeNotSchedulable" if after.spec.unschedulable else "NodeSchedulable"]
