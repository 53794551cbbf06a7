"""The loop of the proxy: changes in, transactions out.

In:   Services and EndpointSlices from informers, of which one family of addresses matters.
Out:  our table in the kernel, always as the last state that was seen.
By:   the node (`cmd/node.py`), or `kybern proxy` alone.

The first transaction replaces whatever an earlier run left, as one step: connections survive,
clients stay with their endpoints (takeover.py) and there is no moment without rules. Later ones
hold only what changed. When the kernel refuses one, everything is written anew.
"""

from __future__ import annotations

import asyncio
import enum
import random
from typing import TYPE_CHECKING

import msgspec

from kybern.api.core.v1 import Node, Service
from kybern.api.discovery.v1 import EndpointSlice
from kybern.lib import forwarding, logs
from kybern.lib.backoff import Backoff
from kybern.lib.clock import SYSTEM, Clock
from kybern.proxy import conntrack, metrics, nft, takeover
from kybern.proxy.announce import announce, withdraw
from kybern.proxy.base import base, node_addresses, remove
from kybern.proxy.family import IPV4, IPV6, Family, family_of
from kybern.proxy.health import HealthPorts
from kybern.proxy.kernel import Kernel
from kybern.proxy.model import Frontend, Model
from kybern.proxy.rules import render
from kybern.proxy.userspace import Forwarder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.client.informer import Informers

log = logs.get("proxy")

PATIENCE = 60.0  # seconds; who is later than that is not healthy
LEAVING_TAINT = "ToBeDeletedByClusterAutoscaler"
ZONE_LABEL = "topology.kubernetes.io/zone"
KEEPING = 2  # attempts in which what an earlier run knew of clients is kept
RETRY = Backoff(initial=0.5, factor=2.0, cap=30.0)
PRIMARY = "primary"


class Mode(enum.StrEnum):
    """Who hands packets on."""

    BEST = "auto"  # the kernel, where it can
    NFTABLES = "nftables"
    USERSPACE = "userspace"


class ProxyConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How a node's proxy works, for one family of addresses: that of its networks.

    Attributes:
        mode: who hands packets on.
        node_name: to know which endpoints are local.
        table: name of our nftables table.
        cluster_cidr: network of the pods; traffic to ClusterIPs from elsewhere is masqueraded.
        service_cidr: network of the ClusterIPs.
        node_port_addresses: networks whose addresses on this node serve node ports; "primary" means
            the node's own (InternalIP), as in upstream's nftables mode.
        balancer_cidr: addresses of load balancers that are this machine's own; "" for none.
    """

    node_name: str
    mode: Mode = Mode.BEST
    table: str = "kybern"
    cluster_cidr: str = "10.244.0.0/16"
    service_cidr: str = "10.96.0.0/16"
    node_port_addresses: tuple[str, ...] = (PRIMARY,)
    balancer_cidr: str = ""

    @property
    def family(self) -> Family:
        """The family of addresses that this is about."""
        return family_of(self.cluster_cidr)


class Proxy:
    """Keeps the kernel's rules as the Services ask."""

    def __init__(self, config: ProxyConfig, informers: Informers, clock: Clock = SYSTEM) -> None:
        self.config = config
        self.synced = asyncio.Event()
        self.last_synced = 0.0
        self._clock = clock
        self._family = config.family
        self._model = Model(config.node_name, self._family)
        self._kernel = Kernel(config.table, self._family)
        self._forwarder: Forwarder | None = None  # where nftables cannot be used
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
        await self._choose_mode()
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
            if self._forwarder:
                self._forwarder.close()

    async def _choose_mode(self) -> None:
        """Leave packets to the kernel, if it lets us."""
        mode = self.config.mode
        why = f"the mode is {mode}" if mode == Mode.USERSPACE else await nft.why_not(self._family)
        if not why:
            enable_forwarding(self._family)
            return
        if mode == Mode.NFTABLES:
            raise nft.NftError(why)
        log.warning(
            "connections are forwarded by this program, not by the kernel",
            why=why, family=self._family.name,
        )  # fmt: skip
        rng = random.Random()  # noqa: S311 - which endpoint
        self._forwarder = Forwarder(self._clock, rng)

    async def _announce(self) -> None:
        """Make addresses this machine's own that have to be."""
        config = self.config
        networks = [config.balancer_cidr]
        # Where a machine has no default route, as is common for IPv6, it would not even ask us.
        if self._forwarder or self._family is IPV6:
            networks.append(config.service_cidr)
        for network in filter(None, networks):
            try:
                await announce(network)
            except nft.NftError as error:
                log.error("addresses have no route", network=network, error=str(error))

    def healthy(self) -> bool:
        """Whether the kernel has what was asked for, or will have soon."""
        late = self._since and self._clock.monotonic() - self._since > PATIENCE
        return self.synced.is_set() and not late

    def eligible(self) -> bool:
        """Whether load balancers should send anything to this node: it is not about to go."""
        node = self._nodes.get("", self.config.node_name)
        if node is None:
            return True
        leaving = any(taint.key == LEAVING_TAINT for taint in node.spec.taints or ())
        return not leaving and node.metadata.deletionTimestamp is None

    def statistics(self) -> dict[str, int]:
        """Return how many Services are served and how many wait."""
        return {"services": len(self._frontends), "waiting": len(self._dirty)}

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
                await self._sync(keys, anew=anew, keep=failures < KEEPING)
            except nft.NftError as error:
                log.error("nftables refused a transaction", error=str(error), services=len(keys))
                metrics.FAILURES.labels(self._family.name).inc()
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
            if a.type == "InternalIP" and self._family.has(a.address)
        )
        if self._addresses != self._model.addresses:
            self._model.addresses = self._addresses
            self._mark(self._model.guarded())
        if self._addresses != self._rules_for:
            self._changed.set()

    def _serving(self) -> tuple[str, ...]:
        """Return the networks whose addresses serve node ports."""
        asked = self.config.node_port_addresses
        if PRIMARY in asked:
            return self._addresses
        return tuple(network for network in asked if self._family.has(network))

    async def _sync(self, keys: set[str], *, anew: bool, keep: bool) -> None:
        began, addresses = self._clock.monotonic(), self._addresses
        if anew or (self._forwarder and addresses != self._rules_for):
            keys |= set(self._frontends)
        frontends = {key: self._model.frontends(key) for key in keys}
        if self._forwarder:
            await self._forwarder.update(frontends, addresses)
        else:
            await self._write(frontends, anew=anew, keep=keep)
        checked = keys if addresses == self._rules_for else keys | self._frontends.keys()
        self._rules_for = addresses
        old = [front for key in keys for front in self._frontends.get(key, ())]
        new = [front for fronts in frontends.values() for front in fronts]
        self._frontends |= frontends
        for key in [key for key, fronts in frontends.items() if not fronts]:
            del self._frontends[key]
        self._count(began)
        if not self._forwarder:
            await conntrack.forget(conntrack.changed(old, new, addresses), self._family)
        # A node need not have an address of IPv6; then nobody asks it there.
        if (hosts := self._serving()) or self._family is IPV4:
            await self._ports.update({key: self._model.check(key) for key in checked}, hosts)

    async def _write(self, frontends: dict[str, list[Frontend]], *, anew: bool, keep: bool) -> None:
        """Bring Services into the kernel, in one transaction."""
        script, config, earlier = "", self.config, takeover.Earlier()
        if anew:
            self._kernel.forget()
            if keep:
                earlier = await takeover.find(config.table, self._family)
            networks = config.cluster_cidr, config.service_cidr, self._serving()
            script = base(config.table, *networks, clearing=earlier.clearing)
        elif self._addresses != self._rules_for:
            script = node_addresses(config.table, self._serving(), self._family)
        wanted = {key: render(fronts, config.cluster_cidr) for key, fronts in frontends.items()}
        script += self._kernel.plan(wanted)
        gone = earlier.clients.difference(*(service.sets for service in wanted.values()))
        await nft.apply(script + takeover.forget(config.table, self._family, gone))
        self._kernel.applied(wanted)

    def _count(self, began: float) -> None:
        family = self._family.name
        metrics.SYNC.labels(family).observe(self._clock.monotonic() - began)
        self.last_synced = self._clock.now()
        metrics.LAST_SYNC.labels(family).set(self.last_synced)
        metrics.SERVICES.labels(family).set(len(self._frontends))


def enable_forwarding(family: Family) -> None:
    """Let the kernel forward packets, and translate those inside a bridge."""
    version = 4 if family is IPV4 else 6
    # without the second, answers between pods of one bridge bypass the address translation
    for change in (forwarding.enable, forwarding.see_bridged):
        try:
            change(version)
        except FileNotFoundError as error:
            name = error.filename
            log.warning("the kernel has no such setting; is br_netfilter loaded?", path=name)
        except OSError as error:
            name = error.filename
            log.warning("could not change a kernel setting", path=name, error=str(error))


async def clean_up(table: str, *networks: str) -> None:
    """Remove the routes of these networks, then our tables and everything in them."""
    for network in networks:
        await withdraw(network)
    for family in (IPV4, IPV6):
        if await nft.table_exists(table, family.table):
            await nft.apply(remove(table, family))
