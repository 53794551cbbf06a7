"""What a node has to let through, and what not.

In:   NetworkPolicies; the pods they mean.
Out:  a `Ruleset`: which chain judges which pod, what is in the chains, what is in their sets.
By:   policy.enforcer. Pure.

Pods to which the same policies apply share a chain. A chain is a list of what is allowed; each rule
returns to where the chain was called, so that what a pod may send still has to be let in by its
receiver. At the end of the chain everything else is dropped.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from kybern.api import selectors
from kybern.network.policy.peers import Peer, Port, selector

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kybern.api.networking.v1 import (
        IPBlock,
        NetworkPolicy,
        NetworkPolicyPeer,
        NetworkPolicyPort,
    )
    from kybern.network.policy.peers import Facts, Key, Peers

INGRESS, EGRESS = "Ingress", "Egress"
IPV4, IPV6 = "ip", "ip6"
PODS, NAMED = {IPV4: "pods_", IPV6: "pods6_"}, {IPV4: "ports_", IPV6: "ports6_"}
"""What the names of sets begin with."""
HIGHEST = 65535


class Way(NamedTuple):
    """A direction, and what that means for a packet."""

    name: str
    far: str
    """What is matched against the peers: the sender of what comes in, the receiver of the rest."""
    prefix: str
    """Of the chains' names."""


WAYS = (Way(INGRESS, "saddr", "in_"), Way(EGRESS, "daddr", "out_"))


@dataclass(frozen=True, slots=True)
class Ruleset:
    """What the kernel is to have.

    Attributes:
        judges: for each direction, the chain of each address that has one.
        chains: the rules of each chain.
        addresses: sets of addresses.
        ports: sets of addresses with protocol and port.
    """

    judges: Mapping[str, Mapping[str, str]] = field(
        default_factory=lambda: {INGRESS: {}, EGRESS: {}}
    )
    chains: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    addresses: Mapping[str, frozenset[str]] = field(default_factory=dict)
    ports: Mapping[str, frozenset[Port]] = field(default_factory=dict)


def directions(policy: NetworkPolicy) -> set[str]:
    """Return the directions a policy is about; defaulting says so already, for old objects too."""
    if policy.spec.policyTypes:
        return set(policy.spec.policyTypes)
    return {INGRESS, EGRESS} if policy.spec.egress else {INGRESS}


def peers_of(policies: Iterable[NetworkPolicy]) -> set[Peer]:
    """Return everybody whom the policies mean."""
    found: set[Peer] = set()
    for policy in policies:
        namespace = policy.metadata.namespace or ""
        mine = Peer(namespace, None, selector(policy.spec.podSelector))
        for _, far, ports in _rules(policy):
            named = any(isinstance(port.port, str) for port in ports)
            found.update(_peer(namespace, each) for each in far if each.ipBlock is None)
            if named:
                found.add(mine)
                if not far or any(each.ipBlock is not None for each in far):
                    found.add(EVERYBODY)
    return found


EVERYBODY = Peer("", selectors.from_map({}), None)
ANYWHERE = ("", EVERYBODY, "")


def plan(
    policies: Mapping[Key, NetworkPolicy], peers: Peers, node: str, *, ipv6: bool = False
) -> Ruleset:
    """Return the rules for the pods of a node; `peers` keeps whom the policies mean.

    With `ipv6` pods have addresses of both families; a chain judges either.
    """
    chains: dict[str, tuple[str, ...]] = {}
    sets = _Sets(peers, (IPV4, IPV6) if ipv6 else (IPV4,))
    judges: dict[str, dict[str, str]] = {INGRESS: {}, EGRESS: {}}
    for pod in peers.on_node(node):
        applying = [
            (key, policy)
            for key, policy in sorted(policies.items())
            if key[0] == pod.namespace and _selects(policy, pod)
        ]
        for way in WAYS:
            mine = [(key, policy) for key, policy in applying if way.name in directions(policy)]
            if not mine:
                continue
            chain = way.prefix + _short(*(f"{n}/{m}" for (n, m), _ in mine))
            if chain not in chains:
                rules = [r for _, policy in mine for r in _allowed(policy, way, sets)]
                chains[chain] = (*dict.fromkeys(rules), "drop")
            judges[way.name] |= dict.fromkeys(
                (address for address in pod.addresses if ipv6 or ":" not in address), chain
            )
    return Ruleset(judges, chains, sets.addresses, sets.ports)


