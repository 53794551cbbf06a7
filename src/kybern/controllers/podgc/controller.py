"""The pod garbage collector.

In:   pods and nodes.
Out:  lost pods are marked as failed and deleted at once.
By:   controllers.all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api import errors
from kybern.api.core import pods as ask
from kybern.api.core.v1 import Node, Pod
from kybern.controllers.podgc.plan import QUARANTINE, Reason, judge, surplus
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.reconcile import DONE, After, Key, Outcome, key_of
from kybern.lib import logs
from kybern.lib.clock import rfc3339

if TYPE_CHECKING:
    from kybern.controllers.runtime.host import Context

log = logs.get("controllers.podgc")

BY_NODE = "node"
FINISHED = "finished"
SWEEP = Key("", "")  # no pod: look at the finished ones


class PodGarbageCollector:
    """Removes lost pods."""

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        self._clock = ctx.clock
        self._threshold = ctx.config.terminated_pod_gc_threshold
        self._nodes = ctx.informers.of(Node)
        self._pods = ctx.informers.of(Pod, indexers={BY_NODE: _node_of, FINISHED: _finished})
        self._missing_since: dict[str, float] = {}
        self._loop: Loop[Key] = Loop("podgc", self.reconcile, after=(self._nodes, self._pods))
        self._nodes.on(add=self._node_seen, delete=self._node_gone)
        self._nodes.on(update=lambda _, node: self._node_seen(node))
        self._pods.on(add=self._pod_seen, update=lambda _, pod: self._pod_seen(pod))

    async def run(self) -> None:
        """Work for ever."""
        await self._loop.run()

    def statistics(self) -> dict[str, int]:
        """Return the loop's counters."""
        return self._loop.statistics()

    async def reconcile(self, key: Key) -> Outcome:
        """Remove one pod if it has to go."""
        if key == SWEEP:
            for finished in surplus(self._pods.by_index(FINISHED, FINISHED), self._threshold):
                await self._remove(finished, Reason.TOO_MANY)
            return DONE
        pod = self._pods.get(*key)
        if pod is None:
            return DONE
        reason = judge(pod, self._nodes.get("", pod.spec.nodeName or ""))
        if reason is Reason.ORPHANED:
            left = self._quarantine(pod.spec.nodeName or "")
            if left > 0:
                return After(left)
            if await self._exists(pod.spec.nodeName or ""):
                return After(QUARANTINE)  # the cache is behind
        if reason is not None:
            await self._remove(pod, reason)
        return DONE

    def _quarantine(self, node: str) -> float:
        now = self._clock.now()
        since = self._missing_since.setdefault(node, now)
        return since + QUARANTINE - now

    async def _exists(self, node: str) -> bool:
        try:
            await self._client.get(Node, node)
        except errors.NotFound:
            return False
        return True

    async def _remove(self, pod: Pod, reason: Reason) -> None:
        name, namespace = pod.metadata.name or "", pod.metadata.namespace or ""
        log.info("removing a pod", pod=f"{namespace}/{name}", reason=reason.value)
        try:
            if not ask.is_terminal(pod):
                await self._client.patch(
                    Pod,
                    name,
                    namespace,
                    self._failed(pod, reason),
                    type="strategic",
                    subresource="status",
                )
            await self._client.delete(Pod, name, namespace, uid=pod.metadata.uid, grace=0)
        except errors.NotFound:
            return  # gone

    def _failed(self, pod: Pod, reason: Reason) -> dict[str, Any]:
        status: dict[str, Any] = {"phase": "Failed"}
        if reason is Reason.ORPHANED:
            status["conditions"] = [
                {
                    "type": "DisruptionTarget",
                    "status": "True",
                    "reason": "DeletionByPodGC",
                    "message": "PodGC: node no longer exists",
                    "lastTransitionTime": rfc3339(self._clock.now()),
                }
            ]
        return {"metadata": {"uid": pod.metadata.uid}, "status": status}

    # --- from events to keys -----------------------------------------------------------------

    def _pod_seen(self, pod: Pod) -> None:
        if judge(pod, self._nodes.get("", pod.spec.nodeName or "")) is not None:
            self._loop.add(key_of(pod))
        if 0 < self._threshold < len(self._pods.index) and ask.is_terminal(pod):
            self._loop.add(SWEEP)

    def _node_seen(self, node: Node) -> None:
        self._missing_since.pop(node.metadata.name or "", None)
        for pod in self._pods.by_index(BY_NODE, node.metadata.name or ""):
            if ask.is_terminating(pod):
                self._loop.add(key_of(pod))

    def _node_gone(self, node: Node) -> None:
        for pod in self._pods.by_index(BY_NODE, node.metadata.name or ""):
            self._loop.add(key_of(pod))


def _node_of(pod: Pod) -> list[str]:
    return [pod.spec.nodeName] if pod.spec.nodeName else []


def _finished(pod: Pod) -> list[str]:
    return [FINISHED] if ask.is_terminal(pod) and not ask.is_terminating(pod) else []
