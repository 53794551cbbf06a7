"""The loop of the proxy: changes in, transactions out.

In:   Services and EndpointSlices from informers.
Out:  our table in the kernel, always as the last state that was seen.
By:   the node (`cmd/node.py`), or `kybern proxy` alone.

The first transaction replaces whatever an earlier run left, as one step: connections survive and
there is no moment without rules. Later ones hold only what changed. When the kernel refuses one,
everything is written anew.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from kybern.api.core.v1 import Node, Service
from kybern.api.discovery.v1 import EndpointSlice
from kybern.lib import logs
from kybern.lib.backoff import Backoff
from kybern.lib.clock import SYSTEM, Clock
from kybern.proxy import conntrack, metrics, nft
from kybern.proxy.announce import announce, withdraw
from kybern.proxy.base import base, node_addresses, remove
from kybern.proxy.health import HealthPorts
from kybern.proxy.kernel import Kernel
from kybern.proxy.model import Frontend, Model
from kybern.proxy.rules import render

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.client.informer import Informers

log = logs.get("proxy")

PATIENCE = 60.0  # seconds; who is later than that is not healthy
ZONE_LABEL = "topology.kubernetes.io/zone"
RETRY = Backoff(initial=0.5, factor=2.0, cap=30.0)
FORWARDING = (
    ("/proc/sys/net/ipv4/ip_forward", "1"),
    # without it, answers between pods of one bridge bypass the address translation
    ("/proc/sys/net/bridge/bridge-nf-call-iptables", "1"),
)


PRIMARY = "primary"


class ProxyConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How a node's proxy works.

    Attributes:
        node_name: to know which endpoints are local.
        table: name of our nftables table.
        cluster_cidr: network of the pods; traffic to ClusterIPs from elsewhere is masqueraded.
        service_cidr: network of the ClusterIPs.
        node_port_addresses: networks whose addresses on this node serve node ports; "primary" means
            the node's own (InternalIP), as in upstream's nftables mode.
        balancer_cidr: addresses of load balancers that are this machine's own; "" for none.
    """

    node_name: str
    table: str = "kybern"
    cluster_cidr: str = "10.244.0.0/16"
    service_cidr: str = "10.96.0.0/16"
    node_port_addresses: tuple[str, ...] = (PRIMARY,)
    balancer_cidr: str = ""


