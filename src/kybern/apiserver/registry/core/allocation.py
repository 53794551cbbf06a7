"""Numbers that must not be given twice: cluster IPs and node ports.

In:   a range, and the Services that exist when the server starts.
Out:  a number nobody has; and back.
By:   registry.core.services. Allocators live in memory and are filled from the store at the start.

As upstream's, the lower part of a range is left to those who ask for a number of their choice:
automatic choice starts above it and goes there only when nothing else is left.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from kybern.apiserver.registry.core.neighbours import Neighbours


class Taken(Exception):  # the message is upstream's sentence
    """The number is somebody's already, or outside the range, or none is left."""


class Numbers:
    """A range of integers, each taken or free."""

    def __init__(self, first: int, last: int, reserve: int, rng: Random) -> None:
        self.first = first
        self.last = last
        self._reserve = reserve
        self._rng = rng
        self._taken: set[int] = set()

    def __len__(self) -> int:
        return len(self._taken)

    def __contains__(self, number: int) -> bool:
        return number in self._taken

    def take(self, number: int) -> bool:
        """Take this number; False when somebody has it."""
        if number in self._taken:
            return False
        self._taken.add(number)
        return True

    def take_any(self) -> int | None:
        """Take a random free number; None when there is none."""
        start = self.first + self._reserve
        for low, high in ((start, self.last), (self.first, start - 1)):
            found = self._pick(low, high)
            if found is not None:
                self._taken.add(found)
                return found
        return None

    def release(self, number: int) -> None:
        """Give a number back; it may be free already."""
        self._taken.discard(number)

    def _pick(self, low: int, high: int) -> int | None:
        size = high - low + 1
        if size <= 0:
            return None
        begin = self._rng.randrange(size)
        for step in range(size):
            number = low + (begin + step) % size
            if number not in self._taken:
                return number
        return None


class Network:
    """The cluster IPs of one network."""

    def __init__(self, cidr: str, rng: Random) -> None:
        self.network = ipaddress.ip_network(cidr)
        self.family = f"IPv{self.network.version}"
        first = int(self.network.network_address) + 1
        last = int(self.network.broadcast_address)
        if self.network.version == 4:
            last -= 1
        size = last - first + 1
        reserve = min(max(16, size // 16), 256) if size > 32 else 0
        self._numbers = Numbers(first, last, reserve, rng)

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def first(self) -> str:
        """The address of the `kubernetes` Service."""
        return str(self._address(self._numbers.first))

    def take(self, text: str) -> None:
        """Take this address.

        Raises:
            Taken: it cannot be had.
        """
        address = ipaddress.ip_address(text)
        numbers = self._numbers
        if address.version != self.network.version or not (
            numbers.first <= int(address) <= numbers.last
        ):
            raise Taken(
                f"provided IP is not in the valid range. The range of valid IPs is {self.network}"
            )
        if not numbers.take(int(address)):
            raise Taken("provided IP is already allocated")

    def take_any(self) -> str:
        """Take any address.

        Raises:
            Taken: none is left.
        """
        number = self._numbers.take_any()
        if number is None:
            raise Taken("range is full")
        return str(self._address(number))

    def release(self, text: str) -> None:
        """Give an address back."""
        self._numbers.release(int(ipaddress.ip_address(text)))

    def _address(self, number: int) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
        if self.network.version == 4:
            return ipaddress.IPv4Address(number)
        return ipaddress.IPv6Address(number)


class Addresses:
    """The cluster IPs of all networks, one of each family at most."""

    def __init__(self, cidrs: Sequence[str], rng: Random) -> None:
        networks = [Network(cidr, rng) for cidr in cidrs]
        self._networks = {network.family: network for network in networks}
        self._default = networks[0]

    def __len__(self) -> int:
        return sum(map(len, self._networks.values()))

    @property
    def families(self) -> tuple[str, ...]:
        """The families there are, the default first."""
        return tuple(self._networks)

    @property
    def first(self) -> str:
        """The address of the `kubernetes` Service."""
        return self._default.first

    def take(self, text: str) -> None:
        """Take this address.

        Raises:
            Taken: it cannot be had.
        """
        self._networks.get(_family(text), self._default).take(text)

    def take_any(self, family: str) -> str:
        """Take any address of a family that there is.

        Raises:
            Taken: none is left.
        """
        return self._networks[family].take_any()

    def release(self, text: str) -> None:
        """Give an address back; the cluster may have lost its family meanwhile."""
        if (network := self._networks.get(_family(text))) is not None:
            network.release(text)


def _family(text: str) -> str:
    return "IPv6" if ":" in text else "IPv4"


class Ports:
    """The node ports. One number may serve several protocols of one Service."""

    def __init__(self, first: int, last: int, rng: Random) -> None:
        size = last - first + 1
        reserve = min(max(16, size // 32), 128) if size > 32 else 0
        self._numbers = Numbers(first, last, reserve, rng)

    def take(self, port: int) -> None:
        """Take this port.

        Raises:
            Taken: it cannot be had.
        """
        numbers = self._numbers
        if not numbers.first <= port <= numbers.last:
            raise Taken(
                "provided port is not in the valid range. The range of valid ports is "
                f"{numbers.first}-{numbers.last}"
            )
        if not numbers.take(port):
            raise Taken("provided port is already allocated")

    def take_any(self) -> int:
        """Take any port.

        Raises:
            Taken: none is left.
        """
        port = self._numbers.take_any()
        if port is None:
            raise Taken("range is full")
        return port

    def release(self, port: int) -> None:
        """Give a port back."""
        self._numbers.release(port)


class Allocators:
    """The ranges of a cluster."""

    def __init__(
        self, service_cidrs: Sequence[str], node_ports: tuple[int, int], rng: Random
    ) -> None:
        self.addresses = Addresses(service_cidrs, rng)
        self.ports = Ports(*node_ports, rng)
        self.neighbours: Neighbours | None = None
        """What other servers over the same store give out, where there may be any."""