def _selects(policy: NetworkPolicy, pod: Facts) -> bool:
    wanted = selector(policy.spec.podSelector)
    return wanted is None or wanted.matches(pod.labels)


def _rules(
    policy: NetworkPolicy,
) -> Iterator[tuple[str, list[NetworkPolicyPeer], list[NetworkPolicyPort]]]:
    wanted = directions(policy)
    if INGRESS in wanted:
        for come in policy.spec.ingress or ():
            yield INGRESS, come.from_ or [], come.ports or []
    if EGRESS in wanted:
        for go in policy.spec.egress or ():
            yield EGRESS, go.to or [], go.ports or []


class _Sets:
    """The sets that the rules name, each once."""

    def __init__(self, peers: Peers, families: tuple[str, ...]) -> None:
        self._peers = peers
        self.families = families
        self.addresses: dict[str, frozenset[str]] = {}
        self.ports: dict[str, frozenset[Port]] = {}

    def of(self, peer: Peer, family: str) -> str:
        """Return the name of the set with a peer's addresses of a family."""
        name = PODS[family] + _short(*_text(peer))
        if name not in self.addresses:
            self.addresses[name] = self._peers.addresses(peer, ipv6=family == IPV6)
        return name

    def named(self, peer: Peer, port: str, protocol: str, family: str) -> str:
        """Return the name of the set with the ports of that name."""
        name = NAMED[family] + _short(*_text(peer), port, protocol)
        if name not in self.ports:
            found = self._peers.named_ports(peer, port, protocol, ipv6=family == IPV6)
            self.ports[name] = found
        return name


def _allowed(policy: NetworkPolicy, way: Way, sets: _Sets) -> Iterator[str]:
    """Yield the rules of one policy in one direction."""
    namespace = policy.metadata.namespace or ""
    mine = Peer(namespace, None, selector(policy.spec.podSelector))
    for direction, far, ports in _rules(policy):
        if direction != way.name:
            continue
        whom = [found for each in far for found in _far(namespace, each, way, sets)]
        for where, peer, family in whom or [ANYWHERE]:
            # A port's name is that of the receiver: our own pod, or the peer's.
            receiver = mine if way.name == INGRESS else peer
            what = [text for port in ports for text in _port(port, receiver, family, sets)]
            for each in what or [""]:
                yield " ".join(filter(None, (where, each, "return")))


def _far(
    namespace: str, each: NetworkPolicyPeer, way: Way, sets: _Sets
) -> Iterator[tuple[str, Peer, str]]:
    """Yield what matches a peer, who that is, and the family it matches."""
    if each.ipBlock is not None:
        family = IPV6 if ":" in each.ipBlock.cidr else IPV4
        yield _block(each.ipBlock, way, family), EVERYBODY, family
        return
    peer = _peer(namespace, each)
    for family in sets.families:
        yield f"{family} {way.far} @{sets.of(peer, family)}", peer, family


def _block(block: IPBlock, way: Way, family: str) -> str:
    text = f"{family} {way.far} {block.cidr}"
    if block.except_:
        text += f" {family} {way.far} != {{ {', '.join(sorted(block.except_))} }}"
    return text


def _port(port: NetworkPolicyPort, receiver: Peer, family: str, sets: _Sets) -> Iterator[str]:
    """Yield what matches a port: once, unless it has a name, for one family or for all."""
    protocol = (port.protocol or "TCP").lower()
    if port.port is None:
        yield f"meta l4proto {protocol}"
    elif isinstance(port.port, str):
        for each in (family,) if family else sets.families:
            name = sets.named(receiver, port.port, protocol, each)
            yield f"{each} daddr . meta l4proto . th dport @{name}"
    else:
        last = port.endPort or port.port
        shown = str(port.port) if last == port.port else f"{port.port}-{min(last, HIGHEST)}"
        yield f"meta l4proto {protocol} th dport {shown}"


def _peer(namespace: str, each: NetworkPolicyPeer) -> Peer:
    pods = None if each.podSelector is None else selector(each.podSelector)
    if each.namespaceSelector is None:
        return Peer(namespace, None, pods)
    return Peer("", selectors.from_struct(each.namespaceSelector), pods)


def _text(peer: Peer) -> tuple[str, ...]:
    namespaces = "" if peer.namespaces is None else f"in {peer.namespaces}"
    return peer.namespace, namespaces, str(peer.pods or "")


def _short(*parts: str) -> str:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=8).hexdigest()
