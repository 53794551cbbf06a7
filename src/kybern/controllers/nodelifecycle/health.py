"""When nodes were last heard of.

In:   nodes and their leases as they are seen, the time by our own clock.
Out:  since when a node is silent.
By:   nodelifecycle.controller. Pure.

Only changes count, and only our clock: the clocks of nodes need not agree with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kybern.api.coordination.v1 import Lease
    from kybern.api.core.v1 import Node, NodeCondition


@dataclass(slots=True)
class Health:
    """What is remembered of one node.

    Attributes:
        heard_at: when something changed, by our clock.
        heartbeat: the last heartbeat in its Ready condition.
        renewed: the last renewal of its lease.
        was_ready: whether it was ready when last looked at; None at first.
    """

    heard_at: float
    heartbeat: str | None = None
    renewed: str | None = None
    was_ready: bool | None = None


class Healths:
    """The health of all nodes, by name."""

    def __init__(self) -> None:
        self._all: dict[str, Health] = {}

    def get(self, name: str, now: float) -> Health:
        """Return what is known of a node; one never heard of counts as heard of now."""
        health = self._all.get(name)
        if health is None:
            health = self._all[name] = Health(now)
        return health

    def forget(self, name: str) -> None:
        """Forget a node that is gone."""
        self._all.pop(name, None)

    def saw_node(self, node: Node, now: float) -> None:
        """Take note of a node's status."""
        ready = condition(node, "Ready")
        heartbeat = ready.lastHeartbeatTime if ready is not None else None
        health = self.get(node.metadata.name or "", now)
        # What this controller wrote itself is no sign of life.
        if ready is not None and ready.status == "Unknown":
            return
        if heartbeat != health.heartbeat:
            health.heartbeat = heartbeat
            health.heard_at = now

    def saw_lease(self, lease: Lease, now: float) -> None:
        """Take note of a lease."""
        health = self.get(lease.metadata.name or "", now)
        renewed = lease.spec.renewTime
        if renewed is not None and renewed != health.renewed:
            health.renewed = renewed
            health.heard_at = now

    def pardon(self, now: float) -> None:
        """Give every node its full grace again, because it was we who could not hear."""
        for health in self._all.values():
            health.heard_at = now


def condition(node: Node, kind: str) -> NodeCondition | None:
    """Return a condition of a node."""
    for each in node.status.conditions or ():
        if each.type == kind:
            return each
    return None


def is_ready(node: Node) -> bool:
    """Whether a node says it is ready."""
    ready = condition(node, "Ready")
    return ready is not None and ready.status == "True"
