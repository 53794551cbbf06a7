"""Which address a Service of type LoadBalancer gets.

In:   the networks of the pool, Services.
Out:  addresses, one of each family that a Service has; why there is none.
By:   loadbalancer.controller. Pure.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kybern.api.core.v1 import Service

CLASS = "kybern.io/load-balancer"


class UnavailableError(Exception):
    """There is no such address to give; the message says why."""


class Pools:
    """A pool for each family there is. All a Service wants is to be had, or nothing."""

    def __init__(self, networks: Iterable[str]) -> None:
        by_family: dict[str, list[str]] = {}
        for network in networks:
            by_family.setdefault(_family(network), []).append(network)
        self._pools = {family: Pool(mine) for family, mine in by_family.items()}

    def __bool__(self) -> bool:
        return any(self._pools.values())

    def __len__(self) -> int:
        """Count the addresses in use."""
        return sum(map(len, self._pools.values()))

    def held(self, key: str) -> list[str]:
        """Return the addresses of a Service."""
        return [address for pool in self._pools.values() if (address := pool.held(key))]

    def includes(self, address: str) -> bool:
        """Whether this is one of the pools' addresses."""
        return any(pool.includes(address) for pool in self._pools.values())

    def occupy(self, key: str, address: str) -> None:
        """Note that a Service has this address, if it is one of ours and nobody else's."""
        for pool in self._pools.values():
            pool.occupy(key, address)

    def fits(self, key: str, families: Iterable[str], wanted: str = "") -> bool:
        """Whether a Service has what it wants."""
        held = self.held(key)
        return (not wanted or wanted in held) and {*map(_family, held)} == {*families}

    def take(self, key: str, families: Sequence[str], wanted: str = "") -> list[str]:
        """Give a Service an address of each family, in this order; others it had are given back.

        Raises:
            UnavailableError: there is none, or not the one it wants; it keeps what it had.
        """
        before, taken = self.held(key), []
        if wanted and _family(wanted) not in families:
            raise UnavailableError(f"{wanted} is not of the Service's IP families")
        try:
            for family in families:
                if (pool := self._pools.get(family)) is None:
                    raise UnavailableError(f"there is no pool of {family} addresses")
                taken.append(pool.take(key, wanted if _family(wanted) == family else ""))
        except UnavailableError:
            self.release(key)
            for address in before:
                self.occupy(key, address)
            raise
        for family, pool in self._pools.items():
            if family not in map(_family, taken):
                pool.release(key)
        return taken

    def release(self, key: str) -> list[str]:
        """Take a Service's addresses back; return them."""
        return [address for pool in self._pools.values() if (address := pool.release(key))]


class Pool:
    """Addresses of one family, each held by one Service at a time."""

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


def families(service: Service) -> list[str]:
    """Return the families of which a Service is to get an address, the first first."""
    return service.spec.ipFamilies or [_family(service.spec.clusterIP or "")]


def wants_address(service: Service) -> bool:
    """Whether a Service is for us: of the type, and of our class or of none."""
    return service.spec.type == "LoadBalancer" and service.spec.loadBalancerClass in (None, CLASS)


def addresses(service: Service) -> list[str]:
    """Return the addresses in a Service's status."""
    balancer = service.status.loadBalancer
    return [i.ip or i.hostname or "" for i in (balancer.ingress or () if balancer else ())]


def _family(address: str) -> str:
    return "IPv6" if ":" in address else "IPv4"
