"""IP addresses and networks in objects.

In:   text.
Out:  the parsed address, or problems with upstream's sentences.
By:   validation of pods, services, endpoints, policies; allocators.

Facts: apimachinery's `pkg/util/validation/ip.go`.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from kybern.api.decimals import natural
from kybern.api.field_path import Path, Problem, invalid

if TYPE_CHECKING:
    from collections.abc import Iterable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

NOT_AN_IP: Final = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
NOT_A_CIDR: Final = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"


@lru_cache(4096)
def parse_ip(text: str) -> Address | None:
    """The address, or None when it is none; zones (`fe80::1%eth0`) are refused as in Go."""
    if "%" in text:
        return None
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


@lru_cache(1024)
def parse_cidr(text: str) -> Network | None:
    """The network, its host part cleared, or None when it is none."""
    if "/" not in text or not natural(text.rpartition("/")[2]) is not None:
        return None
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def check_ip(text: str, path: Path, out: list[Problem]) -> None:
    """It must be an address."""
    if parse_ip(text) is None:
        out.append(invalid(path, text, NOT_AN_IP))


def check_cidr(text: str, path: Path, out: list[Problem]) -> None:
    """It must be a network."""
    if parse_cidr(text) is None:
        out.append(invalid(path, text, NOT_A_CIDR))


def check_ordinary_ip(text: str, path: Path, out: list[Problem]) -> None:
    """It must be an address that traffic between machines can have."""
    address = parse_ip(text)
    if address is None:
        out.append(invalid(path, text, "must be a valid IP address"))
        return
    if address.is_unspecified:
        out.append(invalid(path, text, f"may not be unspecified ({text})"))
    if address.is_loopback:
        told = "may not be in the loopback range (127.0.0.0/8, ::1/128)"
        out.append(invalid(path, text, told))
    if address.is_link_local:
        told = "may not be in the link-local range (169.254.0.0/16, fe80::/10)"
        out.append(invalid(path, text, told))
    if _is_link_local_multicast(address):
        told = "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"
        out.append(invalid(path, text, told))


def _is_link_local_multicast(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return address.packed[:3] == b"\xe0\x00\x00"
    return address.packed[0] == 0xFF and address.packed[1] & 0x0F == 0x02


def families(texts: Iterable[str]) -> list[int]:
    """4 or 6 for each address or network; 0 for what is neither."""
    parsed = (parse_ip(text) or parse_cidr(text) for text in texts)
    return [each.version if each is not None else 0 for each in parsed]


def is_dual_stack(texts: Iterable[str]) -> bool:
    """Whether both families are there."""
    return {4, 6} <= set(families(texts))
