"""Where a Service's server listens, as seen from the API server.

In:   a Service's namespace and name, and a port of it.
Out:  host, port, and the name its certificate must have; Unresolved with the reason for a status.
By:   aggregator.backend, admission.webhooks.

It is a ready endpoint and not the cluster IP, so that a control plane needs no proxy beside it
(upstream's `--enable-aggregator-routing`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from kybern.api import codec

if TYPE_CHECKING:
    from kybern.apiserver.context import Services

SERVICES = "/registry/services/specs/"
SLICES = "/registry/endpointslices/"
SERVICE_NAME = "kubernetes.io/service-name"


class Address(NamedTuple):
    """Where to connect to, and which name to expect in the certificate."""

    host: str
    port: int
    server_name: str


class Unresolved(Exception):
    """There is nobody to speak to: `reason` and text are those of upstream's condition."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def find(services: Services, namespace: str, name: str, port: int) -> list[Address]:
    """Return every address at which the Service can be reached.

    Raises:
        Unresolved: there is no such Service, port or ready endpoint.
    """
    entry = services.store.get(f"{SERVICES}{namespace}/{name}")
    where = f'service/{name} in "{namespace}"'
    if entry is None:
        raise Unresolved("ServiceNotFound", f"{where} is not present")
    spec = codec.decode_tree(entry.held)["spec"]
    server_name = f"{name}.{namespace}.svc"
    if spec.get("type") == "ExternalName":
        return [Address(spec.get("externalName", ""), port, server_name)]
    port_name = next(
        (each.get("name", "") for each in spec.get("ports", ()) if each["port"] == port), None
    )
    if port_name is None:
        raise Unresolved("ServicePortError", f"{where} is not listening on port {port}")
    slices = _slices(services, namespace, name)
    if not slices:
        raise Unresolved(
            "EndpointsNotFound", f'cannot find endpointslices for service/{name} in "{namespace}"'
        )
    found = [a for each in slices for a in _ready(each, port_name, server_name)]
    if not found:
        raise Unresolved(
            "MissingEndpoints",
            f'endpoints for service/{name} in "{namespace}" have no addresses with port name '
            f'"{port_name}"',
        )
    return found


def _slices(services: Services, namespace: str, name: str) -> list[dict[str, Any]]:
    return [
        codec.decode_tree(entry.held)
        for entry in services.store.list(f"{SLICES}{namespace}/").entries
        if (entry.attributes.metadata.labels or {}).get(SERVICE_NAME) == name
    ]


def _ready(tree: dict[str, Any], port_name: str, server_name: str) -> list[Address]:
    return [
        Address(endpoint["addresses"][0], port["port"], server_name)
        for port in tree.get("ports") or ()
        if port.get("name", "") == port_name and port.get("port")
        for endpoint in tree.get("endpoints") or ()
        if endpoint.get("conditions", {}).get("ready") is not False
    ]
