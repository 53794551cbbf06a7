"""NetworkPolicies and Services together: who reaches whom, through an address or a Service's."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.packets import worlds
from tests.packets.kernel import Kernel, Refused
from tests.packets.node import MACHINE, NAME, enforce, instead, lines, node
from tests.packets.oracle import World, expected
from tests.packets.policies import NAMED, NAMESPACES, Pod, allows
from tests.packets.test_services import differences
from tests.packets.walk import DROPPED, Packet, fates

from kybern.api import codec
from kybern.api.core.v1 import Pod as ApiPod
from kybern.api.networking.v1 import NetworkPolicy
from kybern.lib.clock import run_virtual
from kybern.network.policy.peers import Peers, facts_of

if TYPE_CHECKING:
    from collections.abc import Iterator

PODS = {
    pod.address: pod
    for pod in (
        Pod("n", "client", worlds.LOCAL_POD, {"app": "a"}, NAME),
        Pod("n", "server", worlds.SERVER, {"app": "b"}, NAME),
        Pod("m", "second", "10.244.1.2", {"app": "a"}, NAME),
        Pod("n", "far", worlds.FAR_POD, {"app": "a"}, "two"),
        Pod("m", "far-server", worlds.FAR_SERVER, {"app": "b"}, "two"),
    )
}

selectors = st.sampled_from([{}, {"matchLabels": {"app": "a"}}, {"matchLabels": {"app": "b"}}])
places = st.sampled_from([{}, {"matchLabels": {"team": "red"}}, {"matchLabels": {"team": "blue"}}])
peers = st.one_of(
    st.fixed_dictionaries({"podSelector": selectors}),
    st.fixed_dictionaries({"namespaceSelector": places}),
    st.fixed_dictionaries({"namespaceSelector": places, "podSelector": selectors}),
    st.sampled_from([
        {"ipBlock": {"cidr": "10.244.0.0/16", "except": ["10.244.2.0/24", f"{worlds.SERVER}/32"]}},
        {"ipBlock": {"cidr": "198.51.100.0/24", "except": []}},
    ]),
)  # fmt: skip
ports = st.sampled_from([
    {"port": 8000}, {"port": "web"}, {"port": "dns", "protocol": "UDP"}, {"protocol": "UDP"},
    {"port": 7000, "endPort": 8000},
])  # fmt: skip


@st.composite
def policies(draw: st.DrawFn) -> dict[tuple[str, str], Any]:
    """Return some policies."""
    found = {}
    for number in range(draw(st.integers(1, 3))):
        namespace, name = draw(st.sampled_from(list(NAMESPACES))), f"p{number}"
        spec = {
            "podSelector": draw(selectors),
            "policyTypes": draw(st.sampled_from([["Ingress"], ["Egress"], ["Ingress", "Egress"]])),
        }
        for way, side in (("ingress", "from"), ("egress", "to")):
            spec[way] = [
                {
                    side: draw(st.lists(peers, max_size=2)),
                    "ports": draw(st.lists(ports, max_size=2)),
                }
                for _ in range(draw(st.integers(0, 2)))
            ]
        found[namespace, name] = {
            "metadata": {"namespace": namespace, "name": name}, "spec": spec
        }  # fmt: skip
    return found


def known() -> Peers:
    """Tell about all pods and namespaces."""
    found = Peers()
    for name, labels in NAMESPACES.items():
        found.put_namespace(name, labels)
    for pod in PODS.values():
        listed = [
            {"name": name, "protocol": protocol.upper(), "containerPort": number}
            for (name, protocol), number in NAMED.items()
        ]
        tree = {
            "metadata": {"namespace": pod.namespace, "name": pod.name, "labels": pod.labels},
            "spec": {"nodeName": pod.node, "containers": [{"name": "c", "ports": listed}]},
            "status": {"phase": "Running", "podIP": pod.address,
                       "podIPs": [{"ip": pod.address}]},
        }  # fmt: skip
        found.put_pod((pod.namespace, pod.name), facts_of(codec.from_tree(tree, ApiPod)))
    return found


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(made=policies(), world=worlds.worlds())
def test_who_reaches_whom(made: dict[tuple[str, str], Any], world: World) -> None:
    world = world._replace(allows=functools.partial(allows, list(made.values()), PODS, NAME))

    async def story() -> None:
        async with node(world) as machinery:
            objects = {key: codec.from_tree(tree, NetworkPolicy) for key, tree in made.items()}
            enforce(machinery.kernel, objects, known())
            assert differences(machinery, world) == {}
            for client in PODS:
                for server in PODS.keys() - {client}:
                    for protocol, port in (("tcp", 8000), ("udp", 8001), ("tcp", 9000)):
                        packet = Packet(client, server, port, protocol)
                        assert machinery.fates(packet) == expected(world, packet), packet

    run_virtual(story())


def test_a_connection_that_exists_goes_on() -> None:
    deny = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    tree = {"metadata": {"namespace": "n", "name": "deny"}, "spec": deny}

    async def story() -> None:
        async with node(World({}, {})) as machinery:
            policies = {("n", "deny"): codec.from_tree(tree, NetworkPolicy)}
            enforce(machinery.kernel, policies, known())
            packet = Packet(worlds.LOCAL_POD, worlds.FAR_POD, 8000)
            assert machinery.fates(packet) == {DROPPED}
            (fate,) = machinery.fates(packet._replace(state="established"))
            assert fate.end == "delivered"

    run_virtual(story())


DENY = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
FRIENDS = {
    "podSelector": {"matchLabels": {"app": "b"}}, "policyTypes": ["Ingress"],
    "ingress": [
        {"from": [{"namespaceSelector": {"matchLabels": {"team": "blue"}},
                   "podSelector": {"matchLabels": {"app": "a"}}}], "ports": [{"port": "web"}]},
        {"from": [{"ipBlock": {"cidr": "198.51.100.0/24", "except": []}}],
         "ports": [{"port": 7000, "endPort": 9000}]},
    ],
}  # fmt: skip
OUT = {
    "podSelector": {"matchLabels": {"app": "a"}}, "policyTypes": ["Egress"],
    "egress": [{"to": [{"podSelector": {"matchLabels": {"app": "b"}}}], "ports": [{"port": 8000}]}],
}  # fmt: skip


def test_every_rule_and_every_element_is_needed() -> None:
    made = {
        ("n", name): {"metadata": {"namespace": "n", "name": name}, "spec": spec}
        for name, spec in (("deny", DENY), ("friends", FRIENDS), ("out", OUT))
    }
    world = World({}, {}, allows=functools.partial(allows, list(made.values()), PODS, NAME))
    sources = (*PODS, worlds.FRIEND, worlds.STRANGER)
    ends = {
        packet: expected(world, packet)
        for source in sources
        for target in sources
        for protocol, port in (("tcp", 8000), ("tcp", 9000), ("udp", 8001), ("tcp", 9001))
        for packet in [Packet(source, target, port, protocol)]
    }
    goes_on = Packet(worlds.STRANGER, worlds.SERVER, 8000, state="established")
    ends[goes_on] = expected(World({}, {}), goes_on)

    def passes(text: str) -> bool:
        kernel = Kernel()
        try:
            kernel.apply(text)
        except Refused:
            return False
        return all(fates(kernel, MACHINE, packet) == end for packet, end in ends.items())

    kernel = Kernel()
    enforce(
        kernel, {key: codec.from_tree(tree, NetworkPolicy) for key, tree in made.items()}, known()
    )
    (script,) = kernel.scripts
    assert passes(script)
    survivors = [
        changed
        for number, line in lines(script)
        for changed in _less(line)
        if passes(instead(script, number, changed))
    ]
    assert survivors == []


def _less(line: str) -> Iterator[str]:
    """Yield a line of a script with something missing; for lines that make nothing, nothing."""
    if line.startswith(("add table", "delete table", "table", "add chain", "add set", "chain")):
        return
    if line.startswith(("map", "set", "type filter")):
        return
    head, _, inside = line.partition("{ ")
    if line.startswith("add element"):
        items = inside.removesuffix(" }").split(", ")
        for item in items:
            left = ", ".join(each for each in items if each != item)
            yield f"{head}{{ {left} }}" if left else ""
    else:
        yield ""
