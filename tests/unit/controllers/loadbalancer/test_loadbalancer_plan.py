"""Addresses are given out once."""

import pytest

from kybern.api.core.v1 import Service, ServiceSpec
from kybern.controllers.loadbalancer.plan import (
    CLASS,
    Pool,
    Pools,
    UnavailableError,
    families,
    wants_address,
)


def test_each_gets_its_own_until_none_is_left():
    pool = Pool(["192.0.2.0/30"])
    assert [pool.take("a"), pool.take("b"), pool.take("a")] == [
        "192.0.2.1", "192.0.2.2", "192.0.2.1",
    ]  # fmt: skip
    with pytest.raises(UnavailableError, match=r"no address of the pool 192.0.2.0/30 is free"):
        pool.take("c")
    assert pool.release("a") == "192.0.2.1"
    assert pool.take("c") == "192.0.2.1"
    assert len(pool) == 2


def test_wishes():
    pool = Pool(["192.0.2.0/29", "198.51.100.0/24"])
    assert pool.take("a", "198.51.100.7") == "198.51.100.7"
    assert pool.take("a", "192.0.2.3") == "192.0.2.3"  # and gives the other back
    assert pool.take("b", "198.51.100.7") == "198.51.100.7"
    with pytest.raises(UnavailableError, match=r"192.0.2.3 is in use by a"):
        pool.take("b", "192.0.2.3")
    for address in ("203.0.113.1", "192.0.2.0", "name.example"):
        with pytest.raises(UnavailableError, match="is not in the pool"):
            pool.take("b", address)
    assert pool.held("b") == "198.51.100.7"


@pytest.mark.parametrize(
    ("kind", "of", "wanted"),
    [
        ("LoadBalancer", None, True),
        ("LoadBalancer", CLASS, True),
        ("LoadBalancer", "example.com/other", False),
        ("NodePort", None, False),
    ],
)
def test_whose(kind, of, wanted):
    service = Service(spec=ServiceSpec(type=kind, loadBalancerClass=of))
    assert wants_address(service) is wanted


BOTH = ["IPv4", "IPv6"]


def test_an_address_of_each_family():
    pools = Pools(["192.0.2.0/29", "2001:db8::/64"])
    assert pools.take("a", BOTH) == ["192.0.2.1", "2001:db8::1"]
    assert pools.take("b", BOTH[::-1]) == ["2001:db8::2", "192.0.2.2"]
    assert pools.fits("a", BOTH)
    assert not pools.fits("a", ["IPv4"])
    assert pools.take("a", ["IPv6"], "2001:db8::77") == ["2001:db8::77"]  # the other comes back
    assert pools.held("a") == ["2001:db8::77"]
    assert pools.take("c", ["IPv4"]) == ["192.0.2.1"]
    with pytest.raises(UnavailableError, match="192.0.2.7 is not of the Service's IP families"):
        pools.take("a", ["IPv6"], "192.0.2.7")
    assert len(pools) == 4


def test_all_or_nothing():
    pools = Pools(["192.0.2.0/30", "2001:db8::/64"])
    pools.take("a", ["IPv4"])
    pools.take("b", ["IPv4"])
    with pytest.raises(UnavailableError, match=r"192.0.2.0/30 is free"):
        pools.take("c", BOTH[::-1])
    assert pools.held("c") == []
    with pytest.raises(UnavailableError, match="there is no pool of IPv6 addresses"):
        Pools(["192.0.2.0/30"]).take("a", ["IPv6"])
    assert not Pools([])


def test_families_follow_the_service():
    assert families(Service(spec=ServiceSpec(ipFamilies=["IPv6"]))) == ["IPv6"]
    assert families(Service(spec=ServiceSpec(clusterIP="fd00::1"))) == ["IPv6"]
    assert families(Service(spec=ServiceSpec())) == ["IPv4"]
