"""The Kubernetes DNS specification 1.1.0, section by section, from Services to answers."""

from __future__ import annotations

import ipaddress
import random
import struct

import pytest

from kybern.api.core.v1 import Service, ServicePort, ServiceSpec
from kybern.api.discovery.v1 import Endpoint, EndpointConditions, EndpointPort, EndpointSlice
from kybern.api.meta.v1 import ObjectMeta
from kybern.dns import records, wire
from kybern.dns.forward import Forwarder
from kybern.dns.resolve import Resolver
from kybern.dns.zone import Zone
from kybern.lib.clock import SYSTEM

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "TXT": 16, "AAAA": 28, "SRV": 33}
SOA = "SOA ns.dns.cluster.local"
HTTP = ServicePort(name="http", port=80, targetPort=8080, protocol="TCP")


def endpoint(address, hostname=None, *, ready=True):
    conditions = EndpointConditions(ready=ready)
    return Endpoint(addresses=[address], hostname=hostname, conditions=conditions)


def slice_of(*endpoints, family="IPv4"):
    port = EndpointPort(name="http", port=8080, protocol="TCP")
    return EndpointSlice(addressType=family, endpoints=list(endpoints), ports=[port])


def cluster_ip(*addresses):
    ports = [HTTP, ServicePort(port=53, protocol="UDP")]
    return ServiceSpec(clusterIP=addresses[0], clusterIPs=list(addresses), ports=ports)


def headless(**more):
    return ServiceSpec(clusterIP="None", clusterIPs=["None"], ports=[HTTP], **more)


def external(name):
    return ServiceSpec(type="ExternalName", externalName=name)


SERVICES = {
    "web": (cluster_ip("10.96.0.7", "fd00::7"), [slice_of(endpoint("10.1.0.9"))]),
    "db": (headless(), [
        slice_of(endpoint("10.1.0.1", "db-0"), endpoint("10.1.0.2"),
                 endpoint("10.1.0.3", "db-2", ready=False)),
        slice_of(endpoint("fd00:1::1", "db-0"), family="IPv6"),
    ]),
    "early": (headless(publishNotReadyAddresses=True),
              [slice_of(endpoint("10.1.0.4", "early-0", ready=False))]),
    "none": (headless(), [slice_of(endpoint("10.1.0.5", "none-0", ready=False))]),
    "alias": (external("web.shop.svc.cluster.local"), []),
    "twice": (external("alias.shop.svc.cluster.local"), []),
    "nowhere": (external("gone.shop.svc.cluster.local"), []),
    "address": (external("192.0.2.7"), []),
}  # fmt: skip


@pytest.fixture(scope="module")
def resolver():
    zone = Zone("cluster.local", ttl=5, server_addresses=("10.96.0.10",))
    for name, (spec, slices) in SERVICES.items():
        service = Service(metadata=ObjectMeta(name=name, namespace="shop"), spec=spec)
        zone.apply(name, records.of_service(service, slices, zone.domain))
    forwarder = Forwarder(lambda name: (), SYSTEM, random.Random(1))
    resolver = Resolver(zone, forwarder, random.Random(1))
    resolver.ready = True
    return resolver


def show(packed, at, rtype, length):
    """Return the data of a record as people write it."""
    data = packed[at : at + length]
    if rtype == wire.OPT:
        return data.hex()
    if rtype in (wire.A, wire.AAAA):
        return str(ipaddress.ip_address(data))
    if rtype == wire.SRV:
        port = int.from_bytes(data[4:6], "big")
        return f"{port} {wire.name_text(wire.read_name(packed, at + 6))}"
    if rtype == wire.TXT:
        return data[1:].decode()
    return wire.name_text(wire.read_name(packed, at))


def asked(resolver, name, kind, *, edns=b""):
    """Ask; return the code, the sections as sets of lines, and the flags."""
    question = wire.encode_name(name) + struct.pack("!HH", TYPES[kind], 1)
    opt = b"\0" + struct.pack("!HHIH", wire.OPT, 4096, 0, len(edns)) + edns if edns else b""
    header = b"\x12\x34" + struct.pack("!HHHHH", wire.RD, 1, 0, 0, bool(edns))
    packed = resolver.answer_datagram(header + question + opt)
    if isinstance(packed, wire.Query):
        return "elsewhere", set(), set(), set()
    counts = struct.unpack("!HHH", packed[6:12])
    at, sections = 12 + len(question), []
    names = {number: text for text, number in TYPES.items()}
    for count in counts:
        lines = set()
        for _ in range(count):
            at = wire.skip_name(packed, at)
            rtype, _, _, length = struct.unpack_from("!HHIH", packed, at)
            at += 10
            lines.add(f"{names.get(rtype, rtype)} {show(packed, at, rtype, length)}")
            at += length
        sections.append(lines)
    assert at == len(packed)
    return wire.RCODES[packed[3] & 15], *sections


