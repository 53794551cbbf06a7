"""What EndpointSlices must be.

In:   an EndpointSlice; for updates also the old one.
Out:  problems; the table `VALIDATORS`.
By:   `api.validation`. Facts: upstream's `pkg/apis/discovery/validation/validation.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kybern.api import names
from kybern.api.addresses import check_ordinary_ip, parse_ip
from kybern.api.core.validation.nodes import check_node_name
from kybern.api.field_path import (
    Path,
    Problem,
    all_invalid,
    duplicate,
    invalid,
    not_supported,
    required,
    too_many,
)
from kybern.api.meta.validation import check_immutable, check_labels
from kybern.api.rules import Rules, rules

if TYPE_CHECKING:
    from kybern.api.discovery.v1 import Endpoint, EndpointPort, EndpointSlice

ADDRESS_TYPES: Final = ("FQDN", "IPv4", "IPv6")
PROTOCOLS: Final = ("SCTP", "TCP", "UDP")
ENDPOINTS_MAX: Final = 1000
ADDRESSES_MAX: Final = 100
PORTS_MAX: Final = 100
TOPOLOGY_MAX: Final = 16
HINTS_MAX: Final = 8


def check_endpoint_slice(obj: EndpointSlice, out: list[Problem]) -> None:
    """Some of the endpoints of a Service, all of one type."""
    place = Path("addressType")
    if not obj.addressType:
        out.append(required(place))
    elif obj.addressType not in ADDRESS_TYPES:
        out.append(not_supported(place, obj.addressType, ADDRESS_TYPES))
    endpoints = obj.endpoints or []
    if len(endpoints) > ENDPOINTS_MAX:
        out.append(too_many(Path("endpoints"), len(endpoints), ENDPOINTS_MAX))
    else:
        for index, endpoint in enumerate(endpoints):
            _check_endpoint(endpoint, obj.addressType, Path("endpoints")[index], out)
    ports = obj.ports or []
    if len(ports) > PORTS_MAX:
        out.append(too_many(Path("ports"), len(ports), PORTS_MAX))
    else:
        _check_ports(ports, Path("ports"), out)


def _check_endpoint(endpoint: Endpoint, kind: str, path: Path, out: list[Problem]) -> None:
    place, addresses = path / "addresses", endpoint.addresses
    if not addresses:
        out.append(required(place, "must contain at least 1 address"))
    elif len(addresses) > ADDRESSES_MAX:
        out.append(too_many(place, len(addresses), ADDRESSES_MAX))
    for index, text in enumerate(addresses):
        if kind in ("IPv4", "IPv6"):
            _check_address(text, kind, place[index], out)
        elif kind == "FQDN":
            _check_domain(text, place[index], out)
    check_node_name(endpoint.nodeName, path / "nodeName", out)
    topology = endpoint.deprecatedTopology or {}
    if len(topology) > TOPOLOGY_MAX:
        out.append(too_many(path / "deprecatedTopology", len(topology), TOPOLOGY_MAX))
    if topology:
        check_labels(topology, path, "deprecatedTopology", out)
    if endpoint.hostname is not None and (messages := names.dns1123_label(endpoint.hostname)):
        out += all_invalid(path / "hostname", endpoint.hostname, messages)
    if endpoint.hints is not None:
        _check_hints(endpoint, path / "hints", out)


def _check_address(text: str, kind: str, place: Path, out: list[Problem]) -> None:
    parsed = parse_ip(text)
    if parsed is None or f"IPv{parsed.version}" != kind:
        out.append(invalid(place, text, f"must be a valid {kind} address"))
    check_ordinary_ip(text, place, out)


def _check_domain(text: str, place: Path, out: list[Problem]) -> None:
    name = text.removesuffix(".")
    if not text:
        out.append(required(place))
    elif messages := names.dns1123_subdomain(name):
        out.append(invalid(place, name, ",".join(messages)))
    elif "." not in name:
        told = "should be a domain with at least two segments separated by dots"
        out.append(invalid(place, name, told))


def _check_hints(endpoint: Endpoint, path: Path, out: list[Problem]) -> None:
    hints = endpoint.hints
    if hints is None:
        return
    zones = [each.name for each in hints.forZones or ()]
    nodes = [each.name for each in hints.forNodes or ()]
    for field, named in (("forZones", zones), ("forNodes", nodes)):
        place = path / field
        if len(named) > HINTS_MAX:
            out.append(too_many(place, len(named), HINTS_MAX))
            continue
        seen: set[str] = set()
        for index, name in enumerate(named):
            if name in seen:
                out.append(duplicate(place[index] / "name", name))
            seen.add(name)
            if messages := names.label_value(name):
                out += all_invalid(place[index] / "name", name, messages)


def _check_ports(ports: list[EndpointPort], path: Path, out: list[Problem]) -> None:
    seen: set[str] = set()
    for index, port in enumerate(ports):
        name = port.name or ""
        if name and (messages := names.dns1123_label(name)):
            out += all_invalid(path[index] / "name", name, messages)
        if name in seen:
            out.append(duplicate(path[index] / "name", name))
        seen.add(name)
        if port.protocol is None:
            out.append(required(path[index] / "protocol"))
        elif port.protocol not in PROTOCOLS:
            out.append(not_supported(path[index] / "protocol", port.protocol, PROTOCOLS))
        if port.appProtocol is not None and (messages := names.qualified_name(port.appProtocol)):
            out += all_invalid(path[index] / "appProtocol", port.appProtocol, messages)


def check_endpoint_slice_change(new: EndpointSlice, old: EndpointSlice, out: list[Problem]) -> None:
    """The type of addresses stays."""
    check_immutable(new.addressType, old.addressType, Path("addressType"), out)


VALIDATORS: Final[dict[str, Rules]] = {
    "EndpointSlice": rules(check_endpoint_slice, change=check_endpoint_slice_change),
}
