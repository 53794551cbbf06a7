"""A new node gets no pods before it is ready.

In:   nodes to be created.
Out:  the taint `node.kubernetes.io/not-ready:NoSchedule`.
By:   admission.plugins. The node controller takes it away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api.core.v1 import Node, Taint

if TYPE_CHECKING:
    from kybern.apiserver.context import Services
    from kybern.apiserver.registry.review import Review

NOT_READY, EFFECT = "node.kubernetes.io/not-ready", "NoSchedule"


class TaintNodes:
    """Taints new nodes."""

    def __init__(self, services: Services) -> None:
        del services

    def handles(self, group: str, plural: str, subresource: str, operation: str) -> bool:
        """Want new nodes."""
        return (group, plural, subresource, operation) == ("", "nodes", "", "CREATE")

    def mutate(self, review: Review) -> None:
        """Add the taint unless it is there."""
        node: Node = review.obj
        taints = node.spec.taints or []
        if not any(t.key == NOT_READY and t.effect == EFFECT for t in taints):
            node.spec.taints = [*taints, Taint(key=NOT_READY, effect=EFFECT)]
