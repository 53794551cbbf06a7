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

from kybern.api.core.v1 import Service
from kybern.api.discovery.v1 import EndpointSlice
from kybern.lib import logs
from kybern.lib.backoff import Backoff
from kybern.lib.clock import SYSTEM, Clock
from kybern.proxy import nft
from kybern.proxy.base import base, remove
from kybern.proxy.kernel import Kernel
from kybern.proxy.model import Frontend, Model
from kybern.proxy.rules import render

if TYPE_CHECKING:
    from kybern.client.informer import Informers

log = logs.get("proxy")

RETRY = Backoff(initial=0.5, factor=2.0, cap=30.0)
FORWARDING = (
    ("/proc/sys/net/ipv4/ip_forward", "1"),
    # without it, answers between pods of one bridge bypass the address translation
    ("/proc/sys/net/bridge/bridge-nf-call-iptables", "1"),
)


class ProxyConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How a node's proxy works.

    Attributes:
        node_name: to know which endpoints are local.
        table: name of our nftables table.
        cluster_cidr: network of the pods; traffic to ClusterIPs from elsewhere is masqueraded.
        service_cidr: network of the ClusterIPs.
    """

    node_name: str
    table: str = "kybern"
    cluster_cidr: str = "10.244.0.0/16"
    service_cidr: str = "10.96.0.0/16"


class Proxy:
    """Keeps the kernel's rules as the Services ask."""

    def __init__(self, config: ProxyConfig, informers: Informers, clock: Clock = SYSTEM) -> None:
        self.config = config
        self.synced = asyncio.Event()
        self._clock = clock
        self._model = Model(config.node_name)
        self._kernel = Kernel(config.table)
        self._frontends: dict[str, list[Frontend]] = {}
        self._dirty: set[str] = set()
        self._changed = asyncio.Event()
        self._services = informers.of(Service)
        self._slices = informers.of(EndpointSlice)

    async def run(self) -> None:
        """Follow the cluster until cancelled. The rules stay: `clean_up` removes them."""
        nft.program()
        enable_forwarding()
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
        )
        try:
            await self._services.wait_synced()
            await self._slices.wait_synced()
            await self._follow()
        finally:
            for registration in registrations:
                registration.remove()

    def statistics(self) -> dict[str, int]:
        """Return how many Services are in the kernel and how many wait."""
        return {"services": len(self._kernel.services()), "waiting": len(self._dirty)}

    async def _follow(self) -> None:
        failures, anew = 0, True
        while True:
            keys, self._dirty = self._dirty, set()  # what changes from here on is for next time
            try:
                await self._sync(keys, anew=anew)
            except nft.NftError as error:
                log.error("nftables refused a transaction", error=str(error), services=len(keys))
                self._dirty |= keys
                await self._clock.sleep(RETRY.delay(failures))
                failures, anew = failures + 1, True
                continue
            failures, anew = 0, False
            self.synced.set()
            if not self._dirty:
                self._changed.clear()
                await self._changed.wait()
                await asyncio.sleep(0)  # changes of one moment go together

    def _mark(self, key: str | None) -> None:
        if key is not None:
            self._dirty.add(key)
            self._changed.set()

    async def _sync(self, keys: set[str], *, anew: bool) -> None:
        script = ""
        if anew:
            keys |= set(self._kernel.services()) | set(self._frontends)
            self._kernel.forget()
            config = self.config
            script = base(config.table, config.cluster_cidr, config.service_cidr)
        frontends = {key: self._model.frontends(key) for key in keys}
        wanted = {
            key: render(fronts, self.config.cluster_cidr) for key, fronts in frontends.items()
        }
        script += self._kernel.plan(wanted)
        await nft.apply(script)
        self._kernel.applied(wanted)
        flows = {f for k, new in frontends.items() for f in stale_flows(self._old(k), new)}
        for key, fronts in frontends.items():
            if fronts:
                self._frontends[key] = fronts
            else:
                self._frontends.pop(key, None)
        if flows:
            await nft.forget_connections(sorted(flows))

    def _old(self, key: str) -> list[Frontend]:
        return self._frontends.get(key, [])


def stale_flows(old: list[Frontend], new: list[Frontend]) -> set[tuple[str, int]]:
    """Return the addresses whose UDP flows may lead to an endpoint that is gone.

    TCP connections end by themselves; a UDP flow lives as long as its client goes on asking.
    """
    now = {(f.protocol, f.port_name): set(f.targets) for f in new}
    flows: set[tuple[str, int]] = set()
    for front in old:
        if front.protocol != "udp":
            continue
        left = now.get((front.protocol, front.port_name), set())
        if set(front.targets) - left or (not front.targets and left):
            flows.update((ip, front.port) for ip in (*front.cluster_ips, *front.external_ips))
    return flows


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


async def clean_up(table: str) -> None:
    """Remove our table and everything in it."""
    await nft.apply(remove(table))
