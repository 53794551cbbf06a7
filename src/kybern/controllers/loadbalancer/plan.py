"""Which address a Service of type LoadBalancer gets.

In:   the networks of the pool, Services.
Out:  addresses; why there is none.
By:   loadbalancer.controller. Pure.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kybern.api.core.v1 import Service

CLASS = "kybern.io/load-balancer"


class UnavailableError(Exception):
    """There is no such address to give; the message says why."""


class Pool:
    """Addresses, each held by one Service at a time."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [ipaddress.ip_network(network) for network in networks]
        self._holders: dict[str, str] = {}
        self._held: dict[str, str] = {}

    def __bool__(self) -> bool:
        return bool(self._networks)

    def held(self, key: str) -> str:
        """Return the address of a Service; "" when it has none."""
        return self._held.get(key, "")

    def occupy(self, key: str, address: str) -> bool:
        """Note that a Service has this address; say whether it is one of ours and nobody else's."""
        if not self.includes(address) or self._holders.get(address, key) != key:
            return False
        if self._held.get(key) != address:
            self.release(key)
        self._holders[address], self._held[key] = key, address
        return True

    def take(self, key: str, wanted: str = "") -> str:
        """Give a Service an address: the one it wants, the one it has, or the first free one.

        Raises:
            UnavailableError: there is none, or not that one.
        """
        if wanted:
            if not self.includes(wanted):
                raise UnavailableError(f"{wanted} is not in the pool {self}")
            if not self.occupy(key, wanted):
                raise UnavailableError(f"{wanted} is in use by {self._holders[wanted]}")
            return wanted
        if address := self.held(key):
            return address
        for address in self._all():
            if self.occupy(key, address):
                return address
        raise UnavailableError(f"no address of the pool {self} is free")

    def release(self, key: str) -> str:
        """Take a Service's address back; return it, "" when it had none."""
        address = self._held.pop(key, "")
        self._holders.pop(address, None)
        return address

    def __len__(self) -> int:
        """Count the addresses in use."""
        return len(self._held)

    def __str__(self) -> str:
        return ", ".join(map(str, self._networks))

    def _all(self) -> Iterator[str]:
        for network in self._networks:
            yield from map(str, network.hosts())

    def includes(self, address: str) -> bool:
        """Whether this is one of the pool's addresses."""
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(
            parsed in net and parsed not in (net.network_address, net.broadcast_address)
            for net in self._networks
        )


def wants_address(service: Service) -> bool:
    """Whether a Service is for us: of the type, and of our class or of none."""
    return service.spec.type == "LoadBalancer" and service.spec.loadBalancerClass in (None, CLASS)


def addresses(service: Service) -> list[str]:
    """Return the addresses in a Service's status."""
    balancer = service.status.loadBalancer
    return [i.ip or i.hostname or "" for i in (balancer.ingress or () if balancer else ())]
