"""The cluster as the scheduler believes it to be: nodes, and which pods run on them.

In:   news of nodes and of pods that have a node; pods it has just chosen a node for.
Out:  `nodes`, the columns, with every pod's requests taken; the pods of a node.
By:   loop.

A pod is assumed to be on its node from the moment it is chosen, long before the API says so. If the
binding fails it is forgotten; if the binding was answered but the pod is not seen within a few
minutes, something is wrong, and `expire` gives its requests back.

Pods may be told of before their node, and stay when it goes: both come from different watches.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from kybern.api.core import pods as pod_questions
from kybern.lib import logs
from kybern.scheduler.columns import Nodes
from kybern.scheduler.framework import News
from kybern.scheduler.pod_info import PodInfo

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kybern.api.core.v1 import Node, Pod

log = logs.get("scheduler.cache")

UNSEEN: Final = 300.0  # seconds a bound pod may go unseen


class Placed:
    """A pod and its node.

    Attributes:
        info: the pod.
        node: the node's name.
        assumed: whether we only believe it; the API has not said so yet.
        answered: when its binding was answered; None before.
    """

    __slots__ = ("answered", "assumed", "info", "node")

    def __init__(self, info: PodInfo, node: str, *, assumed: bool) -> None:
        self.info = info
        self.node = node
        self.assumed = assumed
        self.answered: float | None = None


class Away:
    """Pods which, for the moment, are taken to be gone. Leaving `with` brings all of them back."""

    def __init__(self, cache: Cache, pods: Iterable[Placed]) -> None:
        self._cache = cache
        self._pods = {placed.info.uid: placed for placed in pods}

    def __enter__(self) -> Away:
        for placed in self._pods.values():
            self._cache.shift(placed, -1)
        return self

    def __exit__(self, *_: object) -> None:
        for placed in self._pods.values():
            self._cache.shift(placed, 1)

    def __contains__(self, placed: Placed) -> bool:
        return placed.info.uid in self._pods

    def bring_back(self, placed: Placed) -> None:
        """Take one to be there again."""
        del self._pods[placed.info.uid]
        self._cache.shift(placed, 1)

    def take_away(self, placed: Placed) -> None:
        """Take one to be gone again."""
        self._pods[placed.info.uid] = placed
        self._cache.shift(placed, -1)


class Cache:
    """Nodes and the pods on them."""

    def __init__(self) -> None:
        self.nodes = Nodes()
        self._pods: dict[str, Placed] = {}
        self._by_node: dict[str, dict[str, Placed]] = {}
        self._assumed: dict[str, Placed] = {}
        self._priorities: dict[int, int] = {}
        self.nodes.pods.everyone = self._everyone

    def __len__(self) -> int:
        return len(self._pods)

    # --- nodes ---------------------------------------------------------------------------------

    def put_node(self, node: Node) -> int:
        """Take in a node's newest state; return the `News`."""
        name = node.metadata.name or ""
        known = name in self.nodes.index
        news = self.nodes.put(node)
        if not known:
            row = self.nodes.index[name]
            for placed in self._by_node.get(name, {}).values():
                self.nodes.take(row, placed.info)
        return news

    def remove_node(self, name: str) -> None:
        """Forget a node; its pods are remembered until they are deleted."""
        self.nodes.remove(name)

    # --- pods the API says have a node -----------------------------------------------------------

    def put_pod(self, pod: Pod) -> int:
        """Take in the newest state of a pod that has a node; return the `News`."""
        uid, node = pod.metadata.uid or "", pod.spec.nodeName or ""
        if pod_questions.is_terminal(pod):
            return self.remove_pod(uid)
        placed = self._pods.get(uid)
        if placed is None:
            self._place(PodInfo(pod), node, assumed=False)
            return News.POD_ADDED
        if placed.assumed:
            placed.assumed = False
            del self._assumed[uid]
        if placed.node != node:
            log.warning("pod is on another node than chosen", pod=placed.info.key, node=node)
            self._displace(placed)
            self._place(PodInfo(pod), node, assumed=False)
            return News.POD_ADDED | News.POD_GONE
        return self._renew(placed, pod)

    def remove_pod(self, uid: str) -> int:
        """Forget a pod which is gone or over; return the `News`, if it was known."""
        placed = self._pods.get(uid)
        if placed is None:
            return News.NOTHING
        self._displace(placed)
        return News.POD_GONE

    # --- pods the scheduler has chosen a node for -------------------------------------------------

    def assume(self, info: PodInfo, row: int) -> None:
        """Believe that a pod is on its node."""
        self._place(info, self.nodes.name(row), assumed=True)

    def forget(self, uid: str) -> bool:
        """Take back an assumption; say whether there was one."""
        placed = self._assumed.get(uid)
        if placed is None:
            return False
        self._displace(placed)
        return True

    def answered(self, uid: str, now: float) -> None:
        """Note that the API has accepted the binding of an assumed pod."""
        placed = self._assumed.get(uid)
        if placed is not None:
            placed.answered = now

    def expire(self, now: float) -> bool:
        """Take back assumptions the API never confirmed; say whether there were any."""
        late = [
            placed
            for placed in self._assumed.values()
            if placed.answered is not None and now - placed.answered > UNSEEN
        ]
        for placed in late:
            log.error("bound pod was never seen on its node", pod=placed.info.key)
            self._displace(placed)
        return bool(late)

    # --- reading -------------------------------------------------------------------------------

    def is_placed(self, uid: str) -> bool:
        """Say whether a pod has a node, as far as we know or believe."""
        return uid in self._pods

    @property
    def lowest_priority(self) -> float:
        """The priority of the least important pod that has a node."""
        return min(self._priorities, default=math.inf)

    def without(self, pods: Iterable[Placed]) -> Away:
        """Try out how it would be without these pods, inside `with`."""
        return Away(self, pods)

    @property
    def unconfirmed(self) -> int:
        """How many pods we only believe to have a node."""
        return len(self._assumed)

    def on_node(self, name: str) -> Iterable[Placed]:
        """Return the pods of a node."""
        return self._by_node.get(name, {}).values()

    def statistics(self) -> dict[str, int]:
        """Return how much there is."""
        return {
            "nodes": self.nodes.count,
            "placed_pods": len(self._pods),
            "assumed_pods": len(self._assumed),
        }

    # --- bookkeeping ---------------------------------------------------------------------------

    def shift(self, placed: Placed, sign: int) -> None:
        """Take what a pod requests from its node, or, with `sign` -1, give it back."""
        row = self.nodes.index.get(placed.node)
        if row is not None:
            self.nodes.take(row, placed.info, sign)

    def _place(self, info: PodInfo, node: str, *, assumed: bool) -> None:
        placed = Placed(info, node, assumed=assumed)
        self._pods[info.uid] = placed
        self._priorities[info.priority] = self._priorities.get(info.priority, 0) + 1
        self._by_node.setdefault(node, {})[info.uid] = placed
        if assumed:
            self._assumed[info.uid] = placed
        self.shift(placed, 1)

    def _displace(self, placed: Placed) -> None:
        uid = placed.info.uid
        del self._pods[uid]
        self._assumed.pop(uid, None)
        siblings = self._by_node[placed.node]
        del siblings[uid]
        if not siblings:
            del self._by_node[placed.node]
        priority = placed.info.priority
        self._priorities[priority] -= 1
        if not self._priorities[priority]:
            del self._priorities[priority]
        self.shift(placed, -1)

    def _renew(self, placed: Placed, pod: Pod) -> int:
        """Replace the state of a pod that stays where it is."""
        info, old = placed.info, placed.info.pod
        news: int = News.NOTHING
        if old.metadata.labels != pod.metadata.labels:
            news |= News.POD_LABELS
        if info.resizing or _may_ask_differently(old, pod):
            renewed = PodInfo(pod)
            info.resizing = renewed.resizing
            if renewed.fit != info.fit:
                self._displace(placed)
                self._place(renewed, placed.node, assumed=False)
                return news | News.POD_GONE
        if news or old.metadata.deletionTimestamp != pod.metadata.deletionTimestamp:
            # Others count it by these.
            self.shift(placed, -1)
            info.pod = pod
            self.shift(placed, 1)
        info.pod = pod
        return news

    def _everyone(self) -> Iterator[tuple[int, PodInfo]]:
        for name, pods in self._by_node.items():
            row = self.nodes.index.get(name)
            if row is not None:
                for placed in pods.values():
                    yield row, placed.info


def _may_ask_differently(old: Pod, new: Pod) -> bool:
    # A server that counts generations spares us the comparison on every status update.
    generation = new.metadata.generation
    return generation is None or generation != old.metadata.generation
