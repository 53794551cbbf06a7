"""The node lifecycle controller.

In:   nodes, their leases, the pods on them.
Out:  conditions of silent nodes, taints, pods of such nodes marked as not ready, events.
By:   controllers.all.

Nothing is polled: a node is looked at when its grace would run out, or when it changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api import codec, errors
from kybern.api.coordination.v1 import Lease
from kybern.api.core import pods as ask
from kybern.api.core.v1 import Node, ObjectReference, Pod
from kybern.client.transport import Unreachable
from kybern.controllers.nodelifecycle.health import Healths, condition, is_ready
from kybern.controllers.nodelifecycle.plan import (
    has_execute,
    silent_conditions,
    taints,
    wanted_execute,
)
from kybern.controllers.nodelifecycle.zones import Limiter, Rates, zone_of
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.reconcile import DONE, After, Key, Outcome, key_of
from kybern.lib import logs
from kybern.lib.clock import rfc3339

if TYPE_CHECKING:
    from kybern.api.core.v1 import Taint
    from kybern.controllers.runtime.host import Context

log = logs.get("controllers.nodelifecycle")

LEASES = "kube-node-lease"
BY_NODE = "node"


class NodeLifecycleController:
    """Watches over nodes."""

    def __init__(self, ctx: Context) -> None:
        config = ctx.config
        self._client = ctx.client
        self._clock = ctx.clock
        self._recorder = ctx.recorder
        self._grace = config.node_monitor_grace_period
        self._startup_grace = config.node_startup_grace_period
        self._retry = config.node_monitor_period
        self._healths = Healths()
        self._limiter = Limiter(
            Rates(
                config.node_eviction_rate,
                config.secondary_node_eviction_rate,
                config.unhealthy_zone_threshold,
                config.large_cluster_size_threshold,
            )
        )
        self._cut_off = False
        self._zones_changed = True
        self._nodes = ctx.informers.of(Node)
        self._leases = ctx.informers.of(Lease, namespace=LEASES)
        self._pods = ctx.informers.of(Pod, indexers={BY_NODE: _node_of})
        self._loop: Loop[Key] = Loop(
            "nodelifecycle",
            self.reconcile,
            after=(self._nodes, self._leases, self._pods),
            workers=config.workers,
        )
        self._nodes.on(add=self._node_added, update=self._node_changed, delete=self._node_gone)
        self._leases.on(add=self._lease_seen, update=lambda _, lease: self._lease_seen(lease))
        self._pods.on(add=self._pod_seen, update=self._pod_changed)

    async def run(self) -> None:
        """Work for ever."""
        await self._loop.run()

    def statistics(self) -> dict[str, int]:
        """Return the loop's counters."""
        return self._loop.statistics()

    async def reconcile(self, key: Key) -> Outcome:
        """Judge one node."""
        node = self._nodes.get(*key)
        if node is None:
            return DONE
        now = self._clock.now()
        known = condition(node, "Ready") is not None
        grace = self._grace if known else self._startup_grace
        health = self._healths.get(key.name, now)
        left = health.heard_at + grace - now
        if left <= 0 and (changed := silent_conditions(node, now)):
            await self._write_conditions(node, changed)
            return DONE  # the change itself brings us back
        await self._tell_transition(node)
        wait = await self._taint(node, now)
        if not is_ready(node) and known:
            await self._mark_pods(key.name)
        due = [seconds for seconds in (left, wait) if seconds is not None and seconds > 0]
        return After(min(due)) if due else DONE

    # --- acting ------------------------------------------------------------------------------

    async def _write_conditions(self, node: Node, changed: list[Any]) -> None:
        body = {"status": {"conditions": [codec.to_tree(each) for each in changed]}}
        name = node.metadata.name or ""
        await self._client.patch(Node, name, "", body, type="strategic", subresource="status")

    async def _tell_transition(self, node: Node) -> None:
        health = self._healths.get(node.metadata.name or "", self._clock.now())
        ready = is_ready(node)
        if health.was_ready and not ready:
            name = node.metadata.name
            message = f"Node {name} status is now: NodeNotReady"
            self._recorder.event(_about(node), "Normal", "NodeNotReady", message)
        health.was_ready = ready

    async def _taint(self, node: Node, now: float) -> float | None:
        """Bring the taints up to date; return when to come again for the one that drives off."""
        if self._zones_changed:
            self._zones_changed = False
            self._review_zones()
        execute, wait, turn = wanted_execute(node), None, None
        if self._limiter.all_down:
            execute = None
        elif execute is not None and has_execute(node) is None:
            turn = self._limiter.wait(zone_of(node), now)
            if turn != 0:
                execute, wait = None, turn if turn is not None else self._retry
        wanted = taints(node, execute, now)
        if wanted is not None:
            try:
                await self._write_taints(node, wanted)
            except (errors.ApiError, Unreachable):
                if turn == 0:
                    self._limiter.give_back(zone_of(node))
                raise
        return wait

    async def _write_taints(self, node: Node, wanted: list[Taint]) -> None:
        metadata = node.metadata
        # With the version, because a list is replaced as a whole.
        body = {
            "metadata": {"resourceVersion": metadata.resourceVersion},
            "spec": {"taints": [codec.to_tree(taint) for taint in wanted] or None},
        }
        await self._client.patch(Node, metadata.name or "", "", body)

    def _review_zones(self) -> None:
        zones: dict[str, tuple[int, int]] = {}
        for node in self._nodes.list():
            ready, not_ready = zones.get(zone_of(node), (0, 0))
            if is_ready(node):
                zones[zone_of(node)] = (ready + 1, not_ready)
            else:
                zones[zone_of(node)] = (ready, not_ready + 1)
        self._limiter.update(zones)
        cut_off = self._limiter.all_down
        if cut_off != self._cut_off:
            self._cut_off = cut_off
            log.info("no node is ready" if cut_off else "nodes are ready again")
            if not cut_off:
                self._healths.pardon(self._clock.now())
            for node in self._nodes.list():
                self._loop.add(key_of(node))

    async def _mark_pods(self, node: str) -> None:
        """Take the pods of a node that is not ready out of service."""
        for pod in self._pods.by_index(BY_NODE, node):
            ready = ask.condition(pod, "Ready")
            if ready is None or ready.status != "True":
                continue
            stamp = rfc3339(self._clock.now())
            change = {"type": "Ready", "status": "False", "lastTransitionTime": stamp}
            body = {
                "metadata": {"uid": pod.metadata.uid},
                "status": {"conditions": [change]},
            }
            name, namespace = pod.metadata.name or "", pod.metadata.namespace or ""
            try:
                await self._client.patch(
                    Pod, name, namespace, body, type="strategic", subresource="status"
                )
            except (errors.NotFound, errors.Conflict):
                continue
            self._recorder.event(pod, "Warning", "NodeNotReady", "Node is not ready")

    # --- from events to keys -----------------------------------------------------------------

    def _node_added(self, node: Node) -> None:
        self._healths.saw_node(node, self._clock.now())
        self._zones_changed = True
        self._loop.add(key_of(node))
        if self._nodes.synced:
            name = node.metadata.name
            message = f"Node {name} event: Registered Node {name} in Controller"
            self._recorder.event(_about(node), "Normal", "RegisteredNode", message)

    def _node_changed(self, old: Node, new: Node) -> None:
        self._healths.saw_node(new, self._clock.now())
        if is_ready(old) != is_ready(new) or zone_of(old) != zone_of(new):
            self._zones_changed = True
        if _judged(old) != _judged(new):
            self._loop.add(key_of(new))

    def _node_gone(self, node: Node) -> None:
        name = node.metadata.name or ""
        self._healths.forget(name)
        self._zones_changed = True
        message = f"Node {name} event: Removing Node {name} from Controller"
        self._recorder.event(_about(node), "Normal", "RemovingNode", message)
        for other in self._nodes.list():
            self._loop.add(key_of(other))

    def _lease_seen(self, lease: Lease) -> None:
        self._healths.saw_lease(lease, self._clock.now())

    def _pod_seen(self, pod: Pod) -> None:
        node = self._nodes.get("", pod.spec.nodeName or "")
        if node is not None and not is_ready(node) and ask.is_ready(pod):
            self._loop.add(key_of(node))

    def _pod_changed(self, old: Pod, new: Pod) -> None:
        if old.spec.nodeName != new.spec.nodeName or ask.is_ready(old) != ask.is_ready(new):
            self._pod_seen(new)


def _judged(node: Node) -> tuple[Any, ...]:
    """Everything about a node that a decision depends on, heartbeats apart."""
    conditions = tuple((each.type, each.status) for each in node.status.conditions or ())
    held = tuple((taint.key, taint.effect) for taint in node.spec.taints or ())
    return (conditions, held, node.spec.unschedulable, zone_of(node))


def _about(node: Node) -> ObjectReference:
    # As kubelets do: events of a node carry its name as their uid in older clients' eyes, and
    # `kubectl describe node` looks for either.
    return ObjectReference(kind="Node", name=node.metadata.name, uid=node.metadata.uid)


def _node_of(pod: Pod) -> list[str]:
    return [pod.spec.nodeName] if pod.spec.nodeName else []
