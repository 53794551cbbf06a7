"""The taint eviction controller.

In:   nodes with NoExecute taints, the pods on them.
Out:  pods that may not stay are deleted when their time is up.
By:   controllers.all.

A pod is looked at anew whenever the taints of its node change, so a taint that goes in time saves
the pod.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

from kybern.api import errors
from kybern.api.core import pods as ask
from kybern.api.core.v1 import Node, Pod
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.reconcile import DONE, After, Key, Outcome, key_of
from kybern.controllers.tainteviction.plan import driving_off, may_stay
from kybern.lib.clock import rfc3339

if TYPE_CHECKING:
    from kybern.controllers.runtime.host import Context

BY_NODE = "node"


class TaintEvictionController:
    """Drives pods off tainted nodes."""

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        self._clock = ctx.clock
        self._recorder = ctx.recorder
        self._nodes = ctx.informers.of(Node)
        self._pods = ctx.informers.of(Pod, indexers={BY_NODE: _node_of})
        self._since: dict[Key, tuple[str, float]] = {}
        self._loop: Loop[Key] = Loop(
            "tainteviction",
            self.reconcile,
            after=(self._nodes, self._pods),
            workers=ctx.config.workers,
        )
        self._nodes.on(add=self._node_seen, update=self._node_changed, delete=self._node_seen)
        self._pods.on(add=self._pod_seen, update=self._pod_changed, delete=self._pod_gone)

    async def run(self) -> None:
        """Work for ever."""
        await self._loop.run()

    def statistics(self) -> dict[str, int]:
        """Return how many pods are on their way out, and the loop's counters."""
        return {"scheduled": len(self._since), **self._loop.statistics()}

    async def reconcile(self, key: Key) -> Outcome:
        """Delete a pod whose time is up, or come back when it is."""
        pod = self._pods.get(*key)
        if pod is None or ask.is_terminating(pod) or not pod.spec.nodeName:
            self._since.pop(key, None)
            return DONE
        stay = may_stay(pod, driving_off(self._nodes.get("", pod.spec.nodeName)))
        now = self._clock.now()
        uid = pod.metadata.uid or ""
        if stay == inf:
            if self._since.pop(key, None) is not None:
                message = f"Cancelling deletion of Pod {key}"
                self._recorder.event(pod, "Normal", "TaintManagerEviction", message)
            return DONE
        known, since = self._since.get(key, ("", now))
        if known != uid:
            since = now
            self._since[key] = (uid, now)
        left = since + stay - now
        if left > 0:
            return After(left)
        await self._evict(key, pod)
        return DONE

    async def _evict(self, key: Key, pod: Pod) -> None:
        message = f"Marking for deletion Pod {key}"
        self._recorder.event(pod, "Normal", "TaintManagerEviction", message)
        stamp = rfc3339(self._clock.now())
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "DeletionByTaintManager",
            "message": "Taint manager: deleting due to NoExecute taint",
            "lastTransitionTime": stamp,
        }
        body = {"metadata": {"uid": pod.metadata.uid}, "status": {"conditions": [condition]}}
        try:
            await self._client.patch(
                Pod, key.name, key.namespace, body, type="strategic", subresource="status"
            )
            await self._client.delete(Pod, key.name, key.namespace, uid=pod.metadata.uid)
        except (errors.NotFound, errors.Conflict):
            return  # gone, or another pod by now

    # --- from events to keys -----------------------------------------------------------------

    def _node_seen(self, node: Node) -> None:
        if driving_off(node):
            self._add_pods_of(node)

    def _node_changed(self, old: Node, new: Node) -> None:
        if driving_off(old) != driving_off(new):
            self._add_pods_of(new)

    def _add_pods_of(self, node: Node) -> None:
        for pod in self._pods.by_index(BY_NODE, node.metadata.name or ""):
            self._loop.add(key_of(pod))

    def _pod_seen(self, pod: Pod) -> None:
        if driving_off(self._nodes.get("", pod.spec.nodeName or "")):
            self._loop.add(key_of(pod))

    def _pod_changed(self, old: Pod, new: Pod) -> None:
        if _decides(old) != _decides(new):
            self._pod_seen(new)

    def _pod_gone(self, pod: Pod) -> None:
        self._since.pop(key_of(pod), None)


def _decides(pod: Pod) -> tuple[Any, ...]:
    return (pod.spec.nodeName, pod.spec.tolerations)


def _node_of(pod: Pod) -> list[str]:
    return [pod.spec.nodeName] if pod.spec.nodeName else []
