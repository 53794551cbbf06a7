"""Questions one asks of a Service.

In:   a Service; borrowed, never changed.
Out:  answers.
By:   validation, the API server's allocators, controllers, the proxy, DNS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from kybern.api.core.v1 import Service, ServicePort

HEADLESS: Final = "None"


def is_headless(service: Service) -> bool:
    """Whether clients are to find its endpoints by DNS, without an address of its own."""
    addresses = service.spec.clusterIPs
    if addresses:
        return addresses[0] == HEADLESS
    return service.spec.clusterIP == HEADLESS


def is_external_name(service: Service) -> bool:
    """Whether it is only another name for something outside."""
    return service.spec.type == "ExternalName"


def has_cluster_ip(service: Service) -> bool:
    """Whether it has an address of its own."""
    return service.spec.clusterIP not in (None, "", HEADLESS) and not is_external_name(service)


def wants_cluster_ip(service: Service) -> bool:
    """Whether it must be given an address of its own."""
    return not is_external_name(service) and not is_headless(service)


def cluster_ips(service: Service) -> list[str]:
    """Its own addresses, one per family; none when it is headless."""
    spec = service.spec
    found = spec.clusterIPs or ([spec.clusterIP] if spec.clusterIP else [])
    return [] if is_headless(service) or is_external_name(service) else found


def wants_node_ports(service: Service) -> bool:
    """Whether each of its ports must be given a port on every node."""
    spec = service.spec
    if spec.type == "NodePort":
        return True
    return spec.type == "LoadBalancer" and spec.allocateLoadBalancerNodePorts is not False


def is_externally_accessible(service: Service) -> bool:
    """Whether traffic can come from outside the cluster."""
    spec = service.spec
    if spec.type in ("LoadBalancer", "NodePort"):
        return True
    return spec.type == "ClusterIP" and bool(spec.externalIPs)


def is_external_local(service: Service) -> bool:
    """Whether traffic from outside stays on the node where it arrives."""
    return is_externally_accessible(service) and service.spec.externalTrafficPolicy == "Local"


def is_internal_local(service: Service) -> bool:
    """Whether traffic from inside stays on the node where it starts."""
    return service.spec.internalTrafficPolicy == "Local"


def needs_health_check(service: Service) -> bool:
    """Whether load balancers must be told which nodes have endpoints."""
    return service.spec.type == "LoadBalancer" and service.spec.externalTrafficPolicy == "Local"


def has_session_affinity(service: Service) -> bool:
    """Whether a client keeps the endpoint it once had."""
    return service.spec.sessionAffinity == "ClientIP"


def affinity_seconds(service: Service) -> int:
    """For how long it keeps it."""
    config = service.spec.sessionAffinityConfig
    if config is None or config.clientIP is None or config.clientIP.timeoutSeconds is None:
        return 10800
    return config.clientIP.timeoutSeconds


def target_port(port: ServicePort) -> int | str:
    """The port of the pods behind a port."""
    return port.targetPort or port.port


def node_ports(service: Service) -> list[tuple[str, int]]:
    """Protocol and number of every port it takes on the nodes, that for health included."""
    found = [(p.protocol or "TCP", p.nodePort) for p in service.spec.ports or () if p.nodePort]
    if service.spec.healthCheckNodePort:
        found.append(("TCP", service.spec.healthCheckNodePort))
    return found
