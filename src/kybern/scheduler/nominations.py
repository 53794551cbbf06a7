"""Nodes that are being cleared: for whom room is kept until its victims have left.

In:   pods and the nodes they were promised.
Out:  which pods count on a node although they do not run there yet.
By:   cycle, which keeps the room free from lesser pods; loop, which makes and drops promises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kybern.scheduler.pod_info import PodInfo


class Nominations:
    """Promises, by node."""

    def __init__(self) -> None:
        self._node_of: dict[str, str] = {}
        self._by_node: dict[str, dict[str, PodInfo]] = {}

    def __bool__(self) -> bool:
        return bool(self._node_of)

    def put(self, pod: PodInfo, node: str) -> None:
        """Promise a node to a pod, in place of any other."""
        self.drop(pod.uid)
        self._node_of[pod.uid] = node
        self._by_node.setdefault(node, {})[pod.uid] = pod

    def drop(self, uid: str) -> None:
        """Forget a promise."""
        node = self._node_of.pop(uid, None)
        if node is None:
            return
        pods = self._by_node[node]
        del pods[uid]
        if not pods:
            del self._by_node[node]

    def node_of(self, uid: str) -> str | None:
        """Return the node that was promised to a pod."""
        return self._node_of.get(uid)

    def nodes(self) -> tuple[str, ...]:
        """Return the nodes promised to anyone."""
        return tuple(self._by_node)

    def before(self, pod: PodInfo, node: str) -> list[PodInfo]:
        """Return those who count on a node and are at least as important as this other pod."""
        return [
            each
            for each in self._by_node.get(node, {}).values()
            if each.priority >= pod.priority and each.uid != pod.uid
        ]

    def lesser(self, pod: PodInfo, node: str) -> list[PodInfo]:
        """Return those who count on a node and are less important than this pod."""
        return [
            each for each in self._by_node.get(node, {}).values() if each.priority < pod.priority
        ]
