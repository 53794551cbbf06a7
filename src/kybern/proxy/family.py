"""What differs between IPv4 and IPv6.

In:   a network or an address.
Out:  the words that nftables has for its family, and those of the API.
By:   everything else in this package.

As upstream, each family has a table of its own, and what fills it knows of one family only.
"""

from __future__ import annotations

from typing import NamedTuple


class Family(NamedTuple):
    """One family of addresses.

    Attributes:
        name: in the API.
        table: of nftables' tables, and what matches begin with.
        type: of nftables' sets.
        refusal: the protocol that says a port cannot be reached.
        loopback: addresses that never serve node ports.
        everywhere: all addresses.
    """

    name: str
    table: str
    type: str
    refusal: str
    loopback: str
    everywhere: str

    def has(self, address: str) -> bool:
        """Whether an address or a network is of this family."""
        return (":" in address) is (self is IPV6)


IPV4 = Family("IPv4", "ip", "ipv4_addr", "icmp", "127.0.0.0/8", "0.0.0.0/0")
IPV6 = Family("IPv6", "ip6", "ipv6_addr", "icmpv6", "::1", "::/0")


def family_of(address: str) -> Family:
    """Return the family of an address or a network."""
    return IPV6 if ":" in address else IPV4
