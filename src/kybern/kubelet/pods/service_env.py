"""Environment variables which tell a container where services are.

In:   the Services of the pod's namespace, and `default/kubernetes`.
Out:  `NAME_SERVICE_HOST`, `NAME_PORT_80_TCP_ADDR` and their kin.
By:   environment.py. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.api.core.v1 import Service, ServicePort


def visible_services(services: Iterable[Service], namespace: str, *, links: bool) -> list[Service]:
    """Return the services a pod is told of: its namespace's when it wants links, and the API's."""
    chosen: dict[str, Service] = {}
    for service in services:
        meta = service.metadata
        if service.spec.clusterIP in (None, "", "None"):
            continue
        if links and meta.namespace == namespace:
            chosen[meta.name or ""] = service
        elif meta.namespace == "default" and meta.name == "kubernetes":
            chosen.setdefault("kubernetes", service)
    return [chosen[name] for name in sorted(chosen)]


def service_variables(services: Iterable[Service]) -> dict[str, str]:
    """Return the variables of these services."""
    variables: dict[str, str] = {}
    for service in services:
        prefix = variable_name(service.metadata.name or "")
        ports = service.spec.ports or []
        if not ports:
            continue
        variables[f"{prefix}_SERVICE_HOST"] = service.spec.clusterIP or ""
        variables[f"{prefix}_SERVICE_PORT"] = str(ports[0].port)
        for port in ports:
            if port.name:
                key = f"{prefix}_SERVICE_PORT_{variable_name(port.name)}"
                variables[key] = str(port.port)
        variables.update(_link_variables(prefix, service.spec.clusterIP or "", ports))
    return variables


def variable_name(name: str) -> str:
    """Return a service's or port's name as part of a variable's."""
    return name.upper().replace("-", "_")


def _link_variables(prefix: str, address: str, ports: list[ServicePort]) -> dict[str, str]:
    variables: dict[str, str] = {}
    host = f"[{address}]" if ":" in address else address
    for index, port in enumerate(ports):
        protocol = port.protocol or "TCP"
        url = f"{protocol.lower()}://{host}:{port.port}"
        if index == 0:
            variables[f"{prefix}_PORT"] = url
        link = f"{prefix}_PORT_{port.port}_{protocol.upper()}"
        variables[link] = url
        variables[f"{link}_PROTO"] = protocol.lower()
        variables[f"{link}_PORT"] = str(port.port)
        variables[f"{link}_ADDR"] = address
    return variables