class Proxy:
    """Keeps the kernel's rules as the Services ask."""

    def __init__(self, config: ProxyConfig, informers: Informers, clock: Clock = SYSTEM) -> None:
        self.config = config
        self.synced = asyncio.Event()
        self._clock = clock
        self._model = Model(config.node_name)
        self._kernel = Kernel(config.table)
        self._ports = HealthPorts(self.healthy)
        self._addresses: tuple[str, ...] = ()  # of this node
        self._rules_for: tuple[str, ...] = ()  # those that the kernel has
        self._frontends: dict[str, list[Frontend]] = {}
        self._dirty: set[str] = set()
        self._since = 0.0  # when the oldest change came that is not in the kernel
        self._changed = asyncio.Event()
        self._services = informers.of(Service)
        self._slices = informers.of(EndpointSlice)
        self._nodes = informers.of(Node)

    async def run(self) -> None:
        """Follow the cluster until cancelled. The rules stay: `clean_up` removes them."""
        nft.program()
        enable_forwarding()
        await self._announce()
        informers = (self._services, self._slices, self._nodes)
        registrations = (
            self._services.on(
                add=lambda new: self._mark(self._model.set_service(new)),
                update=lambda _old, new: self._mark(self._model.set_service(new)),
                delete=lambda old: self._mark(self._model.drop_service(old)),
            ),
            self._slices.on(
                add=lambda new: self._mark(self._model.set_slice(new)),
                update=lambda _old, new: self._mark(self._model.set_slice(new)),
                delete=lambda old: self._mark(self._model.drop_slice(old)),
            ),
            self._nodes.on(add=self._look, update=lambda _old, new: self._look(new)),
        )
        try:
            for informer in informers:
                await informer.wait_synced()
            await self._follow()
        finally:
            for registration in registrations:
                registration.remove()
            await self._ports.close()

    async def _announce(self) -> None:
        if network := self.config.balancer_cidr:
            try:
                await announce(network)
            except nft.NftError as error:
                log.error("load balancers have no route", network=network, error=str(error))

    def healthy(self) -> bool:
        """Whether the kernel has what was asked for, or will have soon."""
        late = self._since and self._clock.monotonic() - self._since > PATIENCE
        return self.synced.is_set() and not late

    def node(self) -> Node | None:
        """Return the Node this proxy works on, as far as it is known."""
        return self._nodes.get("", self.config.node_name)

    def statistics(self) -> dict[str, int]:
        """Return how many Services are in the kernel and how many wait."""
        return {"services": len(self._kernel.services()), "waiting": len(self._dirty)}

    async def _follow(self) -> None:
        failures, anew = 0, True
        self._changed.set()
        while True:
            await self._changed.wait()
            await asyncio.sleep(0)  # changes of one moment go together
            self._changed.clear()  # what changes from here on is for next time
            keys, self._dirty = self._dirty, set()
            since, self._since = self._since, 0.0
            try:
                await self._sync(keys, anew=anew)
            except nft.NftError as error:
                log.error("nftables refused a transaction", error=str(error), services=len(keys))
                metrics.FAILURES.inc()
                self._dirty |= keys
                self._since = since or self._clock.monotonic()
                self._changed.set()
                await self._clock.sleep(RETRY.delay(failures))
                failures, anew = failures + 1, True
                continue
            failures, anew = 0, False
            self.synced.set()

    def _mark(self, keys: Iterable[str]) -> None:
        self._dirty.update(keys)
        if self._dirty:
            self._since = self._since or self._clock.monotonic()
            self._changed.set()

    def _look(self, node: Node) -> None:
        """Note where this node is, and under which addresses it is known."""
        if node.metadata.name != self.config.node_name:
            return
        zone = (node.metadata.labels or {}).get(ZONE_LABEL, "")
        if zone != self._model.zone:
            self._model.zone = zone
            self._mark(self._model.services())
        self._addresses = tuple(
            a.address
            for a in node.status.addresses or ()
            if a.type == "InternalIP" and "." in a.address
        )
        if self._addresses != self._model.addresses:
            self._model.addresses = self._addresses
            self._mark(self._model.guarded())
        if self._addresses != self._rules_for:
            self._changed.set()

    def _serving(self) -> tuple[str, ...]:
        """Return the networks whose addresses serve node ports."""
        asked = self.config.node_port_addresses
        return self._addresses if PRIMARY in asked else tuple(n for n in asked if "." in n)

    async def _sync(self, keys: set[str], *, anew: bool) -> None:
        script, began, config = "", self._clock.monotonic(), self.config
        serving, addresses = self._serving(), self._addresses
        if anew:
            keys |= set(self._kernel.services()) | set(self._frontends)
            self._kernel.forget()
            script = base(config.table, config.cluster_cidr, config.service_cidr, serving)
        elif addresses != self._rules_for:
            script = node_addresses(config.table, serving)
        frontends = {key: self._model.frontends(key) for key in keys}
        wanted = {key: render(fronts, config.cluster_cidr) for key, fronts in frontends.items()}
        script += self._kernel.plan(wanted)
        await nft.apply(script)
        self._kernel.applied(wanted)
        self._rules_for = addresses
        self._count(began)
        old = [front for key in keys for front in self._frontends.get(key, ())]
        new = [front for fronts in frontends.values() for front in fronts]
        self._frontends |= frontends
        for key in [key for key, fronts in frontends.items() if not fronts]:
            del self._frontends[key]
        await conntrack.forget(conntrack.changed(old, new, addresses))
        await self._ports.update({key: self._model.check(key) for key in keys}, serving)

    def _count(self, began: float) -> None:
        metrics.SYNC.observe(self._clock.monotonic() - began)
        metrics.LAST_SYNC.set(self._clock.now())
        metrics.SERVICES.set(len(self._kernel.services()))


def enable_forwarding() -> None:
    """Let the kernel forward packets, and translate those inside a bridge."""
    for name, value in FORWARDING:
        path = Path(name)
        try:
            if path.read_text().strip() != value:
                path.write_text(value)
        except FileNotFoundError:
            log.warning("the kernel has no such setting; is br_netfilter loaded?", path=name)
        except OSError as error:
            log.warning("could not change a kernel setting", path=name, error=str(error))


async def clean_up(table: str, balancer_cidr: str = "") -> None:
    """Remove our table and everything in it, and the route of load balancers."""
    await nft.apply(remove(table))
    if balancer_cidr:
        await withdraw(balancer_cidr)
