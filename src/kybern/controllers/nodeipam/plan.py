"""The parts of a network, and which of them are given out.

In:   a network, how large a part is.
Out:  parts, each to one owner at a time.
By:   controller.py. Pure.

A part that was given back is not given out again before all others were: packets for its last owner
may still be on the way. That is upstream's order too.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Network = ipaddress.IPv4Network | ipaddress.IPv6Network

BITS_MAX = 16  # upstream's limit: a network has at most so many parts, as a power of two


class ExhaustedError(Exception):
    """All parts are given out."""


class Ranges:
    """The parts of one network."""

    def __init__(self, cluster: str, prefix: int) -> None:
        """`prefix` is the length of a part's mask.

        Raises:
            ValueError: the parts do not fit, or there are too many.
        """
        self.network: Network = ipaddress.ip_network(cluster)
        bits = prefix - self.network.prefixlen
        if bits < 0 or prefix > self.network.max_prefixlen:
            raise ValueError(f"parts of /{prefix} do not fit into {cluster}")
        if bits > BITS_MAX:
            raise ValueError(
                "CIDR allocation failed; there are too many parts: the mask of a node may be at "
                f"most {BITS_MAX} longer than that of {cluster}"
            )
        self._prefix = prefix
        self._count = 1 << bits
        self._used: dict[int, int] = {}
        self._next = 0

    @property
    def free(self) -> int:
        """How many parts can be given out."""
        return self._count - len(self._used)

    def take(self) -> str:
        """Return a part nobody has.

        Raises:
            ExhaustedError: there is none.
        """
        for step in range(self._count):
            number = (self._next + step) % self._count
            if number not in self._used:
                self._next = (number + 1) % self._count
                self._used[number] = 1
                return self._part(number)
        raise ExhaustedError(str(self.network))

    def occupy(self, network: str) -> None:
        """Take every part that overlaps with a network which somebody has."""
        for number in self._overlapping(network):
            self._used[number] = self._used.get(number, 0) + 1

    def release(self, network: str) -> None:
        """Give back what `take` or `occupy` took."""
        for number in self._overlapping(network):
            left = self._used.get(number, 0) - 1
            if left > 0:
                self._used[number] = left
            else:
                self._used.pop(number, None)

    def _part(self, number: int) -> str:
        size = self.network.max_prefixlen - self._prefix
        address = self.network.network_address + (number << size)
        return f"{address}/{self._prefix}"

    def _overlapping(self, text: str) -> range:
        network = ipaddress.ip_network(text, strict=False)
        if network.version != self.network.version or not network.overlaps(self.network):
            return range(0)
        size = self.network.max_prefixlen - self._prefix
        base = int(self.network.network_address)
        first = max(int(network.network_address) - base, 0) >> size
        last = (int(network.broadcast_address) - base) >> size
        return range(first, min(last, self._count - 1) + 1)
