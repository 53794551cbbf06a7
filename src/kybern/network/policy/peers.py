"""Which pods a part of a policy means.

In:   pods and namespaces, as they come and change.
Out:  the addresses of the pods that a `Peer` selects, and their named ports.
By:   policy.plan. Does no I/O.

Every selector remembers whom it selects, so that a pod that changes costs a look at each selector
and nothing more, however many pods there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kybern.api import selectors
from kybern.api.core import pods as ask

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kybern.api.core.v1 import Pod
    from kybern.api.selectors import Selector

Key = tuple[str, str]
Port = tuple[str, str, int]
"""Address, protocol in lower case, number."""


class Facts(NamedTuple):
    """What matters about a pod."""

    namespace: str
    name: str
    labels: Mapping[str, str]
    addresses: tuple[str, ...]
    node: str
    ports: tuple[tuple[str, str, int], ...]
    """Name, protocol in lower case, number."""


class Peer(NamedTuple):
    """Pods, by namespace and labels."""

    namespace: str
    """The one namespace; "" where `namespaces` says which."""
    namespaces: Selector | None
    pods: Selector | None
    """None for all pods."""


def facts_of(pod: Pod) -> Facts | None:
    """Return what matters about a pod; None for one that has no address of its own."""
    status = pod.status
    addresses = tuple(each.ip for each in status.podIPs or () if each.ip)
    addresses = addresses or ((status.podIP,) if status.podIP else ())
    if not addresses or pod.spec.hostNetwork or ask.is_terminal(pod):
        return None
    ports = tuple(
        (port.name, (port.protocol or "TCP").lower(), port.containerPort)
        for container in ask.containers(pod.spec)
        for port in container.ports or ()
        if port.name
    )
    meta = pod.metadata
    return Facts(
        meta.namespace or "", meta.name or "", meta.labels or {}, addresses,
        pod.spec.nodeName or "", ports,
    )  # fmt: skip


class Peers:
    """Pods and namespaces, and who of them is meant."""

    def __init__(self) -> None:
        self._pods: dict[Key, Facts] = {}
        self._namespaces: dict[str, Mapping[str, str]] = {}
        self._members: dict[Peer, set[Key]] = {}

    def put_namespace(self, name: str, labels: Mapping[str, str] | None) -> bool:
        """Take in a namespace; None for one that is gone. Say whether that changed anything."""
        if self._namespaces.get(name) == labels:
            return False
        if labels is None:
            del self._namespaces[name]
        else:
            self._namespaces[name] = dict(labels)
        for peer, members in self._members.items():
            if peer.namespaces is not None:
                members.difference_update([key for key in members if key[0] == name])
                members.update(
                    k for k, p in self._pods.items() if k[0] == name and self._is(peer, p)
                )
        return True

    def put_pod(self, key: Key, facts: Facts | None) -> bool:
        """Take in a pod; None for one that is gone. Say whether that changed anything."""
        if self._pods.get(key) == facts:
            return False
        if facts is None:
            del self._pods[key]
        else:
            self._pods[key] = facts
        for peer, members in self._members.items():
            if facts is not None and self._is(peer, facts):
                members.add(key)
            else:
                members.discard(key)
        return True

    def on_node(self, node: str) -> list[Facts]:
        """Return the pods of a node."""
        return [pod for pod in self._pods.values() if pod.node == node]

    def keep(self, wanted: set[Peer]) -> None:
        """Remember the members of these, and forget all others."""
        for peer in self._members.keys() - wanted:
            del self._members[peer]
        for peer in wanted - self._members.keys():
            self._members[peer] = {k for k, pod in self._pods.items() if self._is(peer, pod)}

    def addresses(self, peer: Peer, *, ipv6: bool = False) -> frozenset[str]:
        """Return the addresses of one family that a peer has which is kept."""
        return frozenset(
            address
            for key in self._members[peer]
            for address in self._pods[key].addresses
            if (":" in address) is ipv6
        )

    def named_ports(
        self, peer: Peer, name: str, protocol: str, *, ipv6: bool = False
    ) -> frozenset[Port]:
        """Return the ports of that name of the pods of a peer that is kept."""
        return frozenset(
            (address, protocol, number)
            for key in self._members[peer]
            for port, spoken, number in self._pods[key].ports
            if (port, spoken) == (name, protocol)
            for address in self._pods[key].addresses
            if (":" in address) is ipv6
        )

    def _is(self, peer: Peer, pod: Facts) -> bool:
        if peer.namespaces is None:
            if pod.namespace != peer.namespace:
                return False
        else:
            labels = self._namespaces.get(pod.namespace)
            if labels is None or not peer.namespaces.matches(labels):
                return False
        return peer.pods is None or peer.pods.matches(pod.labels)


def selector(found: object) -> Selector | None:
    """Return a selector; None for one that is empty and selects all."""
    made = selectors.from_struct(found)  # type: ignore[arg-type]
    return None if made.everything else made
