"""Addresses are given out once."""

import pytest

from kybern.api.core.v1 import Service, ServiceSpec
from kybern.controllers.loadbalancer.plan import CLASS, Pool, UnavailableError, wants_address


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
