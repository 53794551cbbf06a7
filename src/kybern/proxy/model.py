"""Services and their endpoints, joined.

In:   Service and EndpointSlice objects, as they come and go.
Out:  for one Service: its Frontends, each an address and port with the endpoints behind it.
By:   sync.py. Pure, and no I/O; objects are read, never kept or changed.

Which endpoints get traffic is decided in endpoints.py.
"""

from __future__ import annotations

from ipaddress import collapse_addresses, ip_address, ip_network
from typing import TYPE_CHECKING, NamedTuple

from kybern.api.core.services import affinity_seconds, has_session_affinity, needs_health_check
from kybern.proxy.endpoints import Backend, Target, choose
from kybern.proxy.family import IPV4, Family

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.api.core.v1 import Service, ServicePort
    from kybern.api.discovery.v1 import EndpointSlice

SERVICE_LABEL = "kubernetes.io/service-name"
Claim = tuple[str, str, int]  # address, protocol, port
PROXY_LABEL = "service.kubernetes.io/service-proxy-name"


class Frontend(NamedTuple):
    """One port of one Service.

    Attributes:
        service: `namespace/name`.
        port_name: name of the port; "" when it has none.
        protocol: `tcp`, `udp` or `sctp`.
        port: port of the ClusterIP.
        node_port: port on every node; 0 for none.
        cluster_ips: addresses inside the cluster.
        external_ips: addresses from outside that the Service names.
        targets: endpoints for traffic from anywhere, sorted.
        local_targets: those on this node, sorted.
        internal_local: traffic to ClusterIPs stays on the node.
        external_local: traffic from outside stays on the node and keeps its source.
        balancer_ips: addresses that a load balancer hands through to nodes.
        sources: networks which may use those; everybody when there are none.
        affinity: seconds for which a client keeps its endpoint; 0 for not at all.
    """

    service: str
    port_name: str
    protocol: str
    port: int
    node_port: int
    cluster_ips: tuple[str, ...]
    external_ips: tuple[str, ...]
    targets: tuple[Target, ...]
    local_targets: tuple[Target, ...]
    internal_local: bool
    external_local: bool
    balancer_ips: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    affinity: int = 0

    @property
    def internal_targets(self) -> tuple[Target, ...]:
        """Where traffic to the ClusterIP goes."""
        return self.local_targets if self.internal_local else self.targets

    @property
    def external_targets(self) -> tuple[Target, ...]:
        """Where traffic from outside goes."""
        return self.local_targets if self.external_local else self.targets


class Check(NamedTuple):
    """What load balancers are told on the health check port of a Service.

    Attributes:
        port: where they ask.
        endpoints: how many ready ones this node has.
    """

    port: int
    endpoints: int


