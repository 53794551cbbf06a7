"""The zone: what exists, what does not, and what is not ours; incrementally."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kybern.dns import wire
from kybern.dns.records import Records
from kybern.dns.zone import Zone


def name(text):
    return wire.encode_name(text)


def ip(text):
    return wire.address(text)[1]


WEB = Records(
    {
        name("web.shop.svc.cluster.local"): {wire.A: (ip("10.96.0.1"),)},
        name("_http._tcp.web.shop.svc.cluster.local"): {
            wire.SRV: (wire.srv(0, 100, 80, name("web.shop.svc.cluster.local")),)
        },
    },
    {wire.reverse_name(ip("10.96.0.1")): (name("web.shop.svc.cluster.local"),)},
)


@pytest.fixture
def zone():
    zone = Zone("cluster.local", ttl=5, server_addresses=("10.96.0.10",))
    zone.apply("web", WEB)
    return zone


NODATA = (wire.NOERROR, 0, 1)
MISSING = (wire.NXDOMAIN, 0, 1)
FOUND = (wire.NOERROR, 1, 0)


@pytest.mark.parametrize(
    ("text", "qtype", "expected"),
    [
        ("web.shop.svc.cluster.local", wire.A, FOUND),
        ("web.shop.svc.cluster.local", wire.AAAA, NODATA),
        ("shop.svc.cluster.local", wire.A, NODATA),
        ("_tcp.web.shop.svc.cluster.local", wire.A, NODATA),
        ("svc.cluster.local", wire.A, NODATA),
        ("pod.cluster.local", wire.A, NODATA),
        ("cluster.local", wire.A, NODATA),
        ("cluster.local", wire.SOA, FOUND),
        ("cluster.local", wire.NS, FOUND),
        ("ns.dns.cluster.local", wire.A, FOUND),
        ("dns-version.cluster.local", wire.TXT, FOUND),
        ("nope.shop.svc.cluster.local", wire.A, MISSING),
        ("web.other.svc.cluster.local", wire.A, MISSING),
        ("other.svc.cluster.local", wire.A, MISSING),
        ("x.web.shop.svc.cluster.local", wire.A, MISSING),
        ("10-0-0-7.shop.pod.cluster.local", wire.A, FOUND),
        ("10-0-0-7.shop.pod.cluster.local", wire.AAAA, NODATA),
        ("shop.pod.cluster.local", wire.A, NODATA),
        ("web.shop.pod.cluster.local", wire.A, MISSING),
        ("a.10-0-0-7.shop.pod.cluster.local", wire.A, MISSING),
        ("1.0.96.10.in-addr.arpa", wire.PTR, FOUND),
        ("1.0.96.10.in-addr.arpa", wire.A, (wire.NOERROR, 0, 0)),
        ("2.0.96.10.in-addr.arpa", wire.PTR, None),
        ("example.org", wire.A, None),
        ("xcluster.local", wire.A, None),
        ("local", wire.A, None),
        ("", wire.NS, None),
    ],
)
def test_lookup(zone, text, qtype, expected):
    answer = zone.lookup(name(text), qtype)
    found = answer and (answer.rcode, len(answer.answers), len(answer.authority))
    assert found == expected
    assert zone.contains(name(text)) == (expected is not None)


def test_a_name_that_only_ends_like_ours_is_not_ours(zone):
    label = b"abc" + zone.domain[:-1]
    assert zone.lookup(bytes((len(label),)) + label + b"\x00", wire.A) is None


def test_an_srv_answer_brings_its_addresses(zone):
    answer = zone.lookup(name("_http._tcp.web.shop.svc.cluster.local"), wire.SRV)
    target = name("web.shop.svc.cluster.local")
    assert answer.additional == [wire.record(target, wire.A, 5, ip("10.96.0.1"))]


def test_saying_the_same_again_changes_nothing(zone):
    version = zone.version
    assert not zone.apply("web", WEB)
    assert zone.version == version
    assert not zone.remove("unknown")


def test_what_is_removed_is_gone_with_the_names_above_it(zone):
    before = Zone("cluster.local", ttl=5, server_addresses=("10.96.0.10",))
    assert zone.remove("web")
    assert zone._names == before._names
    assert zone._above == before._above
    assert zone._reverse == {}


def test_two_services_share_a_reverse_name(zone):
    other = Records({}, {wire.reverse_name(ip("10.96.0.1")): (name("b.shop.svc.cluster.local"),)})
    zone.apply("b", other)
    reverse = name("1.0.96.10.in-addr.arpa")
    assert len(zone.lookup(reverse, wire.PTR).answers) == 2
    zone.remove("web")
    assert len(zone.lookup(reverse, wire.PTR).answers) == 1


labels = st.sampled_from(["a", "b", "_tcp", "c"])
owners = st.lists(labels, min_size=1, max_size=3).map(".".join)
contents = st.dictionaries(owners, st.integers(1, 3), max_size=4)


@given(st.lists(st.tuples(st.integers(0, 3), contents), max_size=12))
def test_the_order_of_changes_leaves_no_trace(changes):
    """After any history the zone equals one that was told only the outcome."""
    zone = Zone("cluster.local", ttl=5)
    last = {}
    for key, content in changes:
        forward = {
            name(f"{owner}.s{key}.ns.svc.cluster.local"): {
                wire.A: tuple(bytes(4) for _ in range(n))
            }
            for owner, n in content.items()
        }
        last[key] = Records(forward)
        zone.apply(key, last[key])
    fresh = Zone("cluster.local", ttl=5)
    for key, records in last.items():
        fresh.apply(key, records)
    assert zone._names == fresh._names
    assert zone._above == fresh._above
