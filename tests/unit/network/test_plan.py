"""Which way leads to the pods of other nodes."""

from __future__ import annotations

import pytest

from kybern.network.plan import Peer, Plan, Remote, Route, Way, mac_of, mtu, plan, tunnel_mtu

WAYS = (
    Way("0.0.0.0/0", "192.0.2.1", "eth0"),
    Way("192.0.2.0/24", "", "eth0"),
    Way("10.176.0.0/24", "", "nodes"),
    Way("198.51.100.0/24", "192.0.2.7", "eth0"),
    Way("198.51.100.9/32", "", "eth1"),
    Way("fd01::/64", "", "eth0"),
)
CLUSTERS = ("10.244.0.0/16",)


def peer(name, address, *networks):
    return Peer(name, (address,) if address else (), networks)


def planned(*peers, ways=WAYS, clusters=CLUSTERS):
    return plan(peers, ways, clusters, "vx")


def test_a_neighbour_is_the_gateway_to_its_pods():
    found = planned(
        peer("a", "192.0.2.5", "10.244.1.0/24"), peer("b", "10.176.0.2", "10.244.2.0/24")
    )
    assert found == Plan(
        routes=frozenset(
            {
                Route("10.244.1.0/24", "192.0.2.5", "eth0"),
                Route("10.244.2.0/24", "10.176.0.2", "nodes"),
            }
        )
    )


@pytest.mark.parametrize("address", ["203.0.113.4", "198.51.100.4"])
def test_behind_a_router_it_goes_through_the_tunnel(address):
    found = planned(peer("a", address, "10.244.1.0/24"))
    assert found.routes == {Route("10.244.1.0/24", "10.244.1.0", "vx")}
    assert found.remotes == {Remote("10.244.1.0", mac_of(address), address)}
    assert found.underlay == {"eth0"}


def test_the_most_particular_route_counts():
    found = planned(peer("a", "198.51.100.9", "10.244.1.0/24"))
    assert found.routes == {Route("10.244.1.0/24", "198.51.100.9", "eth1")}


def test_a_node_without_a_network_or_an_address_has_no_route():
    found = planned(peer("new", "192.0.2.5"), peer("silent", "", "10.244.1.0/24"))
    assert (found.routes, found.unreachable) == (frozenset(), ("silent",))


def test_no_way_at_all_is_told():
    found = planned(peer("a", "203.0.113.4", "10.244.1.0/24"), ways=WAYS[1:])
    assert (found.routes, found.unreachable) == (frozenset(), ("a",))


@pytest.mark.parametrize("network", ["0.0.0.0/0", "192.0.2.0/24", "10.245.0.0/24", "::/0", "no"])
def test_what_is_not_of_the_pods_network_is_not_believed(network):
    assert planned(peer("a", "192.0.2.5", network)) == Plan()


def test_both_families_each_by_its_own_address():
    both = Peer("a", ("192.0.2.5", "fd01::5"), ("10.244.1.0/24", "fd00:10::/64"))
    found = planned(both, clusters=(*CLUSTERS, "fd00:10::/48"))
    assert found.routes == {
        Route("10.244.1.0/24", "192.0.2.5", "eth0"),
        Route("fd00:10::/64", "fd01::5", "eth0"),
    }


def test_ipv6_pods_of_a_node_with_an_ipv4_address_go_through_the_tunnel():
    found = planned(peer("a", "192.0.2.5", "fd00:10::/64"), clusters=("fd00:10::/48",))
    end = "fd00:10::ffff:ffff:ffff:ff00"
    assert found.routes == {Route("fd00:10::/64", end, "vx")}
    assert found.remotes == {Remote(end, mac_of("192.0.2.5"), "192.0.2.5")}


def test_behind_a_router_both_families_go_through_one_tunnel():
    both = Peer("a", ("203.0.113.4", "fd02::5"), ("10.244.1.0/24", "fd00:10::/64"))
    ways = (*WAYS, Way("::/0", "fd01::1", "eth0"))
    found = planned(both, ways=ways, clusters=(*CLUSTERS, "fd00:10::/48"))
    assert {route.device for route in found.routes} == {"vx"}
    assert {(r.mac, r.outer) for r in found.remotes} == {(mac_of("203.0.113.4"), "203.0.113.4")}
    assert len(found.remotes) == 2


def test_hardware_addresses_differ_and_are_nobodys():
    assert mac_of("192.0.2.1") != mac_of("192.0.2.2")
    first = int(mac_of("fd01::1")[:2], 16)
    assert first & 2  # locally administered
    assert not first & 1  # and not a group's


def test_the_size_of_packets():
    devices = {"eth0": 1500, "nodes": 1400}
    direct = planned(peer("a", "192.0.2.5", "10.244.1.0/24"))
    tunnelled = planned(peer("a", "203.0.113.4", "10.244.1.0/24"))
    assert mtu(devices, "eth0", direct) == 1500
    assert mtu(devices, "nodes", direct) == 1400
    assert mtu(devices, "eth0", tunnelled) == 1450
    assert mtu(devices, "nodes", tunnelled) == 1400
    assert mtu(devices, "lo", direct) == 0
    assert tunnel_mtu(devices, "nodes", "10.176.0.2", direct) == 1350
    assert tunnel_mtu(devices, "nodes", "10.176.0.2", tunnelled) == 1450
    assert tunnel_mtu(devices, "eth0", "fd01::1", direct) == 1430
    assert tunnel_mtu(devices, "lo", "127.0.0.1", direct) == 0
