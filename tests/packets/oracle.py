"""What the API says of a packet, in the plainest words, and knowing nothing of rules.

In:   a World: what Services, EndpointSlices and policies say; a packet that meets one node.
Out:  every end the packet may come to.
By:   the tests beside this file, which compare that with the way through the rules.

Read from the API's reference and KEP-1669, KEP-2086, KEP-2433; not from `kybern.proxy`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tests.packets import node as here
from tests.packets.walk import DROPPED, HERE, Fate, Packet, is_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Tree = dict[str, Any]


class World(NamedTuple):
    """What the API holds.

    Attributes:
        services: trees of Services by name; the name is `namespace/name`'s second part.
        slices: trees of EndpointSlices by name.
        zone: where our node is.
        allows: whether policies let a pod's packet through: source, receiver, protocol, port.
    """

    services: dict[str, Tree]
    slices: dict[str, Tree]
    zone: str = "here"
    allows: Callable[[str, str, str, int], bool] = lambda *_: True


class Door(NamedTuple):
    """One way into one port of a Service."""

    service: str
    port: Tree
    kind: str  # inside, external, balancer, node


def expected(world: World, packet: Packet) -> set[Fate]:
    """Return every end, for a client who comes for the first time."""
    door = next((d for d in doors(world, packet)), None)
    if door is None:
        inside = packet.target in {ip for s in world.services.values() for ip in _cluster_ips(s)}
        found = {_refused(packet) if inside else _untouched(packet)}
    elif not _may_enter(world.services[door.service]["spec"], door, packet):
        return {DROPPED}
    else:
        found = _served(world, door, packet)
    return {_judged(world, packet, fate) for fate in found}


def doors(world: World, packet: Packet) -> Iterator[Door]:
    """Yield where a packet comes in."""
    for name, service in world.services.items():
        spec = service["spec"]
        if spec.get("clusterIP") == "None" or spec.get("type") == "ExternalName":
            continue
        for port in spec["ports"]:
            if port.get("protocol", "TCP").lower() != packet.protocol:
                continue
            if packet.port == port["port"]:
                for kind, addresses in (
                    ("inside", _cluster_ips(service)), ("balancer", _balancer_ips(service)),
                    ("external", spec.get("externalIPs", [])),
                ):  # fmt: skip
                    if packet.target in addresses:
                        yield Door(name, port, kind)
            if packet.target == here.ADDRESS and packet.port == port.get("nodePort"):
                yield Door(name, port, "node")


def keeper(world: World, packet: Packet) -> Any:
    """Return for what a client keeps its endpoint: the same through every door of a port."""
    door = next(doors(world, packet), None)
    if door is None or world.services[door.service]["spec"].get("sessionAffinity") != "ClientIP":
        return None
    return door.service, door.port.get("name"), packet.protocol, packet.source


def endpoints_of(world: World, who: Any) -> set[tuple[str, int]]:
    """Return the endpoints with which a client may stay; none when it need not any more."""
    name, port_name, protocol, _ = who
    spec = world.services.get(name, {"spec": {"ports": []}})["spec"]
    if spec.get("sessionAffinity") != "ClientIP":
        return set()
    found: set[tuple[str, int]] = set()
    for port in spec["ports"]:
        if (port.get("name"), port.get("protocol", "TCP").lower()) == (port_name, protocol):
            every = list(_endpoints(world, Door(name, port, "")))
            found |= usable(_near(every, world.zone) or every)
            found |= usable(e for e in every if e["node"] == here.NAME)
    return found


def usable(endpoints: Iterable[Tree]) -> set[tuple[str, int]]:
    """Return the ready ones, or while there is none, those that still serve."""
    endpoints = list(endpoints)
    ready = {e["at"] for e in endpoints if e["ready"]}
    leaving = {e["at"] for e in endpoints if e["serving"] and e["terminating"]}
    return ready or leaving


def _served(world: World, door: Door, packet: Packet) -> set[Fate]:
    spec = world.services[door.service]["spec"]
    every = list(_endpoints(world, door))
    anywhere = usable(_near(every, world.zone) or every)
    local = usable(e for e in every if e["node"] == here.NAME)
    from_pod, from_node = is_in(packet.source, (here.PODS,)), here.MACHINE.is_own(packet.source)
    if door.kind == "inside":
        chosen = local if spec.get("internalTrafficPolicy") == "Local" else anywhere
        keeps_source = from_pod
    elif spec.get("externalTrafficPolicy") == "Local":
        chosen = anywhere if from_pod or from_node else local
        keeps_source = True
    else:
        chosen, keeps_source = anywhere, False
    if not chosen:
        return {DROPPED if anywhere else _refused(packet)}
    return {_arrived(packet, *endpoint, keeps_source=keeps_source) for endpoint in chosen}


def _arrived(packet: Packet, address: str, port: int, *, keeps_source: bool) -> Fate:
    if here.MACHINE.is_own(packet.source) or address == packet.source:
        return Fate("delivered", address, port, HERE)
    # what does not leave the node again needs nobody to bring the answer back
    keeps_source = keeps_source or here.MACHINE.is_own(address)
    return Fate("delivered", address, port, packet.source if keeps_source else HERE)


def _refused(packet: Packet) -> Fate:
    return Fate("reset" if packet.protocol == "tcp" else "unreachable")


def _untouched(packet: Packet) -> Fate:
    """What is no Service's goes where it wants to."""
    own = here.MACHINE.is_own(packet.source)
    return Fate("delivered", packet.target, packet.port, HERE if own else packet.source)


