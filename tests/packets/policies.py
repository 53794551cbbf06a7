"""What NetworkPolicies say, in the plainest words.

In:   NetworkPolicies as trees, pods.
Out:  whether a connection may be made.
By:   test_policies.py. Read from the API's reference, not from `kybern.network.policy`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tests.packets.walk import is_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Tree = dict[str, Any]


class Pod(NamedTuple):
    """A pod; all have the same two named ports."""

    namespace: str
    name: str
    address: str
    labels: dict[str, str]
    node: str


NAMED = {("web", "tcp"): 8000, ("dns", "udp"): 8001}
NAMESPACES = {"n": {"team": "blue"}, "m": {"team": "red"}}


def allows(
    policies: Iterable[Tree], pods: dict[str, Pod], judge: str,
    source: str, target: str, protocol: str, port: int,
) -> bool:  # fmt: skip
    """Whether the node `judge`, who decides about its own pods only, lets a connection through."""
    for way, mine, other in (("Egress", source, target), ("Ingress", target, source)):
        me = pods.get(mine)
        if me is None or me.node != judge:
            continue
        applying = [
            policy
            for policy in policies
            if policy["metadata"]["namespace"] == me.namespace
            and way in policy["spec"]["policyTypes"]
            and _selects(policy["spec"]["podSelector"], me.labels)
        ]
        if applying and not any(
            _is_far(peers, pods.get(other), other, me.namespace)
            and _is_port(ports, pods.get(target), protocol, port)
            for policy in applying
            for peers, ports in _rules(policy, way)
        ):
            return False
    return True


def _rules(policy: Tree, way: str) -> Iterator[tuple[list[Tree], list[Tree]]]:
    for rule in policy["spec"].get(way.lower(), ()):
        yield rule.get("from" if way == "Ingress" else "to", []), rule.get("ports", [])


def _selects(selector: Tree, labels: dict[str, str]) -> bool:
    return selector.get("matchLabels", {}).items() <= labels.items()


def _is_far(peers: list[Tree], pod: Pod | None, address: str, namespace: str) -> bool:
    return not peers or any(_is_peer(peer, pod, address, namespace) for peer in peers)


def _is_peer(peer: Tree, pod: Pod | None, address: str, namespace: str) -> bool:
    if block := peer.get("ipBlock"):
        return is_in(address, (block["cidr"],)) and not is_in(address, tuple(block["except"]))
    if pod is None:
        return False
    if "namespaceSelector" in peer:
        here = _selects(peer["namespaceSelector"], NAMESPACES[pod.namespace])
    else:
        here = pod.namespace == namespace
    return here and _selects(peer.get("podSelector", {}), pod.labels)


def _is_port(ports: list[Tree], receiver: Pod | None, protocol: str, port: int) -> bool:
    return not ports or any(_is_one(each, receiver, protocol, port) for each in ports)


def _is_one(wanted: Tree, receiver: Pod | None, protocol: str, port: int) -> bool:
    if wanted.get("protocol", "TCP").lower() != protocol:
        return False
    number = wanted.get("port")
    if isinstance(number, str):
        return receiver is not None and NAMED.get((number, protocol)) == port
    return number is None or number <= port <= wanted.get("endPort", number)