class Model:
    """All Services and EndpointSlices of one family that this node has heard of."""

    def __init__(self, node_name: str, family: Family = IPV4) -> None:
        self.zone = ""
        self.addresses: tuple[str, ...] = ()  # of this node
        self._node = node_name
        self._family = family
        self._services: dict[str, Service] = {}
        self._slices: dict[str, dict[str, EndpointSlice]] = {}
        self._claimants: dict[Claim, list[str]] = {}  # the first one has the address
        self._claimed: dict[str, dict[Claim, bool]] = {}

    def set_service(self, service: Service) -> set[str]:
        """Take a Service in; return the keys of all that change with it."""
        key = f"{service.metadata.namespace}/{service.metadata.name}"
        self._services[key] = service
        return {key} | self._claim(key, dict(_claims(service, self._family)))

    def drop_service(self, service: Service) -> set[str]:
        """Forget a Service; return the keys of all that change with it."""
        key = f"{service.metadata.namespace}/{service.metadata.name}"
        self._services.pop(key, None)
        return {key} | self._claim(key, {})

    def services(self) -> list[str]:
        """Return the keys of all Services."""
        return list(self._services)

    def guarded(self) -> list[str]:
        """Return the keys of those that let only some clients in."""
        return [k for k, s in self._services.items() if s.spec.loadBalancerSourceRanges]

    def check(self, key: str) -> Check | None:
        """Return what load balancers are told of a Service; None where none asks."""
        service = self._services.get(key)
        if service is None or not needs_health_check(service) or not _is_ours(service):
            return None
        if not _cluster_ips(service, self._family):
            return None
        ready = {
            b.target.ip
            for port in service.spec.ports or ()
            for b in self._backends(key, port)
            if b.ready and b.local
        }
        port = service.spec.healthCheckNodePort
        return Check(port, len(ready)) if port else None

    def _claim(self, key: str, wanted: dict[Claim, bool]) -> set[str]:
        """Note which addresses a Service names: the first has it, but a ClusterIP is its owner's.

        Returns those who lose one, or come into what this one gave up.
        """
        before = self._claimed.pop(key, {})
        holders = {claim: self._holder(claim) for claim in before.keys() ^ wanted.keys()}
        for claim in before.keys() - wanted.keys():
            self._claimants[claim].remove(key)
            if not self._claimants[claim]:
                del self._claimants[claim]
        for claim in wanted.keys() - before.keys():
            waiting = self._claimants.setdefault(claim, [])
            waiting.insert(0 if wanted[claim] else len(waiting), key)
        if wanted:
            self._claimed[key] = wanted
        changed = {c: (old, new) for c, old in holders.items() if old != (new := self._holder(c))}
        return {holder for pair in changed.values() for holder in pair if holder}

    def _holder(self, claim: Claim) -> str:
        waiting = self._claimants.get(claim)
        return waiting[0] if waiting else ""

    def set_slice(self, piece: EndpointSlice) -> set[str]:
        """Take a slice in; return the key of its Service, as far as it has one."""
        key = _owner(piece)
        if key is None or piece.addressType != self._family.name:
            return set()
        self._slices.setdefault(key, {})[piece.metadata.name or ""] = piece
        return {key}

    def drop_slice(self, piece: EndpointSlice) -> set[str]:
        """Forget a slice; return the key of its Service."""
        key = _owner(piece)
        if key is None or key not in self._slices:
            return set()
        self._slices[key].pop(piece.metadata.name or "", None)
        if not self._slices[key]:
            del self._slices[key]
        return {key}

    def frontends(self, key: str) -> list[Frontend]:
        """Return what the Service `namespace/name` is now; [] when there is nothing to serve."""
        service = self._services.get(key)
        if service is None or not _is_ours(service):
            return []
        cluster_ips = _cluster_ips(service, self._family)
        if not cluster_ips:
            return []
        ports = service.spec.ports or ()
        return [self._frontend(key, service, port, cluster_ips) for port in ports]

    def _frontend(
        self, key: str, service: Service, port: ServicePort, cluster_ips: tuple[str, ...]
    ) -> Frontend:
        spec = service.spec
        balancer_ips = self._won(key, port, _balancer_ips(service, self._family))
        backends = list(self._backends(key, port))
        anywhere, here = choose(backends, self._node, self.zone)
        return Frontend(
            service=key,
            port_name=port.name or "",
            protocol=(port.protocol or "TCP").lower(),
            port=port.port,
            node_port=port.nodePort or 0,
            cluster_ips=cluster_ips,
            external_ips=self._won(key, port, _external_ips(service, self._family)),
            targets=anywhere,
            local_targets=here,
            internal_local=spec.internalTrafficPolicy == "Local",
            external_local=spec.externalTrafficPolicy == "Local",
            balancer_ips=balancer_ips,
            sources=self._sources(service, balancer_ips),
            affinity=affinity_seconds(service) if has_session_affinity(service) else 0,
        )

    def _sources(self, service: Service, balancer_ips: tuple[str, ...]) -> tuple[str, ...]:
        """Return who may use a load balancer; everybody when nobody is named.

        Where its address is this machine's own, a connection from here comes from that address.
        """
        given = [s.strip() for s in service.spec.loadBalancerSourceRanges or ()]
        networks = [ip_network(s, strict=False) for s in given if self._family.has(s)]
        here = [ip_address(address) for address in self.addresses]
        ourselves = balancer_ips if any(a in n for n in networks for a in here) else ()
        merged = collapse_addresses(networks)  # type: ignore[type-var]  # all of one family
        return (*map(str, merged), *ourselves)

    def _won(self, key: str, port: ServicePort, ips: Iterable[str]) -> tuple[str, ...]:
        """Return the addresses that no other Service named first, with this port."""
        protocol = port.protocol or "TCP"
        return tuple(ip for ip in ips if self._holder((ip, protocol, port.port)) == key)

    def _backends(self, key: str, port: ServicePort) -> Iterable[Backend]:
        name, protocol = port.name or "", port.protocol or "TCP"
        for piece in self._slices.get(key, {}).values():
            for each in piece.ports or ():
                if (each.name or "") == name and (each.protocol or "TCP") == protocol and each.port:
                    yield from (
                        Backend.of(endpoint, each.port, self._node)
                        for endpoint in piece.endpoints or ()
                        if endpoint.addresses
                    )


def _owner(piece: EndpointSlice) -> str | None:
    name = (piece.metadata.labels or {}).get(SERVICE_LABEL)
    return f"{piece.metadata.namespace}/{name}" if name else None


def _is_ours(service: Service) -> bool:
    """Headless and ExternalName Services, and those of another proxy, are not for us."""
    if service.spec.type == "ExternalName" or service.spec.clusterIP in (None, "", "None"):
        return False
    return PROXY_LABEL not in (service.metadata.labels or {})


def _claims(service: Service, family: Family) -> Iterable[tuple[Claim, bool]]:
    """Return the addresses a Service names, and whether one is its own within the cluster."""
    if not _is_ours(service):
        return
    for port in service.spec.ports or ():
        protocol = port.protocol or "TCP"
        for ip in (*_external_ips(service, family), *_balancer_ips(service, family)):
            yield (ip, protocol, port.port), False
        for ip in _cluster_ips(service, family):
            yield (ip, protocol, port.port), True


def _cluster_ips(service: Service, family: Family) -> tuple[str, ...]:
    given = service.spec.clusterIPs or [service.spec.clusterIP or ""]
    return tuple(ip for ip in given if ip and family.has(ip))


def _external_ips(service: Service, family: Family) -> list[str]:
    balancers = set(_balancer_ips(service, family))
    given = service.spec.externalIPs or ()
    return [ip for ip in given if family.has(ip) and ip not in balancers]


def _balancer_ips(service: Service, family: Family) -> Iterable[str]:
    """Return addresses that arrive here as they are; mode `Proxy` comes to a node port."""
    balancer = service.status.loadBalancer
    for ingress in (balancer.ingress or ()) if balancer else ():
        if ingress.ip and family.has(ingress.ip) and ingress.ipMode != "Proxy":
            yield ingress.ip
