"""What a Service is called: names and record data, per Kubernetes DNS specification 1.1.0.

In:   one Service and its EndpointSlices.
Out:  `Records`: owner names under the cluster domain, and reverse names, with packed data.
By:   server, which hands them to the zone. Pure; one service at a time, so that a change to one
      costs nothing to the others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kybern.dns import wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kybern.api.core.v1 import Service
    from kybern.api.discovery.v1 import Endpoint, EndpointSlice

NONE = "None"  # spec.clusterIP of a headless service


@dataclass(frozen=True, slots=True)
class Records:
    """What one service adds to the zone.

    Attributes:
        forward: owner name → record type → data of each record, in a stable order.
        reverse: name under in-addr.arpa or ip6.arpa → names it points to.
    """

    forward: dict[bytes, dict[int, tuple[bytes, ...]]] = field(default_factory=dict)
    reverse: dict[bytes, tuple[bytes, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Target:
    """One endpoint of a headless service: its own name, address, and the ports it serves."""

    name: bytes
    rtype: int
    address: bytes
    ports: tuple[tuple[str, str, int], ...]


class _Builder:
    """Collects records; adding the same one twice is adding it once."""

    def __init__(self) -> None:
        self.forward: dict[bytes, dict[int, dict[bytes, None]]] = {}
        self.reverse: dict[bytes, dict[bytes, None]] = {}

    def add(self, owner: bytes, rtype: int, rdata: bytes) -> None:
        self.forward.setdefault(owner, {}).setdefault(rtype, {})[rdata] = None

    def point(self, packed: bytes, target: bytes) -> None:
        self.reverse.setdefault(wire.reverse_name(packed), {})[target] = None

    def done(self) -> Records:
        return Records(
            {
                owner: {rtype: tuple(data) for rtype, data in types.items()}
                for owner, types in self.forward.items()
            },
            {owner: tuple(targets) for owner, targets in self.reverse.items()},
        )


def service_name(namespace: str, name: str, domain: bytes) -> bytes:
    """Return `<name>.<namespace>.svc.<domain>` in wire form."""
    return wire.label(name) + wire.label(namespace) + b"\x03svc" + domain


def of_service(service: Service, slices: Iterable[EndpointSlice], domain: bytes) -> Records:
    """Return every record of a service; `domain` is the cluster domain in wire form."""
    spec, meta = service.spec, service.metadata
    owner = service_name(meta.namespace or "", meta.name or "", domain)
    build = _Builder()
    if spec.type == "ExternalName":
        _external(build, owner, spec.externalName or "")
    elif spec.clusterIP == NONE:
        _headless(build, owner, _targets(service, slices, owner))
    else:
        _clustered(build, owner, service)
    return build.done()


def _external(build: _Builder, owner: bytes, target: str) -> None:
    try:
        kind, packed = wire.address(target)
    except ValueError:
        try:
            build.add(owner, wire.CNAME, wire.encode_name(target))
        except (ValueError, UnicodeEncodeError):
            return  # validation forbids it; a name that cannot be packed cannot be answered
    else:
        # An address as externalName is allowed by validation, and answered as upstream does.
        build.add(owner, kind, packed)


def _clustered(build: _Builder, owner: bytes, service: Service) -> None:
    spec = service.spec
    for text in spec.clusterIPs or [spec.clusterIP or ""]:
        if not text or text == NONE:
            continue  # not allocated yet: the name exists once the address does
        rtype, packed = wire.address(text)
        build.add(owner, rtype, packed)
        build.point(packed, owner)
    if owner not in build.forward:
        return
    for port in spec.ports or ():
        rdata = wire.srv(0, 100, port.port, owner)
        build.add(owner, wire.SRV, rdata)
        if port.name:
            build.add(_port_name(port.name, port.protocol or "TCP", owner), wire.SRV, rdata)


def _headless(build: _Builder, owner: bytes, targets: Sequence[_Target]) -> None:
    weight = max(1, 100 // len(targets)) if targets else 0
    for target in targets:
        build.add(owner, target.rtype, target.address)
        build.add(target.name, target.rtype, target.address)
        build.point(target.address, target.name)
        for name, protocol, number in target.ports:
            rdata = wire.srv(0, weight, number, target.name)
            build.add(owner, wire.SRV, rdata)
            if name:
                build.add(_port_name(name, protocol, owner), wire.SRV, rdata)


def _port_name(port: str, protocol: str, owner: bytes) -> bytes:
    return wire.label("_" + port) + wire.label("_" + protocol) + owner


def _targets(
    service: Service, slices: Iterable[EndpointSlice], owner: bytes
) -> tuple[_Target, ...]:
    every = bool(service.spec.publishNotReadyAddresses)
    return tuple(
        target
        for slice_ in slices
        if slice_.addressType in ("IPv4", "IPv6")
        for endpoint in slice_.endpoints or ()
        if every or _is_ready(endpoint)
        for target in _targets_of(endpoint, slice_, owner)
    )


def _targets_of(endpoint: Endpoint, slice_: EndpointSlice, owner: bytes) -> Iterator[_Target]:
    ports = tuple(
        (port.name or "", port.protocol or "TCP", port.port)
        for port in slice_.ports or ()
        if port.port is not None
    )
    for text in endpoint.addresses:
        rtype, packed = wire.address(text)
        first = endpoint.hostname or text.replace(".", "-").replace(":", "-")
        yield _Target(wire.label(first) + owner, rtype, packed, ports)


def _is_ready(endpoint: Endpoint) -> bool:
    # Unknown counts as ready, as the field's own description says.
    return endpoint.conditions is None or endpoint.conditions.ready is not False


# --- pods ------------------------------------------------------------------------------------


def pod_address(first: bytes) -> tuple[int, bytes] | None:
    """Return the address which a label such as `10-0-0-7` or `2001-db8--1` spells.

    The records of pods are computed, not stored: the address is in the name.
    """
    text = first.decode("ascii", "replace")
    for separator in (".", ":"):
        try:
            return wire.address(text.replace("-", separator))
        except ValueError:
            continue
    return None