ADDRESSES = {"A 10.1.0.1", "A 10.1.0.2"}
TABLE = [
    # 2.2 schema version
    ("dns-version.cluster.local", "TXT", "NOERROR", {"TXT 1.1.0"}),
    # 2.3 a Service with ClusterIP
    ("web.shop.svc.cluster.local", "A", "NOERROR", {"A 10.96.0.7"}),
    ("WEB.Shop.svc.cluster.local", "AAAA", "NOERROR", {"AAAA fd00::7"}),
    ("_http._tcp.web.shop.svc.cluster.local", "SRV", "NOERROR",
     {"SRV 80 web.shop.svc.cluster.local"}),
    ("_._udp.web.shop.svc.cluster.local", "SRV", "NXDOMAIN", set()),
    ("_http._udp.web.shop.svc.cluster.local", "SRV", "NXDOMAIN", set()),
    ("7.0.96.10.in-addr.arpa", "PTR", "NOERROR", {"PTR web.shop.svc.cluster.local"}),
    (wire.name_text(wire.reverse_name(bytes.fromhex("fd" + "00" * 14 + "07"))), "PTR", "NOERROR",
     {"PTR web.shop.svc.cluster.local"}),
    # 2.4 a headless Service
    ("db.shop.svc.cluster.local", "A", "NOERROR", ADDRESSES),
    ("db.shop.svc.cluster.local", "AAAA", "NOERROR", {"AAAA fd00:1::1"}),
    ("db-0.db.shop.svc.cluster.local", "A", "NOERROR", {"A 10.1.0.1"}),
    ("db-0.db.shop.svc.cluster.local", "AAAA", "NOERROR", {"AAAA fd00:1::1"}),
    ("10-1-0-2.db.shop.svc.cluster.local", "A", "NOERROR", {"A 10.1.0.2"}),
    ("db-2.db.shop.svc.cluster.local", "A", "NXDOMAIN", set()),
    ("_http._tcp.db.shop.svc.cluster.local", "SRV", "NOERROR", {
        "SRV 8080 db-0.db.shop.svc.cluster.local",
        "SRV 8080 10-1-0-2.db.shop.svc.cluster.local",
    }),
    ("1.0.1.10.in-addr.arpa", "PTR", "NOERROR", {"PTR db-0.db.shop.svc.cluster.local"}),
    ("2.0.1.10.in-addr.arpa", "PTR", "NOERROR", {"PTR 10-1-0-2.db.shop.svc.cluster.local"}),
    ("3.0.1.10.in-addr.arpa", "PTR", "elsewhere", set()),
    ("none.shop.svc.cluster.local", "A", "NXDOMAIN", set()),
    ("early.shop.svc.cluster.local", "A", "NOERROR", {"A 10.1.0.4"}),
    ("early-0.early.shop.svc.cluster.local", "A", "NOERROR", {"A 10.1.0.4"}),
    # 2.5 external names
    ("alias.shop.svc.cluster.local", "CNAME", "NOERROR", {"CNAME web.shop.svc.cluster.local"}),
    ("alias.shop.svc.cluster.local", "A", "NOERROR",
     {"CNAME web.shop.svc.cluster.local", "A 10.96.0.7"}),
    ("twice.shop.svc.cluster.local", "AAAA", "NOERROR",
     {"CNAME alias.shop.svc.cluster.local", "CNAME web.shop.svc.cluster.local", "AAAA fd00::7"}),
    ("nowhere.shop.svc.cluster.local", "A", "NXDOMAIN", {"CNAME gone.shop.svc.cluster.local"}),
    ("address.shop.svc.cluster.local", "A", "NOERROR", {"A 192.0.2.7"}),
    # 2.6 pods by their address
    ("10-1-0-1.shop.pod.cluster.local", "A", "NOERROR", {"A 10.1.0.1"}),
    ("fd00-1--1.shop.pod.cluster.local", "AAAA", "NOERROR", {"AAAA fd00:1::1"}),
    ("10-1-0-1.shop.pod.cluster.local", "AAAA", "NOERROR", set()),
    ("10-1-0.shop.pod.cluster.local", "A", "NXDOMAIN", set()),
    # names that only lie above others exist; others do not
    ("shop.svc.cluster.local", "A", "NOERROR", set()),
    ("svc.cluster.local", "A", "NOERROR", set()),
    ("_tcp.web.shop.svc.cluster.local", "A", "NOERROR", set()),
    ("gone.shop.svc.cluster.local", "A", "NXDOMAIN", set()),
    ("web.other.svc.cluster.local", "A", "NXDOMAIN", set()),
    ("web.shop.svc.cluster.local", "TXT", "NOERROR", set()),
    # what a search list makes of names elsewhere: ndots would ask for these before the true one
    ("example.com.shop.svc.cluster.local", "A", "NXDOMAIN", set()),
    ("example.com.svc.cluster.local", "A", "NXDOMAIN", set()),
    ("example.com.cluster.local", "A", "NXDOMAIN", set()),
    ("example.com", "A", "elsewhere", set()),
    # the zone itself
    ("cluster.local", "SOA", "NOERROR", {SOA}),
    ("cluster.local", "NS", "NOERROR", {"NS ns.dns.cluster.local"}),
    ("ns.dns.cluster.local", "A", "NOERROR", {"A 10.96.0.10"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "kind", "code", "answers"), TABLE)
def test_answer(resolver, name, kind, code, answers):
    found, lines, authority, _ = asked(resolver, name, kind)
    assert (found, lines) == (code, answers)
    denied = found != "elsewhere" and not {each for each in lines if not each.startswith("CNAME")}
    assert authority == ({SOA} if denied and kind != "CNAME" else set())


def test_addresses_come_with_the_records_that_name_them(resolver):
    _, _, _, additional = asked(resolver, "_http._tcp.db.shop.svc.cluster.local", "SRV")
    assert additional == ADDRESSES | {"AAAA fd00:1::1"}


def test_options_of_edns_are_not_echoed(resolver):
    cookie = struct.pack("!HH", 10, 8) + b"cookie!!"
    code, lines, _, additional = asked(resolver, "web.shop.svc.cluster.local", "A", edns=cookie)
    assert (code, lines) == ("NOERROR", {"A 10.96.0.7"})
    assert additional == {"41 "}  # an OPT record without any data
