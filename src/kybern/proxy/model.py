"""Services and their endpoints, joined.

In:   Service and EndpointSlice objects, as they come and go.
Out:  for one Service: its Frontends, each an address and port with the endpoints behind it.
By:   sync.py. Pure, and no I/O; objects are read, never kept or changed.

Which endpoints get traffic is KEP-1669's rule: the ready ones; while there are none, those that
still serve although they are terminating.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.api.core.v1 import Service, ServicePort
    from kybern.api.discovery.v1 import Endpoint, EndpointSlice

SERVICE_LABEL = "kubernetes.io/service-name"
PROXY_LABEL = "service.kubernetes.io/service-proxy-name"


class Target(NamedTuple):
    """Where a connection may go."""

    ip: str
    port: int


class Frontend(NamedTuple):
    """One port of one Service.

    Attributes:
        service: `namespace/name`.
        port_name: name of the port; "" when it has none.
        protocol: `tcp`, `udp` or `sctp`.
        port: port of the ClusterIP.
        node_port: port on every node; 0 for none.
        cluster_ips: addresses inside the cluster.
        external_ips: addresses from outside: external and load balancer addresses.
        targets: endpoints for traffic from anywhere, sorted.
        local_targets: those on this node, sorted.
        internal_local: traffic to ClusterIPs stays on the node.
        external_local: traffic from outside stays on the node and keeps its source.
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

    @property
    def internal_targets(self) -> tuple[Target, ...]:
        """Where traffic to the ClusterIP goes."""
        return self.local_targets if self.internal_local else self.targets

    @property
    def external_targets(self) -> tuple[Target, ...]:
        """Where traffic from outside goes."""
        return self.local_targets if self.external_local else self.targets


class _Backend(NamedTuple):
    target: Target
    ready: bool
    serving: bool
    local: bool


class Model:
    """All Services and EndpointSlices of IPv4 that this node has heard of."""

    def __init__(self, node_name: str) -> None:
        self._node = node_name
        self._services: dict[str, Service] = {}
        self._slices: dict[str, dict[str, EndpointSlice]] = {}

    def set_service(self, service: Service) -> str:
        """Take a Service in; return its key."""
        key = f"{service.metadata.namespace}/{service.metadata.name}"
        self._services[key] = service
        return key

    def drop_service(self, service: Service) -> str:
        """Forget a Service; return its key."""
        key = f"{service.metadata.namespace}/{service.metadata.name}"
        self._services.pop(key, None)
        return key

    def set_slice(self, piece: EndpointSlice) -> str | None:
        """Take a slice in; return the key of its Service, None when it has none."""
        key = _owner(piece)
        if key is None or piece.addressType != "IPv4":
            return None
        self._slices.setdefault(key, {})[piece.metadata.name or ""] = piece
        return key

    def drop_slice(self, piece: EndpointSlice) -> str | None:
        """Forget a slice; return the key of its Service."""
        key = _owner(piece)
        if key is None or key not in self._slices:
            return None
        self._slices[key].pop(piece.metadata.name or "", None)
        if not self._slices[key]:
            del self._slices[key]
        return key

    def frontends(self, key: str) -> list[Frontend]:
        """Return what the Service `namespace/name` is now; [] when there is nothing to serve."""
        service = self._services.get(key)
        if service is None or not _is_ours(service):
            return []
        spec = service.spec
        given = spec.clusterIPs or [spec.clusterIP or ""]
        cluster_ips = tuple(ip for ip in given if _is_ipv4(ip))
        if not cluster_ips:
            return []
        return [self._frontend(key, service, port, cluster_ips) for port in spec.ports or ()]

    def _frontend(
        self, key: str, service: Service, port: ServicePort, cluster_ips: tuple[str, ...]
    ) -> Frontend:
        spec = service.spec
        backends = list(self._backends(key, port.name or ""))
        return Frontend(
            service=key,
            port_name=port.name or "",
            protocol=(port.protocol or "TCP").lower(),
            port=port.port,
            node_port=port.nodePort or 0,
            cluster_ips=cluster_ips,
            external_ips=tuple(_external_ips(service)),
            targets=_choose(backends),
            local_targets=_choose([b for b in backends if b.local]),
            internal_local=spec.internalTrafficPolicy == "Local",
            external_local=spec.externalTrafficPolicy == "Local",
        )

    def _backends(self, key: str, port_name: str) -> Iterable[_Backend]:
        for piece in self._slices.get(key, {}).values():
            number = next((p.port for p in piece.ports or () if (p.name or "") == port_name), None)
            if number is None:
                continue
            for endpoint in piece.endpoints or ():
                if endpoint.addresses:
                    target = Target(endpoint.addresses[0], number)
                    ready, serving = _conditions(endpoint)
                    yield _Backend(target, ready, serving, endpoint.nodeName == self._node)


def _choose(backends: list[_Backend]) -> tuple[Target, ...]:
    chosen = {b.target for b in backends if b.ready} or {b.target for b in backends if b.serving}
    return tuple(sorted(chosen))


def _conditions(endpoint: Endpoint) -> tuple[bool, bool]:
    """Return (ready, serving); a condition that is not told means yes."""
    conditions = endpoint.conditions
    if conditions is None:
        return True, True
    ready = conditions.ready is not False and not conditions.terminating
    serving = conditions.ready if conditions.serving is None else conditions.serving
    return ready, serving is not False


def _owner(piece: EndpointSlice) -> str | None:
    name = (piece.metadata.labels or {}).get(SERVICE_LABEL)
    return f"{piece.metadata.namespace}/{name}" if name else None


def _is_ours(service: Service) -> bool:
    """Headless and ExternalName Services, and those of another proxy, are not for us."""
    if service.spec.type == "ExternalName" or service.spec.clusterIP in (None, "", "None"):
        return False
    return PROXY_LABEL not in (service.metadata.labels or {})


def _external_ips(service: Service) -> Iterable[str]:
    yield from (ip for ip in service.spec.externalIPs or () if _is_ipv4(ip))
    balancer = service.status.loadBalancer
    for ingress in (balancer.ingress or ()) if balancer else ():
        if ingress.ip and _is_ipv4(ingress.ip) and ingress.ipMode != "Proxy":
            yield ingress.ip


def _is_ipv4(address: str) -> bool:
    return "." in address
