"""Which way leads to the pods of other nodes.

In:   the nodes, and what the kernel's routing table says about their addresses.
Out:  Plan: routes, and the nodes behind the tunnel.
By:   router.py. Pure.

A node whose address is on one of our links is the gateway to its pods: host-gw, nothing is added to
a packet. One that is behind a router is reached through a VXLAN tunnel, since that router knows
nothing of pods. Either way no address is translated.

The tunnel goes over the nodes' first addresses, whichever family of pods it carries.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    Network = ipaddress.IPv4Network | ipaddress.IPv6Network
    Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# What VXLAN adds: Ethernet 14, VXLAN 8, UDP 8, and the outer IP header.
OVERHEAD = {4: 50, 6: 70}
ANYCAST = 255  # addresses at the end of an IPv6 network that are not for machines; RFC 2526


class Peer(NamedTuple):
    """Another node."""

    name: str
    addresses: tuple[str, ...]
    pod_cidrs: tuple[str, ...]


class Way(NamedTuple):
    """A route of the kernel's main table; without a gateway, its addresses are neighbours."""

    network: str
    gateway: str
    device: str


class Route(NamedTuple):
    """A route of ours."""

    network: str
    via: str
    device: str


class Remote(NamedTuple):
    """A node behind the tunnel: where its end is, and under which names the kernel knows it."""

    inner: str
    mac: str
    outer: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What the kernel should have.

    Attributes:
        routes: one for each pod network of another node.
        remotes: the nodes behind the tunnel.
        underlay: the devices over which the tunnel goes.
        unreachable: nodes with an address to which there is no way at all.
    """

    routes: frozenset[Route] = frozenset()
    remotes: frozenset[Remote] = frozenset()
    underlay: frozenset[str] = frozenset()
    unreachable: tuple[str, ...] = ()


def plan(peers: Iterable[Peer], ways: Iterable[Way], clusters: Iterable[str], tunnel: str) -> Plan:
    """Return the routes to the pods of all peers.

    Args:
        peers: the other nodes.
        ways: the kernel's routes, without ours.
        clusters: the networks of all pods; what a node claims outside of them is not believed.
        tunnel: the device of the tunnel.
    """
    table = [(_network(way.network), way) for way in ways]
    limits = [ipaddress.ip_network(text) for text in clusters]
    routes, remotes, underlay, lost = set(), set(), set(), []
    for peer in peers:
        for network in _believed(peer, limits):
            if direct := _direct(peer, network, table):
                routes.add(direct)
                continue
            outer = ipaddress.ip_address(peer.addresses[0]) if peer.addresses else None
            way = way_to(outer, table) if outer else None
            if outer is None or way is None:
                lost.append(peer.name)
                continue
            inner = end_of(str(network))
            remotes.add(Remote(inner, mac_of(str(outer)), str(outer)))
            routes.add(Route(str(network), inner, tunnel))
            underlay.add(way.device)
    unreachable = tuple(dict.fromkeys(lost))
    return Plan(frozenset(routes), frozenset(remotes), frozenset(underlay), unreachable)


def way_to(address: Address, table: Iterable[tuple[Network, Way]]) -> Way | None:
    """Return the most particular route to an address."""
    fitting = [(n.prefixlen, way) for n, way in table if address in n]
    return max(fitting, key=lambda pair: pair[0])[1] if fitting else None


def end_of(network: str) -> str:
    """Return the address of a node's end of the tunnel, of its part of the pods' network.

    No pod has it. In IPv6 the first one would stand for any router.

    >>> end_of("10.244.1.0/24"), end_of("fd00:1::/64")
    ('10.244.1.0', 'fd00:1::ffff:ffff:ffff:ff00')
    """
    parsed = ipaddress.ip_network(network)
    if parsed.version == 4:
        return str(parsed.network_address)
    return str(parsed.broadcast_address - ANYCAST)


def mac_of(address: str) -> str:
    """Return the hardware address of a node's end of the tunnel, so that nobody has to tell it.

    >>> mac_of("192.0.2.1")
    '02:6b:c0:00:02:01'
    """
    last = ipaddress.ip_address(address).packed[-4:]
    return ":".join(f"{byte:02x}" for byte in b"\x02\x6b" + last)


def mtu(devices: dict[str, int], own: str, chosen: Plan) -> int:
    """Return the largest packet that pods may send; 0 when nobody knows.

    Args:
        devices: the size that each device carries.
        own: the device with the node's address.
        chosen: the plan; a tunnel that is used takes some of the size.
    """
    sizes = [devices[own]] if own in devices else []
    versions = {ipaddress.ip_address(remote.outer).version for remote in chosen.remotes}
    overhead = max((OVERHEAD[version] for version in versions), default=0)
    sizes += [devices[name] - overhead for name in chosen.underlay if name in devices]
    return min(sizes, default=0)


def tunnel_mtu(devices: dict[str, int], own: str, address: str, chosen: Plan) -> int:
    """Return the largest packet that the tunnel takes; 0 when nobody knows."""
    sizes = [devices[name] for name in chosen.underlay or {own} if name in devices]
    return min(sizes) - OVERHEAD[ipaddress.ip_address(address).version] if sizes else 0


def _believed(peer: Peer, limits: list[Network]) -> list[Network]:
    found = []
    for text in peer.pod_cidrs:
        try:
            network = ipaddress.ip_network(text)
        except ValueError:
            continue  # the API server lets none through
        if any(n.version == network.version and network.subnet_of(n) for n in limits):  # type: ignore[arg-type]
            found.append(network)
    return found


def _direct(peer: Peer, network: Network, table: list[tuple[Network, Way]]) -> Route | None:
    """Return the route over an address of the same family that is on one of our links."""
    for address in map(ipaddress.ip_address, peer.addresses):
        if address.version == network.version:
            way = way_to(address, table)
            on_link = way is not None and not way.gateway
            return Route(str(network), str(address), way.device) if way and on_link else None
    return None


def _network(text: str) -> Network:
    return ipaddress.ip_network(text, strict=False)
