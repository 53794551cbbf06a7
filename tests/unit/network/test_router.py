"""What the router does with the kernel, and when it looks again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct

import pytest
from tests.unit.controllers.cluster import cluster

from kybern.api.core.v1 import Node, NodeAddress, NodeSpec, NodeStatus
from kybern.api.meta.v1 import ObjectMeta
from kybern.lib.clock import run_virtual
from kybern.network import cni, events, kernel, router
from kybern.network.config import NetworkConfig
from kybern.network.kernel import KernelError, State
from kybern.network.plan import Remote, Route, Way, mac_of

ETHERNET = {
    "ways": (Way("0.0.0.0/0", "192.0.2.1", "eth0"), Way("192.0.2.0/24", "", "eth0")),
    "mtus": {"eth0": 1500}, "indexes": {"eth0": 2}, "addresses": {"192.0.2.9": "eth0"},
}  # fmt: skip


class Kernel:
    """Remembers what it is told; what it has is what was asked of it."""

    def __init__(self, monkeypatch):
        self.routes = {}
        self.tunnel = None
        self.remotes = {}
        self.batches = []
        self.refuse = 0
        self.outer = {}
        monkeypatch.setattr(kernel, "read", self.read)
        monkeypatch.setattr(kernel, "apply", self.apply)
        monkeypatch.setattr(kernel, "apply_bridge", self.apply_bridge)

    async def read(self, tunnel):
        indexes = ETHERNET["indexes"] | ({tunnel: 7} if self.tunnel else {})
        remotes = frozenset(
            Remote(inner, mac, self.outer.get(mac, "")) for inner, mac in self.remotes.items()
        )
        return State(
            **{**ETHERNET, "indexes": indexes},
            routes=frozenset(self.routes.values()), tunnel=self.tunnel, remotes=remotes,
        )  # fmt: skip

    async def apply(self, commands):
        commands = list(commands)
        if not commands:
            return
        self.batches.append(commands)
        if self.refuse:
            self.refuse -= 1
            raise KernelError(1, "not now")
        for command in commands:
            self.carry_out(command.split())

    def carry_out(self, words):
        match words:
            case ["route", "replace", network, "via", via, "dev", device, *_]:
                self.routes[network] = Route(network, via, device)
            case ["route", "delete", network, *_]:
                del self.routes[network]
            case ["link", "add", _, "address", _, "mtu", size, "type", "vxlan", "id", number,
                  "local", address, *_]:  # fmt: skip
                self.tunnel = (address, int(number), int(size))
            case ["link", "delete", device]:
                self.tunnel, self.remotes, self.outer = None, {}, {}
                self.routes = {n: r for n, r in self.routes.items() if r.device != device}
            case ["neigh", "replace", inner, "lladdr", mac, *_]:
                assert self.tunnel
                self.remotes[inner] = mac
            case ["neigh", "delete", inner, *_]:
                del self.remotes[inner]

    async def apply_bridge(self, commands):
        for command in commands:
            _, verb, mac, _, _, _, outer = command.split()
            if verb == "replace":
                self.outer[mac] = outer
            else:
                self.outer.pop(mac)


class NoEvents:
    def __init__(self, *_, **__):
        self.devices = frozenset()

    def close(self):
        pass


@pytest.fixture
def machine(monkeypatch):
    monkeypatch.setattr(cni, "_allow_forwarding", lambda _: None)
    monkeypatch.setattr(router, "KernelEvents", NoEvents)
    monkeypatch.setattr(router, "DirectoryEvents", NoEvents)
    return Kernel(monkeypatch)


def node(name, address, network=None):
    return Node(
        metadata=ObjectMeta(name=name),
        spec=NodeSpec(podCIDR=network, podCIDRs=[network] if network else None),
        status=NodeStatus(addresses=[NodeAddress(type="InternalIP", address=address)]),
    )


def story(tmp_path, tell):
    """Run a router for the node `me`, against the real API server."""
    config = NetworkConfig(tmp_path, tunnel_id=77)

    async def main():
        async with cluster(nodes=False) as it:
            await it.client.create(node("me", "192.0.2.9"))
            one = router.Router(config, "me", it.informers, it.clock)
            it.tasks.spawn_forever(one.run, "router")
            await it.settle(1)
            await tell(it, one)

    run_virtual(main())


def configured(tmp_path):
    [place] = (tmp_path / "cni/net.d").iterdir()
    return json.loads(place.read_text())["plugins"][0]


def test_pods_have_a_network_as_soon_as_the_node_has_its_part(tmp_path, machine):
    async def tell(it, one):
        assert list((tmp_path / "cni/net.d").iterdir()) == []
        assert not one.configured.is_set()
        await it.client.patch(Node, "me", "", {"spec": {"podCIDR": "10.244.3.0/24"}})
        await it.settle(1)
        assert one.configured.is_set()
        bridge = configured(tmp_path)
        assert bridge["ipam"]["ranges"] == [[{"subnet": "10.244.3.0/24"}]]
        assert bridge["mtu"] == 1500

    story(tmp_path, tell)


def test_routes_follow_the_nodes(tmp_path, machine):
    async def tell(it, one):
        await it.client.create(node("near", "192.0.2.5", "10.244.1.0/24"))
        await it.client.create(node("far", "203.0.113.4", "10.244.2.0/24"))
        await it.settle(1)
        assert machine.routes == {
            "10.244.1.0/24": Route("10.244.1.0/24", "192.0.2.5", "eth0"),
            "10.244.2.0/24": Route("10.244.2.0/24", "10.244.2.0", "kybern0-vx"),
        }
        mac = mac_of("203.0.113.4")
        assert (machine.remotes, machine.outer) == ({"10.244.2.0": mac}, {mac: "203.0.113.4"})
        assert machine.tunnel == ("192.0.2.9", 77, 1450)
        before = len(machine.batches)
        await it.client.patch(Node, "near", "", {"metadata": {"labels": {"a": "b"}}})
        one._news.set()
        await it.settle(1)
        assert len(machine.batches) == before
        for name in ("near", "far"):
            await it.client.delete(Node, name)
        await it.settle(1)
        assert (machine.routes, machine.tunnel) == ({}, None)

    story(tmp_path, tell)


def test_pods_send_smaller_packets_once_there_is_a_tunnel(tmp_path, machine):
    async def tell(it, _):
        await it.client.patch(Node, "me", "", {"spec": {"podCIDR": "10.244.3.0/24"}})
        await it.client.create(node("near", "192.0.2.5", "10.244.1.0/24"))
        await it.settle(1)
        assert configured(tmp_path)["mtu"] == 1500
        await it.client.create(node("far", "203.0.113.4", "10.244.2.0/24"))
        await it.settle(1)
        assert configured(tmp_path)["mtu"] == 1450

    story(tmp_path, tell)


def test_what_is_lost_is_put_back(tmp_path, machine):
    async def tell(it, one):
        await it.client.create(node("near", "192.0.2.5", "10.244.1.0/24"))
        await it.settle(1)
        machine.routes.clear()  # a link went down and came up
        one._news.set()
        await it.settle(1)
        assert set(machine.routes) == {"10.244.1.0/24"}

    story(tmp_path, tell)


def test_a_refusal_is_tried_again(tmp_path, machine):
    async def tell(it, _):
        machine.refuse = 3
        await it.client.create(node("near", "192.0.2.5", "10.244.1.0/24"))
        await it.settle(30)
        assert set(machine.routes) == {"10.244.1.0/24"}

    story(tmp_path, tell)


def test_routes_of_other_clusters_are_left_alone(tmp_path, machine):
    async def tell(it, one):
        other = Route("10.245.1.0/24", "192.0.2.5", "eth0")
        machine.routes[other.network] = other
        one._news.set()
        await it.settle(1)
        assert machine.routes == {other.network: other}

    story(tmp_path, tell)


def test_another_network_is_respected(tmp_path, machine):
    async def tell(it, one):
        await it.client.patch(Node, "me", "", {"spec": {"podCIDR": "10.244.3.0/24"}})
        await it.client.create(node("near", "192.0.2.5", "10.244.1.0/24"))
        await it.client.create(node("far", "203.0.113.4", "10.244.2.0/24"))
        await it.settle(1)
        place = tmp_path / "cni/net.d"
        (place / "05-other.conf").write_text("{}")
        one._news.set()
        await it.settle(1)
        assert [each.name for each in place.iterdir()] == ["05-other.conf"]
        assert (machine.routes, machine.tunnel) == ({}, None)
        (place / "05-other.conf").unlink()
        one._news.set()
        await it.settle(1)
        assert [each.name for each in place.iterdir()] == [cni.FILE]
        assert len(machine.routes) == 2

    story(tmp_path, tell)


# --- the kernel's own words ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "want"),
    [
        ({"dst": "default", "gateway": "192.0.2.1", "dev": "eth0"},
         Way("0.0.0.0/0", "192.0.2.1", "eth0")),
        ({"dst": "192.0.2.2", "dev": "eth0", "scope": "link"}, Way("192.0.2.2/32", "", "eth0")),
        ({"dst": "10.1.0.0/16", "nexthops": [{"gateway": "192.0.2.1", "dev": "eth0"}]},
         Way("10.1.0.0/16", "192.0.2.1", "eth0")),
        ({"dst": "10.1.0.0/16", "via": {"family": "inet6", "host": "fe80::1"}, "dev": "eth0"},
         Way("10.1.0.0/16", "fe80::1", "eth0")),
    ],
)  # fmt: skip
def test_routes_are_read(entry, want):
    assert kernel._way(entry, 4) == want


def test_routes_that_lead_nowhere_are_left_out():
    assert kernel._leads_on({"dst": "default", "dev": "eth0", "flags": ["onlink"]})
    assert not kernel._leads_on({"dst": "10.2.0.0/16", "type": "blackhole"})
    assert not kernel._leads_on({"dst": "10.2.0.0/16", "dev": "eth0", "flags": ["dead"]})
    assert kernel._leads_on({"dst": "10.2.0.0/16", "dev": "eth0", "flags": ["linkdown"]})


def test_a_route_that_only_moved_is_replaced_not_removed():
    old = Route("10.244.1.0/24", "192.0.2.5", "eth0")
    new = Route("10.244.1.0/24", "192.0.2.6", "eth0")
    [command] = kernel.to_change_routes(frozenset({old}), frozenset({new}))
    assert command.startswith("route replace 10.244.1.0/24 via 192.0.2.6")


def link_message(kind, index):
    body = struct.pack("=BxHiII", 0, 1, index, 0, 0)
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


def route_message(kind, protocol, table=254):
    body = struct.pack("=BBBBBBBBI", 2, 24, 0, 0, table, protocol, 0, 1, 0)
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


@pytest.mark.parametrize(
    ("data", "want"),
    [
        (link_message(events.NEW_LINK, 5), True),
        (link_message(events.NEW_LINK, 6), False),
        (link_message(events.DELETE_LINK, 6) + link_message(events.NEW_LINK, 5), True),
        (link_message(events.NEW_ADDRESS, 6), True),
        (route_message(events.DELETE_ROUTE, 107), True),
        (route_message(events.NEW_ROUTE, 107), False),
        (route_message(events.NEW_ROUTE, 2), True),
        (route_message(events.NEW_ROUTE, 2, table=255), False),
    ],
)
def test_only_some_news_concerns_us(data, want):
    found = [events.concerns(kind, body, frozenset({5})) for kind, body in events.messages(data)]
    assert any(found) is want


def test_broken_news_ends_the_reading():
    assert events.messages(b"\0" * 20) == []
    assert events.messages(b"\1") == []


def test_files_that_come_and_go_are_noticed(tmp_path):
    async def main():
        told = asyncio.Event()
        watched = events.DirectoryEvents(tmp_path, told.set)
        with contextlib.closing(watched):
            (tmp_path / "a").write_text("x")
            await asyncio.wait_for(told.wait(), 30)
            told.clear()
            (tmp_path / "a").unlink()
            await asyncio.wait_for(told.wait(), 30)

    asyncio.run(main())
    with pytest.raises(FileNotFoundError):
        asyncio.run(missing(tmp_path / "none"))


async def missing(place):
    events.DirectoryEvents(place, lambda: None)


def test_the_kernels_socket_opens_and_closes():
    async def main():
        events.KernelEvents(lambda: None).close()

    if hasattr(socket, "AF_NETLINK"):
        asyncio.run(main())
