"""Let the kernel hand packets on.

In:   the version of IP.
Out:  kernel settings of the network namespace we are in.
By:   the pod network and the proxy, whichever of them comes first on a node.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

SETTINGS: Final = Path("/proc/sys/net")
FORWARD: Final = {4: "ipv4/ip_forward", 6: "ipv6/conf/all/forwarding"}
BRIDGED: Final = {4: "bridge/bridge-nf-call-iptables", 6: "bridge/bridge-nf-call-ip6tables"}
LISTENS: Final = "1"  # to routers, unless it is one itself
LISTENS_ANYWAY: Final = "2"


def enable(version: int, settings: Path = SETTINGS) -> None:
    """Let packets of this version of IP be forwarded.

    Raises:
        OSError: the kernel has no such setting, or it may not be changed.
    """
    place = settings / FORWARD[version]
    if place.read_text(encoding="ascii").strip() == "1":
        return
    if version == 6:
        _keep_listening(settings / "ipv6" / "conf")
    place.write_text("1", encoding="ascii")


def see_bridged(version: int, settings: Path = SETTINGS) -> None:
    """Let the packet filter see what goes from port to port of a bridge.

    Raises:
        OSError: br_netfilter is not loaded, or the setting may not be changed.
    """
    place = settings / BRIDGED[version]
    if place.read_text(encoding="ascii").strip() != "1":
        place.write_text("1", encoding="ascii")


def _keep_listening(devices: Path) -> None:
    """Let devices that listen to routers go on: who forwards would lose its default route."""
    for device in devices.iterdir():
        place = device / "accept_ra"
        if device.name != "all" and place.read_text(encoding="ascii").strip() == LISTENS:
            place.write_text(LISTENS_ANYWAY, encoding="ascii")
