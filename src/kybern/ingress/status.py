"""Under which addresses an Ingress can be reached.

In:   the addresses in its status, whether this node serves, the nodes there are.
Out:  the addresses there should be.
By:   sync.py. Pure.

Each node answers for itself: it adds its address, or takes it away. Those of nodes that are gone or
not Ready are taken away by whoever looks next, so all nodes come to the same list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api.core import nodes as ask

if TYPE_CHECKING:
    from collections.abc import Iterable, Set

    from kybern.api.core.v1 import Node
    from kybern.api.networking.v1 import Ingress


def current(ingress: Ingress) -> list[str]:
    """Return the addresses in the status."""
    balancer = ingress.status.loadBalancer
    given = (balancer.ingress or ()) if balancer else ()
    return [each.ip or each.hostname or "" for each in given]


def alive(nodes: Iterable[Node]) -> set[str]:
    """Return the addresses of the nodes that are Ready."""
    return {
        address.address
        for node in nodes
        if ask.is_ready(node)
        for address in node.status.addresses or ()
        if address.type == "InternalIP"
    }


def wanted(now: Iterable[str], own: str, alive: Set[str], *, serving: bool) -> list[str]:
    """Return the addresses there should be."""
    others = {address for address in now if address in alive and address != own}
    return sorted(others | {own} if serving else others)


def patch(ingress: Ingress, addresses: Iterable[str]) -> dict[str, Any]:
    """Return the change of an Ingress, which fails if it has changed since."""
    return {
        "metadata": {"resourceVersion": ingress.metadata.resourceVersion},
        "status": {"loadBalancer": {"ingress": [{"ip": address} for address in addresses]}},
    }
