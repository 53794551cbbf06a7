"""From message to message: what is answered at once, what must wait, what is remembered."""

from __future__ import annotations

import asyncio
import random
import struct

import pytest

from kybern.dns import wire
from kybern.dns.foreign import Foreign, parse_foreign
from kybern.dns.forward import Forwarder, NoUpstream, UpstreamFailed
from kybern.dns.records import Records
from kybern.dns.resolve import Resolver
from kybern.dns.zone import Zone
from kybern.lib.clock import SYSTEM


def name(text):
    return wire.encode_name(text)


def ip(text):
    return wire.address(text)[1]


SERVICE = "web.shop.svc.cluster.local"
RECORDS = Records(
    {
        name(SERVICE): {wire.A: (ip("10.96.0.1"),)},
        name("db.shop.svc.cluster.local"): {wire.A: tuple(bytes((10, 1, 0, i)) for i in range(3))},
        name("ext.shop.svc.cluster.local"): {wire.CNAME: (name("example.org"),)},
        name("alias.shop.svc.cluster.local"): {wire.CNAME: (name(SERVICE),)},
        name("loop.shop.svc.cluster.local"): {wire.CNAME: (name("loop.shop.svc.cluster.local"),)},
        name("dead.shop.svc.cluster.local"): {wire.CNAME: (name("no.shop.svc.cluster.local"),)},
    }
)


EXAMPLE = name("example.org") + b"\0\1\0\1"


class Upstream:
    """A forwarder that knows example.org."""

    def __init__(self, failure=None):
        self.failure = failure
        self.asked = []

    def cached(self, question):
        return None

    async def ask(self, question):
        self.asked.append(question)
        if self.failure:
            raise self.failure
        found = wire.record(wire.POINTER_TO_QUESTION, wire.A, 60, ip("192.0.2.1"))
        header = b"\0\0" + struct.pack("!HHHHH", wire.QR, 1, 1, 0, 0)
        return parse_foreign(header + question + found, question)


def a_resolver(upstream=None, *, ready=True):
    zone = Zone("cluster.local", ttl=5)
    zone.apply("all", RECORDS)
    resolver = Resolver(zone, upstream or Upstream(), random.Random(1))
    resolver.ready = ready
    return resolver


def ask(text, qtype=wire.A, *, id_=b"\x12\x34", qclass=1, edns=False):
    question = name(text) + struct.pack("!HH", qtype, qclass)
    opt = b"\0" + struct.pack("!HHIH", wire.OPT, 1232, 0, 0) if edns else b""
    return id_ + struct.pack("!HHHHH", wire.RD, 1, 0, 0, edns) + question + opt


def read(packed):
    """Return id, code, flags, and the answer records as (owner, type, data)."""
    flags, _, answers, _, _ = struct.unpack("!HHHHH", packed[2:12])
    at = wire.skip_plain_name(packed, 12) + 4
    records = []
    for _ in range(answers):
        owner = wire.name_text(wire.read_name(packed, at))
        at = wire.skip_name(packed, at)
        rtype, _, _, length = struct.unpack_from("!HHIH", packed, at)
        at += 10
        records.append((owner, rtype, packed[at : at + length]))
        at += length
    return packed[:2], flags & 15, bool(flags & wire.AA), records


def finished(resolver, query):
    return asyncio.run(resolver.finish(query, 512))


def test_the_same_question_again_differs_by_its_id_alone():
    resolver = a_resolver()
    first = resolver.answer_datagram(ask(SERVICE))
    again = resolver.answer_datagram(ask(SERVICE, id_=b"\x56\x78"))
    assert read(first) == (b"\x12\x34", 0, True, [(SERVICE, wire.A, ip("10.96.0.1"))])
    assert (again[:2], again[2:]) == (b"\x56\x78", first[2:])
    assert resolver.answered()["NOERROR"] == 2


