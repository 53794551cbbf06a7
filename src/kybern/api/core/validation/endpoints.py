"""Endpoints.

In:   Endpoints.
Out:  problems appended to the list given.
By:   `core.validation.all`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import names
from kybern.api.addresses import check_ip, check_ordinary_ip
from kybern.api.core.validation.containers import PROTOCOLS
from kybern.api.core.validation.nodes import check_node_name
from kybern.api.field_path import Path, Problem, all_invalid, not_supported, required

if TYPE_CHECKING:
    from kybern.api.core.v1 import EndpointAddress, EndpointPort, Endpoints


def check_endpoints(obj: Endpoints, out: list[Problem]) -> None:
    """Addresses and ports behind a Service."""
    for index, subset in enumerate(obj.subsets or ()):
        place = Path("subsets")[index]
        if not subset.addresses and not subset.notReadyAddresses:
            out.append(required(place, "must specify `addresses` or `notReadyAddresses`"))
        for field in ("addresses", "notReadyAddresses"):
            for number, address in enumerate(getattr(subset, field) or ()):
                _check_address(address, (place / field)[number], out)
        ports = subset.ports or []
        for number, port in enumerate(ports):
            _check_port(port, (place / "ports")[number], out, named=len(ports) > 1)


def _check_address(address: EndpointAddress, path: Path, out: list[Problem]) -> None:
    check_ip(address.ip, path / "ip", out)
    if address.hostname and (messages := names.dns1123_label(address.hostname)):
        out += all_invalid(path / "hostname", address.hostname, messages)
    check_node_name(address.nodeName, path / "nodeName", out)
    check_ordinary_ip(address.ip, path / "ip", out)


def _check_port(port: EndpointPort, path: Path, out: list[Problem], *, named: bool) -> None:
    if port.name:
        if messages := names.dns1123_label(port.name):
            out += all_invalid(path / "name", port.name, messages)
    elif named:
        out.append(required(path / "name"))
    if messages := names.port_number(port.port):
        out += all_invalid(path / "port", port.port, messages)
    if port.protocol not in PROTOCOLS:
        place = path / "protocol"
        known = not_supported(place, port.protocol, PROTOCOLS)
        out.append(known if port.protocol else required(place))
    if port.appProtocol is not None and (messages := names.qualified_name(port.appProtocol)):
        out += all_invalid(path / "appProtocol", port.appProtocol, messages)
