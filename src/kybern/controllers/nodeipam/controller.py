"""The controller that gives each node its part of the pods' network.

In:   nodes.
Out:  their `spec.podCIDR` and `spec.podCIDRs`; an event when there is no part left.
By:   controllers.all. Only with `--allocate-node-cidrs`, as upstream's.

What nodes have already is taken in before the first part is given out. A node for which there was
none is looked at again when a part comes back, not every few seconds.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kybern.api import errors
from kybern.api.core.nodes import pod_cidrs
from kybern.api.core.v1 import Node, ObjectReference
from kybern.controllers.nodeipam.plan import ExhaustedError, Ranges
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.reconcile import DONE, Key, Outcome, key_of
from kybern.lib import logs

if TYPE_CHECKING:
    from kybern.controllers.runtime.host import Context

log = logs.get("controllers.nodeipam")


class NodeIpamController:
    """Gives out parts of the cluster's networks."""

    def __init__(self, ctx: Context) -> None:
        config = ctx.config
        self._client = ctx.client
        self._recorder = ctx.recorder
        self._on = config.allocate_node_cidrs
        self._ranges = [
            Ranges(cluster, config.node_cidr_mask(cluster)) for cluster in config.cluster_cidrs
        ]
        for service in config.service_cidrs:
            for ranges in self._ranges:
                ranges.occupy(service)
        self._held: dict[str, tuple[str, ...]] = {}  # by node, also what it is just being given
        self._waiting: set[Key] = set()
        self._nodes = ctx.informers.of(Node)
        self._loop: Loop[Key] = Loop("nodeipam", self.reconcile, after=(self._nodes,))
        if self._on:
            self._nodes.on(add=self._seen, update=lambda _, node: self._seen(node))
            self._nodes.on(delete=self._gone)

    async def run(self) -> None:
        """Work for ever."""
        if not self._on:
            log.debug("nodes get no part of the pods' network: --allocate-node-cidrs is false")
            await asyncio.get_running_loop().create_future()
        await self._loop.run()

    def statistics(self) -> dict[str, int]:
        """Return the loop's counters, and how many parts are left."""
        left = min((ranges.free for ranges in self._ranges), default=0)
        return {**self._loop.statistics(), "left": left}

    async def reconcile(self, key: Key) -> Outcome:
        """Give one node its part, unless it has one."""
        node = self._nodes.get(*key)
        if node is None or pod_cidrs(node):
            return DONE
        networks = self._held.get(key.name) or self._take(node)
        if not networks:
            return DONE
        body = {"spec": {"podCIDR": networks[0], "podCIDRs": list(networks)}}
        try:
            await self._client.patch(Node, key.name, "", body, type="strategic")
        except errors.NotFound:
            self._give_back(key.name)
        except errors.Invalid as error:
            # It got another one in the meantime, which the informer will tell.
            log.info("a node has its network already", node=key.name, reason=error.message)
            self._give_back(key.name)
        return DONE

    def _take(self, node: Node) -> tuple[str, ...]:
        """Return one part of each network; () when one of them has none left."""
        taken: list[str] = []
        name = node.metadata.name or ""
        try:
            for ranges in self._ranges:
                taken.append(ranges.take())
        except ExhaustedError as error:
            for ranges, network in zip(self._ranges, taken, strict=False):
                ranges.release(network)
            if (key := key_of(node)) not in self._waiting:
                self._waiting.add(key)
                log.warning("no part of the network is left", node=name, network=str(error))
                self._tell(node, "CIDRNotAvailable")
            return ()
        self._waiting.discard(key_of(node))
        self._held[name] = tuple(taken)
        return self._held[name]

    def _seen(self, node: Node) -> None:
        name, has = node.metadata.name or "", tuple(pod_cidrs(node))
        if not has:
            self._loop.add(key_of(node))
        elif self._held.get(name) != has:
            self._release(self._held.get(name, ()))
            self._held[name] = has
            for network in has:
                for ranges in self._ranges:
                    ranges.occupy(network)

    def _gone(self, node: Node) -> None:
        self._waiting.discard(key_of(node))
        self._give_back(node.metadata.name or "")

    def _give_back(self, name: str) -> None:
        self._release(self._held.pop(name, ()))

    def _release(self, networks: tuple[str, ...]) -> None:
        for network in networks:
            for ranges in self._ranges:
                ranges.release(network)
        if networks:
            for key in self._waiting:
                self._loop.add(key)

    def _tell(self, node: Node, status: str) -> None:
        name = node.metadata.name
        about = ObjectReference(kind="Node", name=name, uid=node.metadata.uid)
        message = f"Node {name} status is now: {status}"
        self._recorder.event(about, "Normal", status, message)
