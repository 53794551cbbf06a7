"""From a port of a Service to the endpoints behind it.

In:   an IngressBackend, Services, EndpointSlices.
Out:  a Backend: name, protocol, targets; or a Problem in its place.
By:   plan.py. Pure.

Requests go to endpoints directly: to the ready ones, and while there are none to those that still
serve although they are terminating.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kybern.api.core.v1 import Service, ServicePort
    from kybern.api.discovery.v1 import Endpoint, EndpointSlice
    from kybern.api.networking.v1 import IngressBackend, ServiceBackendPort

HTTP, H2C, HTTPS = "http", "h2c", "https"
_PROTOCOLS = {
    "kubernetes.io/h2c": H2C, "kubernetes.io/wss": HTTPS, "https": HTTPS, "HTTPS": HTTPS,
    "grpc": H2C,
}  # fmt: skip

Key = tuple[str, str]  # namespace, name


class Target(NamedTuple):
    """Where a request may go."""

    ip: str
    port: int


class Backend(NamedTuple):
    """One port of one Service.

    Attributes:
        name: for the proxy; nothing else has it.
        service: whose port it is.
        port: name of the port in the Service's slices.
        protocol: how to speak to the targets: HTTP, H2C or HTTPS.
        targets: sorted; none when there is nobody to answer.
    """

    name: str
    service: Key
    port: str
    protocol: str = HTTP
    targets: tuple[Target, ...] = ()


class Problem(NamedTuple):
    """Something an Ingress asks for that cannot be."""

    ingress: Key
    reason: str
    message: str


class Around(NamedTuple):
    """How to ask for what is there."""

    service: Callable[[str, str], Service | None]
    slices: Callable[[str, str], Iterable[EndpointSlice]]


def resolve(wanted: IngressBackend, ingress: Key, around: Around) -> Backend | Problem:
    """Return the backend that an Ingress names, or why there is none."""
    namespace = ingress[0]
    if wanted.service is None:
        kind = wanted.resource.kind if wanted.resource else "nothing"
        return Problem(ingress, "BackendUnsupported", f"Backends of kind {kind} are not supported")
    name = wanted.service.name
    service = around.service(namespace, name)
    if service is None:
        return Problem(ingress, "ServiceNotFound", f'Service "{name}" not found')
    if service.spec.type == "ExternalName":
        message = f'Service "{name}" is of type ExternalName, which has no endpoints'
        return Problem(ingress, "BackendUnsupported", message)
    port = _port(service, wanted.service.port)
    if port is None:
        message = f'Service "{name}" has no TCP port {_wanted(wanted.service.port)}'
        return Problem(ingress, "PortNotFound", message)
    protocol = _PROTOCOLS.get(port.appProtocol or "", HTTP)
    port_name = port.name or ""
    backend = Backend(f"{namespace}_{name}_{port.port}", (namespace, name), port_name, protocol)
    return refreshed(backend, around)


def refreshed(backend: Backend, around: Around) -> Backend:
    """Return the same backend with the targets of now."""
    return backend._replace(targets=targets(around.slices(*backend.service), backend.port))


def targets(slices: Iterable[EndpointSlice], port_name: str) -> tuple[Target, ...]:
    """Return where requests for a port may go."""
    ready: set[Target] = set()
    serving: set[Target] = set()
    for piece in slices:
        ports = (p.port for p in piece.ports or () if (p.name or "") == port_name)
        number = next(ports, None)
        if number is None or piece.addressType not in ("IPv4", "IPv6"):
            continue
        for endpoint in piece.endpoints or ():
            if endpoint.addresses and (group := _group(endpoint, ready, serving)) is not None:
                group.add(Target(endpoint.addresses[0], number))
    found = ready or serving
    # Who has addresses of both families is still one.
    return tuple(sorted({target for target in found if ":" not in target.ip} or found))


def _group(endpoint: Endpoint, ready: set[Target], serving: set[Target]) -> set[Target] | None:
    """Return where an endpoint counts; a condition that is not told means yes."""
    conditions = endpoint.conditions
    if conditions is None:
        return ready
    if conditions.ready is not False and not conditions.terminating:
        return ready
    serves = conditions.ready if conditions.serving is None else conditions.serving
    return serving if serves is not False else None


def _port(service: Service, wanted: ServiceBackendPort | None) -> ServicePort | None:
    for port in service.spec.ports or ():
        if wanted is None or (port.protocol or "TCP") != "TCP":
            continue
        if (port.name == wanted.name) if wanted.name else (port.port == wanted.number):
            return port
    return None


def _wanted(port: ServiceBackendPort | None) -> str:
    return "" if port is None else port.name or str(port.number)