def _judged(world: World, packet: Packet, fate: Fate) -> Fate:
    """Ask the policies; the node is always let in and reached, and so is a pod by itself."""
    if fate.end != "delivered" or packet.source == fate.address:
        return fate
    if here.MACHINE.is_own(packet.source) or here.MACHINE.is_own(fate.address):
        return fate
    allowed = world.allows(packet.source, fate.address, packet.protocol, fate.port)
    return fate if allowed else DROPPED


def _may_enter(spec: Tree, door: Door, packet: Packet) -> bool:
    ranges = [each.strip() for each in spec.get("loadBalancerSourceRanges", ())]
    if door.kind != "balancer" or not ranges:
        return True
    # a program of the node speaks to an address of its own from that very address
    source = here.ADDRESS if here.MACHINE.is_own(packet.source) else packet.source
    return any(is_in(source, (each,)) for each in ranges)


def _endpoints(world: World, door: Door) -> Iterator[Tree]:
    for piece in world.slices.values():
        if piece["metadata"]["labels"].get("kubernetes.io/service-name") != door.service:
            continue
        for port in piece["ports"]:
            names = port.get("name", ""), door.port.get("name", "")
            speaks = port.get("protocol", "TCP"), door.port.get("protocol", "TCP")
            if names[0] != names[1] or speaks[0] != speaks[1]:
                continue
            for endpoint in piece["endpoints"]:
                told = endpoint.get("conditions", {})
                ready = told.get("ready", True)
                yield {
                    "at": (endpoint["addresses"][0], port["port"]),
                    "ready": ready,
                    "serving": told.get("serving", ready),
                    "terminating": told.get("terminating", False),
                    "node": endpoint.get("nodeName"),
                    "nodes": [n["name"] for n in endpoint.get("hints", {}).get("forNodes", ())],
                    "zones": [z["name"] for z in endpoint.get("hints", {}).get("forZones", ())],
                }


def _near(endpoints: list[Tree], zone: str) -> list[Tree]:
    """Return the ready ones that are meant for our node, or our zone, if all have such hints."""
    ready = [e for e in endpoints if e["ready"]]
    for hint, ours in (("nodes", here.NAME), ("zones", zone)):
        if (
            ready
            and all(e[hint] for e in ready)
            and (mine := [e for e in ready if ours in e[hint]])
        ):
            return mine
    return []


def _cluster_ips(service: Tree) -> list[str]:
    ip = service["spec"].get("clusterIP", "")
    return [ip] if ip not in ("", "None") else []


def _balancer_ips(service: Tree) -> list[str]:
    given = service.get("status", {}).get("loadBalancer", {}).get("ingress", ())
    return [each["ip"] for each in given if each.get("ipMode", "VIP") == "VIP"]
