"""The node's pod network, kept as the Nodes say.

In:   Node objects; news from the kernel.
Out:  the CNI configuration of this node, from its `spec.podCIDR`; routes to the pods of the others.
By:   cmd/node.py, one per node.

Only differences are applied, so that a restart does not touch traffic, and a round without news
changes nothing. Where another network's configuration is in place, ours is taken away: that network
makes its own routes.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from kybern.api.core import nodes as ask
from kybern.api.core.v1 import Node
from kybern.lib import logs
from kybern.lib.backoff import Backoff
from kybern.lib.clock import SYSTEM, Clock
from kybern.network import cni, kernel
from kybern.network.events import DirectoryEvents, KernelEvents
from kybern.network.plan import Peer, Plan, end_of, mac_of, mtu, plan, tunnel_mtu

if TYPE_CHECKING:
    from kybern.client.informer import Informers
    from kybern.network.config import NetworkConfig
    from kybern.network.kernel import State

log = logs.get("network")
RETRY = Backoff(initial=0.2, factor=2.0, cap=10.0)


class Router:
    """Follows the nodes. `configured` is set once pods can get addresses."""

    def __init__(
        self, config: NetworkConfig, node_name: str, informers: Informers, clock: Clock = SYSTEM
    ) -> None:
        self.configured = asyncio.Event()
        self._config = config
        self._name = node_name
        self._clock = clock
        self._nodes = informers.of(Node)
        self._news = asyncio.Event()
        self._events: KernelEvents | None = None
        self._told: tuple[str, ...] = ()

    async def run(self) -> None:
        """Follow the nodes until cancelled. Configuration and routes stay."""
        cni.prepare(self._config)
        registrations = (self._nodes.on(add=self._seen, update=self._changed, delete=self._seen),)
        self._events = KernelEvents(self._news.set, ipv6=bool(self._config.cluster_cidr6))
        directory = DirectoryEvents(self._config.conf_dir, self._news.set)
        try:
            await self._nodes.wait_synced()
            await self._follow()
        finally:
            directory.close()
            self._events.close()
            for registration in registrations:
                registration.remove()

    async def _follow(self) -> None:
        failures = 0
        self._news.set()
        while True:
            await self._news.wait()
            await asyncio.sleep(0)  # changes of one moment go together
            self._news.clear()
            try:
                await self._sync()
            except OSError as error:
                log.warning("the kernel refused a route", why=str(error), failures=failures)
                await self._clock.sleep(RETRY.delay(failures))
                failures += 1
                self._news.set()
            else:
                failures = 0

    def _seen(self, _node: Node) -> None:
        self._news.set()

    def _changed(self, before: Node, node: Node) -> None:
        if _peer(before) != _peer(node):
            self._news.set()

    async def _sync(self) -> None:
        config = self._config
        state = await kernel.read(config.tunnel)
        if other := cni.foreign(config):
            await self._leave_to(other, state)
            return
        if not self._own_address():
            return  # not registered yet; its Node brings us back
        ways = tuple(way for way in state.ways if way.device not in (config.bridge, config.tunnel))
        peers = [_peer(node) for node in self._nodes.list() if node.metadata.name != self._name]
        wanted = plan(peers, ways, config.cluster_cidrs, config.tunnel)
        if wanted.unreachable != self._told:
            self._told = wanted.unreachable
            if self._told:
                log.warning("there is no way to some nodes", nodes=self._told)
        self._configure(wanted, state)
        await self._apply(wanted, state)

    def _configure(self, wanted: Plan, state: State) -> None:
        """Write the configuration, as soon as the node has its part of the network."""
        me = self._nodes.get("", self._name)
        given = ask.pod_cidrs(me) if me is not None else []
        four = next((network for network in given if ":" not in network), "")
        six = next((network for network in given if ":" in network), "")
        if not four or (self._config.cluster_cidr6 and not six):
            return
        size = mtu(state.mtus, state.addresses.get(self._own_address(), ""), wanted)
        six = six if self._config.cluster_cidr6 else ""
        cni.configure(replace(self._config, pod_cidr=four, pod_cidr6=six, mtu=size))
        if not self.configured.is_set():
            log.info("this node's pods have their network", network=",".join(given), mtu=size)
            self.configured.set()

    async def _apply(self, wanted: Plan, state: State) -> None:
        tunnel = self._config.tunnel
        used = {state.indexes[r.device] for r in wanted.routes if r.device in state.indexes}
        if self._events is not None:
            self._events.devices |= used
        commands = await self._tunnel(wanted, state)
        known = state.remotes if tunnel in state.indexes and not commands else frozenset()
        neighbours, forwarding = kernel.to_change_remotes(tunnel, known, wanted.remotes)
        ours = frozenset(r for r in state.routes if self._config.holds(r.network))
        # A tunnel made anew has lost its routes, whatever was read before.
        have = frozenset(r for r in ours if r.device != tunnel) if commands else ours
        routes = kernel.to_change_routes(have, wanted.routes)
        await kernel.apply([*commands, *neighbours])
        await kernel.apply_bridge(forwarding)
        await kernel.apply(routes)
        if routes or forwarding:
            log.info("routes changed", nodes=len(wanted.routes), tunnelled=len(wanted.remotes))

    async def _tunnel(self, wanted: Plan, state: State) -> list[str]:
        """Return the commands that make the tunnel, or make it anew; none when it is right.

        It is there as soon as there are other nodes: one that is a neighbour to us may see a router
        before us, and then its packets come through the tunnel.
        """
        tunnel, own = self._config.tunnel, self._own_address()
        size = tunnel_mtu(state.mtus, state.addresses.get(own, ""), own, wanted) if own else 0
        if not wanted.routes or not size:
            return [f"link delete {tunnel}"] if state.tunnel else []
        if state.tunnel == (own, self._config.tunnel_id, size):
            return []
        commands = [f"link delete {tunnel}"] if state.tunnel else []
        commands += kernel.to_make_tunnel(tunnel, self._config.tunnel_id, own, mac_of(own), size)
        me = self._nodes.get("", self._name)
        for network in ask.pod_cidrs(me) if me is not None else []:
            # its own end: the address with which this node itself speaks to pods behind the tunnel
            more = " nodad" if ":" in network else ""
            commands.append(f"address replace {end_of(network)} dev {tunnel}{more}")
        return commands

    async def _leave_to(self, other: str, state: State) -> None:
        """Take ours away: another network is configured."""
        if (self._config.conf_dir / cni.FILE).exists():
            log.info("another pod network is configured; ours is taken away", file=other)
            cni.unconfigure(self._config)
        commands = [f"link delete {self._config.tunnel}"] if state.tunnel else []
        ours = frozenset(
            r
            for r in state.routes
            if self._config.holds(r.network) and r.device != self._config.tunnel
        )
        await kernel.apply([*kernel.to_change_routes(ours, frozenset()), *commands])
        self.configured.set()

    def _own_address(self) -> str:
        me = self._nodes.get("", self._name)
        return (ask.address(me, "InternalIP") or "") if me is not None else ""


def _peer(node: Node) -> Peer:
    """Return what routes depend on."""
    addresses = tuple(
        each.address for each in node.status.addresses or () if each.type == "InternalIP"
    )
    return Peer(node.metadata.name or "", addresses, tuple(ask.pod_cidrs(node)))
