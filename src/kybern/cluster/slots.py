"""Networks and ports that no other cluster on this machine uses.

In:   what the operating system says is taken, and the marks of other clusters.
Out:  a slot: a small number from which networks and device names follow, and free ports.
By:   `kybern up`, once per cluster; the choice is kept in the settings.

Two clusters share the machine's routes and packet filter, so their service and pod networks must
not overlap. Slot 0 has upstream's usual networks.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import ipaddress
import os
import socket
from pathlib import Path
from typing import Any

SLOTS = 16
MARKS = Path("/run/kybern")
LOOPBACK = "127.0.0.1"
INTERFACES6, GLOBAL = Path("/proc/net/if_inet6"), "00"


class NoSlotError(Exception):
    """All slots are taken."""


def networks(slot: int, *, dual_stack: bool = False) -> dict[str, Any]:
    """Return the settings that follow from a slot.

    >>> networks(0)["service_cidr"], networks(2)["cluster_cidr"]
    ('10.96.0.0/16', '10.246.0.0/16')
    >>> networks(2, dual_stack=True)["cluster_cidr"]
    '10.246.0.0/16,fd6b:7962:2::/56'
    """
    found = _networks4(slot)
    if dual_stack:
        own = f"fd6b:7962:{slot:x}"  # addresses that are routed nowhere; RFC 4193
        found["service_cidr"] += f",{own}:ffff::/112"
        found["cluster_cidr"] += f",{own}::/56"
        found["node_cidr"] += f",{own}:100::/64"
    return found


def _networks4(slot: int) -> dict[str, Any]:
    return {
        "slot": slot,
        "service_cidr": f"10.{96 + slot}.0.0/16",
        "dns_ip": f"10.{96 + slot}.0.10",
        "cluster_cidr": f"10.{(244 + slot) if slot < 12 else (200 + slot)}.0.0/16",
        "node_cidr": f"10.{176 + slot}.0.0/24",
        "bridge": f"kybern{slot}",
        "nft_table": "kybern" if slot == 0 else f"kybern-{slot}",
    }


def claim(root: Path, marks: Path = MARKS, *, earlier: int | None = None) -> int:
    """Take the lowest free slot for the cluster in `root`, or the one it has.

    A mark is a file that names the data directory; it is free when that directory is gone or the
    mark is our own. /run is empty after a reboot, which is right: so are the networks.

    Args:
        root: the cluster's data directory.
        marks: where the marks are.
        earlier: the slot whose networks are written down in the cluster's data: it has to be that.

    Raises:
        NoSlotError: 16 clusters are here already, or another has the networks of this one.
    """
    marks.mkdir(parents=True, exist_ok=True)
    with (marks / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        owners = {slot: _owner(marks, slot) for slot in range(SLOTS)}
        mine = [slot for slot, owner in owners.items() if owner == str(root)]
        free = [slot for slot, owner in owners.items() if owner is None]
        if not mine and earlier is not None:
            if earlier not in free:
                raise NoSlotError(
                    f"the cluster in {owners[earlier]} has the networks of this one by now: "
                    f"remove it with `kybern down --purge --data-dir {owners[earlier]}`, or this "
                    f"one with `kybern down --purge --data-dir {root}`."
                )
            free = [earlier]
        if not mine and not free:
            raise NoSlotError(
                f"{SLOTS} clusters are on this machine already: remove one with "
                f"`kybern down --purge --data-dir {owners[0]}`."
            )
        slot = (mine or free)[0]
        (marks / f"slot-{slot}").write_text(str(root))
        return slot


def release(root: Path, marks: Path = MARKS) -> None:
    """Give the slot back."""
    for slot in range(SLOTS):
        if _owner(marks, slot) == str(root):
            (marks / f"slot-{slot}").unlink(missing_ok=True)


def _owner(marks: Path, slot: int) -> str | None:
    try:
        owner = (marks / f"slot-{slot}").read_text()
    except FileNotFoundError:
        return None
    return owner if Path(owner, "cluster.json").exists() or Path(owner).is_dir() else None


def port_is_free(port: int, *, datagrams: bool = False) -> bool:
    """Whether nobody listens on the port, on any address; for datagrams too, if asked."""
    kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM) if datagrams else (socket.SOCK_STREAM,)
    return all(_can_bind(port, kind) for kind in kinds)


def _can_bind(port: int, kind: socket.SocketKind) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            with socket.socket(family, kind) as probe:
                if kind == socket.SOCK_STREAM:  # connections that are just ending do not count
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("" if family == socket.AF_INET else "::", port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
    return True


def free_port(preferred: int, *, datagrams: bool = False) -> int:
    """Return the first free port from `preferred` on.

    Raises:
        NoSlotError: none of the next 500 is free.
    """
    for port in range(preferred, preferred + 500):
        if port_is_free(port, datagrams=datagrams):
            return port
    raise NoSlotError(f"no port from {preferred} to {preferred + 499} is free.")


def node_address() -> str:
    """Return the address of this machine on its default route, or loopback when it has none.

    Connecting a UDP socket sends nothing; it makes the kernel choose a source address.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # TEST-NET-1: nobody is there
            return str(probe.getsockname()[0])
        except OSError:
            return LOOPBACK


def node_address6() -> str:
    """Return the IPv6 address of this machine on its default route, or any that others can reach.

    Returns:
        "" when it has none.
    """
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        probe.connect(("2001:db8::1", 9))  # for documentation: nobody is there
        return str(probe.getsockname()[0])
    try:
        lines = INTERFACES6.read_text(encoding="ascii").splitlines()
    except OSError:
        return ""
    for packed, _index, _length, scope, _flags, device in map(str.split, lines):
        if scope == GLOBAL and not device.startswith("kybern"):
            return str(ipaddress.IPv6Address(bytes.fromhex(packed)))
    return ""


def host_name() -> str:
    """Return the machine's name as a node's name: lower case, a DNS subdomain."""
    name = os.uname().nodename.lower().replace("_", "-").strip("-.")
    return name or "node"
