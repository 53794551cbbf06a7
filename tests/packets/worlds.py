"""Worlds to try: Services and endpoints as a user could have them, and packets that meet them.

In:   hypothesis.
Out:  strategies, and the packets that are worth sending in a World.
By:   the tests beside this file.

Names and addresses are few, so that they meet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from tests.packets import node as here
from tests.packets.oracle import World
from tests.packets.walk import Packet

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCAL_POD, SERVER, FAR_POD, FAR_SERVER = "10.244.1.9", "10.244.1.1", "10.244.2.1", "10.244.2.2"
OTHER_NODE, FRIEND, STRANGER = "192.0.2.2", "198.51.100.7", "203.0.113.9"
SOURCES = (LOCAL_POD, SERVER, FAR_POD, FAR_SERVER, here.ADDRESS, OTHER_NODE, FRIEND, STRANGER)
# address and node: pods here and elsewhere, a pod in the node's own network, a server outside
ENDPOINTS = (
    (SERVER, here.NAME), ("10.244.1.2", here.NAME), (FAR_POD, "two"), (FAR_SERVER, "two"),
    (here.ADDRESS, here.NAME), (OTHER_NODE, "two"), ("198.51.100.99", None),
)  # fmt: skip
PORTS = (
    {"name": "web", "port": 80}, {"name": "dns", "port": 80, "protocol": "UDP"},
    {"name": "more", "port": 443}, {"name": "sctp", "port": 9, "protocol": "SCTP"},
)  # fmt: skip
RANGES = ([], [f"{FRIEND}/32"], ["198.51.100.0/24", " 10.244.0.0/16"], ["192.0.2.0/24"])
NOBODY_HAS = 4444
AFFINITY = 60  # seconds


@st.composite
def endpoints(draw: st.DrawFn) -> dict[str, Any]:
    """Return one endpoint."""
    address, node = draw(st.sampled_from(ENDPOINTS))
    made: dict[str, Any] = {"addresses": [address]}
    if node:
        made["nodeName"] = node
    state = draw(st.sampled_from(["ready", "ready", "ready", "unready", "leaving", "gone"]))
    made["conditions"] = {
        "ready": {"ready": True},
        "unready": {"ready": False, "serving": False},
        "leaving": {"ready": False, "serving": True, "terminating": True},
        "gone": {"ready": False, "serving": False, "terminating": True},
    }[state]
    hint = draw(st.sampled_from([None, None, "here", "there", "node"]))
    if hint in ("here", "there"):
        made["hints"] = {"forZones": [{"name": hint}]}
    elif hint == "node":
        made["hints"] = {"forNodes": [{"name": node or "two"}], "forZones": [{"name": "here"}]}
    return made


@st.composite
def services(draw: st.DrawFn, number: int) -> dict[str, Any]:
    """Return one Service; the number keeps its addresses apart from those of others."""
    kind = draw(st.sampled_from(["ClusterIP", "NodePort", "LoadBalancer"]))
    ports = [dict(p) for p in draw(st.lists(st.sampled_from(PORTS), min_size=1, max_size=2, unique_by=lambda p: p["name"]))]  # fmt: skip
    spec: dict[str, Any] = {
        "type": kind, "ports": ports,
        "clusterIP": draw(st.sampled_from([f"10.96.0.{number}"] * 5 + ["None"])),
        "internalTrafficPolicy": draw(st.sampled_from(["Cluster", "Cluster", "Local"])),
    }  # fmt: skip
    made = {"metadata": {"name": f"s{number}", "namespace": "n"}, "spec": spec}
    if spec["clusterIP"] == "None":
        spec["type"] = "ClusterIP"
        return made
    if draw(st.booleans()):
        spec |= {"sessionAffinity": "ClientIP",
                 "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": AFFINITY}}}  # fmt: skip
    if draw(st.booleans()):
        spec["externalIPs"] = [f"203.0.113.10{number}"]
    if kind != "ClusterIP":
        for at, port in enumerate(ports):
            port["nodePort"] = 30000 + number * 10 + at
    if kind != "ClusterIP" or "externalIPs" in spec:
        spec["externalTrafficPolicy"] = draw(st.sampled_from(["Cluster", "Local"]))
    if kind == "LoadBalancer":
        spec["loadBalancerSourceRanges"] = draw(st.sampled_from(RANGES))
        mode = draw(st.sampled_from(["VIP", "VIP", "Proxy"]))
        made["status"] = {
            "loadBalancer": {"ingress": [{"ip": f"10.176.1.{number}", "ipMode": mode}]}
        }
    return made


@st.composite
def slices(draw: st.DrawFn, service: dict[str, Any], name: str) -> dict[str, Any]:
    """Return one EndpointSlice of a Service."""
    ports = [
        {k: v for k, v in port.items() if k in ("name", "protocol")} | {"port": 8000 + at}
        for at, port in enumerate(service["spec"]["ports"])
    ]
    found = draw(st.lists(endpoints(), max_size=4, unique_by=lambda e: e["addresses"][0]))
    labels = {"kubernetes.io/service-name": service["metadata"]["name"]}
    return {"metadata": {"name": name, "namespace": "n", "labels": labels},
            "addressType": "IPv4", "endpoints": found, "ports": ports}  # fmt: skip


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Return a World."""
    found, pieces = {}, {}
    for number in draw(st.sets(st.integers(1, 3), max_size=3)):
        service = draw(services(number))
        found[f"s{number}"] = service
        for piece in range(draw(st.integers(0, 2))):
            name = f"s{number}-{piece}"
            pieces[name] = draw(slices(service, name))
    return World(found, pieces)


def packets(world: World) -> Iterator[Packet]:
    """Yield one packet from everybody to everything that there is."""
    targets = {(here.ADDRESS, NOBODY_HAS, "tcp"), (SERVER, 8000, "tcp"), (STRANGER, 80, "udp")}
    for service in world.services.values():
        spec = service["spec"]
        balancer = service.get("status", {}).get("loadBalancer", {}).get("ingress", ())
        addresses = [*spec.get("externalIPs", ()), *(each["ip"] for each in balancer)]
        if spec["clusterIP"] != "None":
            addresses.append(spec["clusterIP"])
            targets.add((spec["clusterIP"], NOBODY_HAS, "tcp"))
        for port in spec["ports"]:
            protocol = port.get("protocol", "TCP").lower()
            targets |= {(address, port["port"], protocol) for address in addresses}
            if "nodePort" in port:
                targets.add((here.ADDRESS, port["nodePort"], protocol))
    for target, port, protocol in sorted(targets):
        for source in SOURCES:
            if here.MACHINE.is_own(source) and here.MACHINE.is_own(target):
                source = target  # as every kernel does
            elif source == target:
                continue  # that never leaves the pod
            yield Packet(source, target, port, protocol)