def test_a_change_is_seen_at_once():
    resolver = a_resolver()
    resolver.answer_datagram(ask(SERVICE))
    resolver.zone.remove("all")
    assert read(resolver.answer_datagram(ask(SERVICE)))[1] == wire.NXDOMAIN
    resolver.zone.apply("all", RECORDS)
    assert read(resolver.answer_datagram(ask(SERVICE)))[1] == wire.NOERROR


def test_several_records_take_turns():
    resolver = a_resolver()
    first = [
        read(resolver.answer_datagram(ask("db.shop.svc.cluster.local")))[3][0] for _ in range(7)
    ]
    assert len(set(first)) == 3


def test_case_is_kept_in_the_echo_and_ignored_otherwise():
    resolver = a_resolver()
    query = ask(SERVICE).replace(b"web", b"wEb")
    packed = resolver.answer_datagram(query)
    assert b"wEb" in packed
    assert read(packed)[1] == wire.NOERROR


def test_an_alias_within_the_zone_is_followed():
    packed = a_resolver().answer_datagram(ask("alias.shop.svc.cluster.local"))
    assert read(packed)[3] == [
        ("alias.shop.svc.cluster.local", wire.CNAME, name(SERVICE)),
        (SERVICE, wire.A, ip("10.96.0.1")),
    ]
    only = a_resolver().answer_datagram(ask("alias.shop.svc.cluster.local", wire.CNAME))
    assert len(read(only)[3]) == 1


def test_aliases_that_lead_nowhere_or_round_in_circles():
    resolver = a_resolver()
    code, records = read(resolver.answer_datagram(ask("dead.shop.svc.cluster.local")))[1::2]
    assert (code, len(records)) == (wire.NXDOMAIN, 1)
    assert read(resolver.answer_stream(ask("loop.shop.svc.cluster.local")))[1] == wire.NOERROR


def test_an_alias_out_of_the_zone_is_resolved_upstream():
    upstream = Upstream()
    resolver = a_resolver(upstream)
    query = resolver.answer_datagram(ask("ext.shop.svc.cluster.local"))
    assert read(finished(resolver, query))[3] == [
        ("ext.shop.svc.cluster.local", wire.CNAME, name("example.org")),
        ("example.org", wire.A, ip("192.0.2.1")),
    ]
    assert upstream.asked == [name("example.org") + b"\0\1\0\1"]
    direct = resolver.answer_datagram(ask("ext.shop.svc.cluster.local", wire.CNAME))
    assert read(direct)[3] == [("ext.shop.svc.cluster.local", wire.CNAME, name("example.org"))]


@pytest.mark.parametrize(
    ("failure", "code"), [(NoUpstream(), wire.NOERROR), (UpstreamFailed(), wire.SERVFAIL)]
)
def test_an_alias_is_still_told_when_its_target_cannot_be_found(failure, code):
    resolver = a_resolver(Upstream(failure))
    query = resolver.answer_datagram(ask("ext.shop.svc.cluster.local"))
    _, found, _, records = read(finished(resolver, query))
    assert (found, len(records)) == (code, 1)


def test_the_target_of_an_alias_is_remembered_and_grows_older():
    resolver = a_resolver(remembering := Upstream())
    foreign = asyncio.run(remembering.ask(EXAMPLE))
    remembering.cached = lambda question: (foreign, 7) if question == EXAMPLE else None
    packed = resolver.answer_datagram(ask("ext.shop.svc.cluster.local"))
    assert read(packed)[3][1] == ("example.org", wire.A, ip("192.0.2.1"))
    assert packed[-10:-6] == (60 - 7).to_bytes(4, "big")


def test_that_the_target_of_an_alias_does_not_exist_is_told():
    upstream = Upstream()
    denied = Foreign(wire.NXDOMAIN, False, b"", (0, 0, 0), (), 5)
    upstream.cached = lambda question: (denied, 0)
    packed = a_resolver(upstream).answer_datagram(ask("ext.shop.svc.cluster.local"))
    assert read(packed)[1::2] == (
        wire.NXDOMAIN, [("ext.shop.svc.cluster.local", wire.CNAME, name("example.org"))]
    )  # fmt: skip


