"""The DNS server: sockets in front of the resolver, and the API's news behind it.

In:   UDP and TCP queries; Services and EndpointSlices; a ConfigMap about upstream servers.
Out:  responses; `ready` is set once every address is bound and the zone is complete.
By:   cmd, alone or with the kubelet and the proxy of the same node.

Until the zone is complete, a name that is not yet known is answered SERVFAIL, which clients try
again, and not NXDOMAIN, which they believe.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any, cast

from kybern.api.core.v1 import ConfigMap, Service
from kybern.api.discovery.v1 import EndpointSlice
from kybern.client.informer import Informers
from kybern.dns import listen, metrics, records
from kybern.dns.forward import Forwarder
from kybern.dns.resolve import Resolver
from kybern.dns.upstreams import (
    Directions,
    ResolvConf,
    Server,
    Upstreams,
    read_config_map,
    stub_domains,
)
from kybern.dns.zone import Zone
from kybern.lib import logs
from kybern.lib.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kybern.client.informer import Informer, Registration
    from kybern.client.rest import Client
    from kybern.dns.config import DnsConfig

log = logs.get("dns")

SERVICE_LABEL = "kubernetes.io/service-name"
BY_SERVICE = "dns/service"
DIRECTED = 2.0  # seconds the configuration may take before we answer without it

Key = tuple[str, str]


class DnsServer:
    """Answers for the cluster's names, and forwards the rest."""

    def __init__(
        self, config: DnsConfig, client: Client, *, informers: Informers | None = None
    ) -> None:
        """Make a server; `run` starts it.

        Args:
            config: where to listen and whom to forward to.
            client: where Services come from.
            informers: those shared with others in this process; its own when there are none.
        """
        self.config = config
        self.ready = asyncio.Event()
        self.addresses: tuple[listen.Address, ...] = ()
        self._client = client
        self._shared = informers
        self._dirty: set[Key] = set()
        rng = random.SystemRandom()  # message ids must not be predictable
        self.upstreams = Upstreams(
            (lambda: config.upstreams)
            if config.upstreams
            else ResolvConf(config.resolv_conf, client.clock),
            stub_domains(config.stub_domains),
        )
        own = (*config.listen, *(Server(address) for address in config.cluster_ips))
        self.zone = Zone(config.domain, ttl=config.ttl, server_addresses=config.cluster_ips)
        self.forwarder = Forwarder(
            self.upstreams,
            client.clock,
            rng,
            own_addresses=frozenset(Server(*address) for address in own),
            keep=config.keep,
        )
        self.resolver = Resolver(self.zone, self.forwarder, rng)
        self._redirected = asyncio.Event()
        self._services: Informer[Service]
        self._slices: Informer[EndpointSlice]
        self._config_maps: Informer[ConfigMap] | None = None

    async def run(self) -> None:
        """Serve for ever; may be run again after it failed.

        Raises:
            OSError: an address cannot be bound.
        """
        metrics.watch(self)
        async with Tasks("dns", clock=self._client.clock) as tasks:
            listeners = listen.Listeners(self.resolver, tasks, self.config.max_waiting)
            async with listeners:
                self.addresses = await listeners.open(self.config.listen)
                following = self._follow(self._shared or Informers(self._client, tasks))
                try:
                    await self._serve()
                finally:
                    for registration in following:
                        registration.remove()
                    self.ready.clear()
                    self.forwarder.close()

    async def _serve(self) -> None:
        await self._services.wait_synced()
        await self._slices.wait_synced()
        await self._wait_directed()
        # Those which went while nobody was looking, between two runs.
        self._dirty |= cast("set[Key]", self.zone.services())
        self._refresh()
        self.resolver.ready = True
        self.ready.set()
        log.info("serving", addresses=[str(a) for a in self.addresses], names=len(self.zone))
        while True:
            self._redirected.clear()
            await self.forwarder.find_loops(
                self.upstreams.every(), self.resolver.probe, self.resolver.probed
            )
            await self._redirected.wait()

    async def _wait_directed(self) -> None:
        """Wait for what the ConfigMap says; not for ever: perhaps we may not read it."""
        if self._config_maps is None:
            return
        try:
            async with asyncio.timeout(DIRECTED):
                await self._config_maps.wait_synced()
        except TimeoutError:
            log.warning("cannot read the configuration yet", config_map=self.config.config_map)

    def statistics(self) -> dict[str, int]:
        """Return what is known and what was asked."""
        forwarder = self.forwarder
        return {
            **self.zone.statistics(),
            **{f"answered_{code}": count for code, count in self.resolver.answered().items()},
            "forwarded": forwarder.asked,
            "forward_failures": forwarder.failed,
            "forward_cache_hits": forwarder.hits,
        }

    # --- following the API -------------------------------------------------------------------

    def _follow(self, informers: Informers) -> list[Registration]:
        self._services = informers.of(Service)
        self._slices = informers.of(EndpointSlice, indexers={BY_SERVICE: _service_of})
        following = [
            self._services.on_change(self._service_changed),
            self._slices.on_change(self._slice_changed),
        ]
        namespace, _, name = self.config.config_map.partition("/")
        if name:
            self._config_maps = informers.of(
                ConfigMap, namespace=namespace, field_selector=f"metadata.name={name}"
            )
            following.append(
                self._config_maps.on(
                    add=lambda new: self._direct(new.data),
                    update=lambda _, new: self._direct(new.data),
                    delete=lambda _: self._direct({}),
                )
            )
        return following

    def _direct(self, data: Mapping[str, str] | None) -> None:
        """Ask the upstream servers which the ConfigMap names."""
        try:
            directions: Directions = read_config_map(data)
        except ValueError as error:
            log.error(
                "the configuration cannot be followed, keeping the one before",
                config_map=self.config.config_map, reason=str(error),
            )  # fmt: skip
            return
        if self.upstreams.learn(directions):
            self.forwarder.forget()
            self._redirected.set()
            log.info("upstream servers", servers=[each.host for each in self.upstreams.every()])

    def _service_changed(self, service: Service) -> None:
        self._mark((service.metadata.namespace or "", service.metadata.name or ""))

    def _slice_changed(self, slice_: EndpointSlice) -> None:
        namespace = slice_.metadata.namespace or ""
        name = (slice_.metadata.labels or {}).get(SERVICE_LABEL, "")
        service = self._services.get(namespace, name) if name else None
        # Endpoints make names only for headless services; the others come and go unseen.
        if service is not None and service.spec.clusterIP == records.NONE:
            self._mark((namespace, name))

    def _mark(self, key: Key) -> None:
        if not self._dirty:
            asyncio.get_running_loop().call_soon(self._refresh)
        self._dirty.add(key)

    def _refresh(self) -> None:
        """Bring the zone up to date with every service that changed since the last time."""
        dirty, self._dirty = self._dirty, set()
        for key in dirty:
            service = self._services.get(*key)
            if service is None:
                self.zone.remove(key)
                continue
            slices = sorted(
                self._slices.by_index(BY_SERVICE, "/".join(key)),
                key=lambda each: each.metadata.name or "",
            )
            try:
                self.zone.apply(key, records.of_service(service, slices, self.zone.domain))
            except ValueError as error:
                # One unusable address must not cost the other services their names.
                log.warning("service has no usable records", service=key, reason=str(error))


def _service_of(slice_: Any) -> list[str]:
    name = (slice_.metadata.labels or {}).get(SERVICE_LABEL)
    return [f"{slice_.metadata.namespace}/{name}"] if name else []
