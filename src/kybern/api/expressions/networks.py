"""`ip(...)` and `cidr(...)`.

In:   texts.
Out:  `FUNCTIONS`, a table of overloads.
By:   libraries. Facts: upstream's `apiserver/pkg/cel/library/{ip,cidr}.go`.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from kybern.lib.cel.declarations import Overload
from kybern.lib.cel.text import once, twice
from kybern.lib.cel.values import EvalError

IP, CIDR = "net.IP", "net.CIDR"
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface


class Ip:
    """An address."""

    TYPE = IP
    __slots__ = ("address",)

    def __init__(self, address: Address) -> None:
        self.address = address

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ip) and self.address == other.address

    def __hash__(self) -> int:
        return hash(self.address)


class Cidr:
    """An address with the length of its network."""

    TYPE = CIDR
    __slots__ = ("interface",)

    def __init__(self, interface: Interface) -> None:
        self.interface = interface

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cidr) and self.interface == other.interface

    def __hash__(self) -> int:
        return hash(self.interface)


def _ip(text: str) -> Ip:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        why = f'ParseAddr("{text}"): unable to parse IP'
        told = f'IP Address "{text}" parse error during conversion from string: {why}'
        raise EvalError(told) from None
    if "%" in text:
        raise EvalError(f'IP address "{text}" with zone value is not allowed')
    if address.version == 6 and address.ipv4_mapped:
        raise EvalError(f'IPv4-mapped IPv6 address "{text}" is not allowed')
    return Ip(address)


def _cidr(text: str) -> Cidr:
    address, slash, bits = text.partition("/")
    try:
        if not slash or not bits.isdigit() or (len(bits) > 1 and bits.startswith("0")):
            raise ValueError(text)
        interface = ipaddress.ip_interface(f"{address}/{bits}")
    except ValueError:
        why = "invalid" if slash else "no '/'"
        told = (
            "network address parse error during conversion from string: "
            f'netip.ParsePrefix("{text}"): {why}'
        )
        raise EvalError(told) from None
    if interface.version == 6 and interface.ip.ipv4_mapped:
        raise EvalError(f'IPv4-mapped IPv6 address "{text}" is not allowed')
    return Cidr(interface)


def _tests(parse: Any) -> Any:
    def test(text: str) -> bool:
        try:
            parse(text)
        except EvalError:
            return False
        return True

    return test


def _is_canonical(text: str) -> bool:
    return str(_ip(text).address) == text


def _network(cidr: Cidr) -> Any:
    return cidr.interface.network


def _contains_ip(cidr: Cidr, ip: Ip) -> bool:
    return ip.address.version == cidr.interface.version and ip.address in _network(cidr)


def _contains_cidr(cidr: Cidr, other: Cidr) -> bool:
    if cidr.interface.version != other.interface.version:
        return False
    return bool(_network(other).subnet_of(_network(cidr)))


def _masked(cidr: Cidr) -> Cidr:
    return Cidr(ipaddress.ip_interface(_network(cidr).with_prefixlen))


def _global_unicast(ip: Ip) -> bool:
    address = ip.address
    limited = address == ipaddress.IPv4Address("255.255.255.255")
    return not (
        limited
        or address.is_unspecified
        or address.is_loopback
        or address.is_multicast
        or address.is_link_local
    )


def _link_local_multicast(ip: Ip) -> bool:
    if ip.address.version == 4:
        return ip.address in ipaddress.IPv4Network("224.0.0.0/24")
    return ip.address.is_multicast and ip.address.packed[1] & 0x0F == 2


def _member(signature: str, call: Any) -> Overload:
    return Overload(signature, call, member=True)


FUNCTIONS: dict[str, tuple[Overload, ...]] = {
    "ip": (
        Overload(f"string -> {IP}", _ip, cost=once),
        _member(f"{CIDR} -> {IP}", lambda cidr: Ip(cidr.interface.ip)),
    ),
    "isIP": (Overload("string -> bool", _tests(_ip), cost=once),),
    "ip.isCanonical": (Overload("string -> bool", _is_canonical, cost=twice),),
    "family": (_member(f"{IP} -> int", lambda ip: ip.address.version),),
    "isUnspecified": (_member(f"{IP} -> bool", lambda ip: ip.address.is_unspecified),),
    "isLoopback": (_member(f"{IP} -> bool", lambda ip: ip.address.is_loopback),),
    "isLinkLocalMulticast": (_member(f"{IP} -> bool", _link_local_multicast),),
    "isLinkLocalUnicast": (_member(f"{IP} -> bool", lambda ip: ip.address.is_link_local),),
    "isGlobalUnicast": (_member(f"{IP} -> bool", _global_unicast),),
    "cidr": (Overload(f"string -> {CIDR}", _cidr, cost=once),),
    "isCIDR": (Overload("string -> bool", _tests(_cidr), cost=once),),
    "containsIP": (
        _member(f"{CIDR}, {IP} -> bool", _contains_ip),
        _member(f"{CIDR}, string -> bool", lambda cidr, text: _contains_ip(cidr, _ip(text))),
    ),
    "containsCIDR": (
        _member(f"{CIDR}, {CIDR} -> bool", _contains_cidr),
        _member(f"{CIDR}, string -> bool", lambda cidr, text: _contains_cidr(cidr, _cidr(text))),
    ),
    "prefixLength": (_member(f"{CIDR} -> int", lambda cidr: _network(cidr).prefixlen),),
    "masked": (_member(f"{CIDR} -> {CIDR}", _masked),),
    "string": (
        Overload(f"{IP} -> string", lambda ip: str(ip.address)),
        Overload(f"{CIDR} -> string", lambda cidr: cidr.interface.with_prefixlen),
    ),
}