def test_what_is_not_ours_is_asked_upstream():
    resolver = a_resolver()
    query = resolver.answer_datagram(ask("Example.org"))
    assert isinstance(query, wire.Query)
    assert read(finished(resolver, query))[1:] == (
        wire.NOERROR,
        False,
        [("example.org", wire.A, ip("192.0.2.1"))],
    )


@pytest.mark.parametrize(
    ("failure", "code"), [(NoUpstream(), wire.REFUSED), (UpstreamFailed(), wire.SERVFAIL)]
)
def test_upstream_failures_are_told(failure, code):
    resolver = a_resolver(Upstream(failure))
    assert read(finished(resolver, resolver.answer_datagram(ask("example.org"))))[1] == code


@pytest.mark.parametrize(
    ("query", "code"),
    [
        (ask(SERVICE, qclass=3), wire.REFUSED),
        (ask("cluster.local", wire.AXFR), wire.REFUSED),
        (ask("cluster.local", wire.IXFR), wire.REFUSED),
        (ask(SERVICE)[:-1], wire.FORMERR),
        (b"\0\0\x28\0" + bytes(8), wire.NOTIMP),
        (ask("no.shop.svc.cluster.local"), wire.NXDOMAIN),
        (ask(SERVICE, wire.AAAA), wire.NOERROR),
        (ask(SERVICE, wire.ANY), wire.NOERROR),
    ],
)
def test_codes(query, code):
    resolver = a_resolver()
    for answer in (resolver.answer_datagram(query), resolver.answer_stream(query)):
        assert answer[3] & 15 == code


def test_silence():
    resolver = a_resolver()
    assert resolver.answer_datagram(b"x") is None
    assert resolver.answer_datagram(resolver.answer_datagram(ask(SERVICE))) is None


def test_an_unknown_edns_version():
    query = ask(SERVICE, edns=True)
    query = query[:-4] + struct.pack("!BB", 0, 0) + query[-2:]
    at = len(query) - 6
    packed = a_resolver().answer_datagram(query[:at] + b"\0\1\0\0" + query[at + 4 :])
    assert packed[3] & 15 == 0
    assert packed[-6] == 1  # the upper bits of BADVERS are in the OPT record


def test_before_the_zone_is_complete_nothing_is_denied():
    resolver = a_resolver(ready=False)
    assert read(resolver.answer_datagram(ask("no.shop.svc.cluster.local")))[1] == wire.SERVFAIL
    assert read(resolver.answer_datagram(ask(SERVICE)))[1] == wire.NOERROR
    resolver.ready = True
    assert read(resolver.answer_datagram(ask("no.shop.svc.cluster.local")))[1] == wire.NXDOMAIN


def test_the_memory_of_packets_is_bounded(monkeypatch):
    monkeypatch.setattr("kybern.dns.resolve.PACKETS", 10)
    resolver = a_resolver()
    for i in range(100):
        resolver.answer_datagram(ask(f"no-{i}.shop.svc.cluster.local"))
    assert len(resolver._packets) <= 10


def test_a_probe_that_comes_back_is_recognised():
    resolver = a_resolver()
    question = resolver.probe()
    assert not resolver.probed(question)
    question = resolver.probe()
    packed = resolver.answer_datagram(b"\0\1" + struct.pack("!HHHHH", 0, 1, 0, 0, 0) + question)
    assert read(packed)[1] == wire.NXDOMAIN
    assert resolver.probed(question)
    assert not resolver.probed(question)


def test_with_a_real_forwarder_and_no_servers():
    zone = Zone("cluster.local", ttl=5)
    resolver = Resolver(
        zone, Forwarder(lambda name: (), SYSTEM, random.Random(1)), random.Random(1)
    )
    query = resolver.answer_datagram(ask("example.org"))
    assert read(finished(resolver, query))[1] == wire.REFUSED
