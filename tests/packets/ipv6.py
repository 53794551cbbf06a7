"""The same world over IPv6: 10.96.0.7 is fd00::10:96:0:7 there, and a /24 is a /112.

In:   trees, packets and machines with addresses of IPv4; fates with addresses of IPv6.
Out:  the other way round.
By:   node.py, so that nothing else has to be said twice.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.packets.walk import Fate

IPV4 = re.compile(r"(\d+)\.(\d+)\.(\d+)\.(\d+)(?:/(\d+))?")
GROUPS = 4  # of the address which hold one octet each, in decimal digits


def spoken(value: Any) -> Any:
    """Return a value with every address in it translated."""
    if isinstance(value, str):
        return "IPv6" if value == "IPv4" else IPV4.sub(_address, value)
    if isinstance(value, dict):
        return {key: spoken(each) for key, each in value.items()}
    return type(value)(map(spoken, value)) if isinstance(value, (list, tuple)) else value


def understood(fate: Fate) -> Fate:
    """Translate back where a packet ended."""
    return fate._replace(address=_back(fate.address), seen_as=_back(fate.seen_as))


def _address(found: re.Match[str]) -> str:
    *octets, length = found.groups()
    made = str(ipaddress.ip_address("fd00::" + ":".join(octets)))
    return made if length is None else f"{made}/{64 + 2 * int(length)}"


def _back(text: str) -> str:
    if ":" not in text:
        return text
    groups = ipaddress.ip_address(text).exploded.split(":")[-GROUPS:]
    return ".".join(str(int(group)) for group in groups)
