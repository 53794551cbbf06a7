"""Routes and the tunnel, as the kernel has them.

In:   what router.py wants.
Out:  what there is, read from `ip -j`; changes, as one batch.
By:   router.py.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kybern.network.plan import Remote, Route, Way

if TYPE_CHECKING:
    from collections.abc import Iterable

PROTOCOL = "107"  # marks our routes; nobody else's number in /etc/iproute2/rt_protos
PORT = 8472  # what Linux has always used for VXLAN
EVERYWHERE = {4: "0.0.0.0/0", 6: "::/0"}
UP, LOOPBACK = "UP", "LOOPBACK"


class KernelError(OSError):
    """`ip` failed; `strerror` is what it said."""


@dataclass(frozen=True, slots=True)
class State:
    """What the kernel has.

    Attributes:
        ways: routes of others.
        routes: routes of ours.
        mtus: the size each device carries; loopback and devices that are down left out.
        tunnel: the address of this end of the tunnel, and the tunnel's number; None without one.
        remotes: the nodes the tunnel knows.
        indexes: the numbers of the devices, by name.
        addresses: the device on which each address of this machine is.
    """

    ways: tuple[Way, ...]
    routes: frozenset[Route]
    mtus: dict[str, int]
    tunnel: tuple[str, int, int] | None
    remotes: frozenset[Remote]
    indexes: dict[str, int]
    addresses: dict[str, str]


async def read(tunnel: str) -> State:
    """Return the routes, the devices and what is known of the tunnel."""
    links = await _ask("ip", "-j", "-d", "address", "show")
    ways: list[Way] = []
    routes: set[Route] = set()
    for version in (4, 6):
        for entry in await _ask("ip", "-j", f"-{version}", "route", "show", "table", "main"):
            way = _way(entry, version)
            if entry.get("protocol") == PROTOCOL:
                routes.add(Route(way.network, way.gateway, way.device))
            elif _leads_on(entry):
                ways.append(way)
    ours = next((link for link in links if link["ifname"] == tunnel), None)
    return State(
        ways=tuple(ways),
        routes=frozenset(routes),
        mtus={k["ifname"]: k["mtu"] for k in links if _carries(k)},
        tunnel=_end(ours) if ours else None,
        remotes=await _remotes(tunnel) if ours else frozenset(),
        indexes={link["ifname"]: link["ifindex"] for link in links},
        addresses={
            each["local"]: link["ifname"] for link in links for each in link["addr_info"] if each
        },
    )


async def apply(commands: Iterable[str]) -> None:
    """Carry out `ip` commands, all that can be.

    Raises:
        KernelError: one was refused; the others were carried out.
    """
    text = "".join(f"{command}\n" for command in commands)
    if text:
        await _run(text, "ip", "-force", "-batch", "-")


def to_make_tunnel(name: str, number: int, address: str, mac: str, mtu: int) -> list[str]:
    """Return the commands that make this end of the tunnel."""
    return [
        f"link add {name} address {mac} mtu {mtu} type vxlan id {number} local {address} "
        f"dstport {PORT} nolearning",
        f"link set {name} up",
    ]


def to_change_routes(have: frozenset[Route], want: frozenset[Route]) -> list[str]:
    """Return the commands that bring our routes up to date; what stays is not touched."""
    kept = {(route.network, route.device if ":" in route.network else "") for route in want}
    # IPv6 takes no gateway to which a route over another device leads, even the one replaced.
    gone = [
        route
        for route in sorted(have - want)
        if (route.network, route.device if ":" in route.network else "") not in kept
    ]
    return [
        *(f"route delete {r.network} via {r.via} dev {r.device} proto {PROTOCOL}" for r in gone),
        *(
            f"route replace {r.network} via {r.via} dev {r.device} proto {PROTOCOL} onlink"
            for r in sorted(want - have)
        ),
    ]


def to_change_remotes(
    tunnel: str, have: frozenset[Remote], want: frozenset[Remote]
) -> tuple[list[str], list[str]]:
    """Return the commands for `ip` and for `bridge` that let the tunnel know the nodes."""
    stay, ends = {r.inner for r in want}, {(r.mac, r.outer) for r in want}
    gone, new = sorted(have - want), sorted(want - have)
    # of each family of pods there is one, and all of them have the same end
    lost = dict.fromkeys((r.mac, r.outer) for r in gone if (r.mac, r.outer) not in ends)
    found = dict.fromkeys((r.mac, r.outer) for r in new)
    neighbours = [
        *(f"neigh delete {r.inner} dev {tunnel}" for r in gone if r.inner not in stay),
        *(f"neigh replace {r.inner} lladdr {r.mac} dev {tunnel} nud permanent" for r in new),
    ]
    forwarding = [
        *(f"fdb delete {mac} dev {tunnel} dst {outer}" for mac, outer in lost),
        *(f"fdb replace {mac} dev {tunnel} dst {outer}" for mac, outer in found),
    ]
    return neighbours, forwarding


async def apply_bridge(commands: Iterable[str]) -> None:
    """Carry out `bridge` commands.

    Raises:
        KernelError: one was refused.
    """
    text = "".join(f"{command}\n" for command in commands)
    if text:
        await _run(text, "bridge", "-force", "-batch", "-")


async def _remotes(tunnel: str) -> frozenset[Remote]:
    outer = {
        entry["mac"]: entry["dst"]
        for entry in await _ask("bridge", "-j", "fdb", "show", "dev", tunnel)
        if "dst" in entry
    }
    found = set()
    for entry in await _ask("ip", "-j", "neigh", "show", "dev", tunnel, "nud", "permanent"):
        mac = entry.get("lladdr", "")
        found.add(Remote(entry["dst"], mac, outer.get(mac, "")))
    return frozenset(found)


def _way(entry: dict[str, Any], version: int) -> Way:
    network = EVERYWHERE[version] if entry["dst"] == "default" else entry["dst"]
    if "/" not in network:
        network += "/32" if version == 4 else "/128"
    hop = entry["nexthops"][0] if "nexthops" in entry else entry
    gateway = hop.get("gateway") or hop.get("via", {}).get("host", "")
    return Way(network, gateway, hop.get("dev", ""))


def _leads_on(entry: dict[str, Any]) -> bool:
    """Say whether packets take this route: it is no refusal, and its link is not turned off.

    A link that is only unplugged counts: its routes stay, and are good when it is plugged in.
    """
    return entry.get("type", "unicast") == "unicast" and "dead" not in entry.get("flags", ())


def _carries(link: dict[str, Any]) -> bool:
    return UP in link["flags"] and LOOPBACK not in link["flags"]


def _end(link: dict[str, Any]) -> tuple[str, int, int]:
    data = link.get("linkinfo", {}).get("info_data", {})
    return data.get("local") or data.get("local6") or "", data.get("id", 0), link["mtu"]


async def _ask(*words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(await _run("", *words) or "[]")
    return found


async def _run(text: str, *words: str) -> bytes:
    program = shutil.which(words[0]) or shutil.which(words[0], path="/usr/sbin:/sbin") or words[0]
    process = await asyncio.create_subprocess_exec(
        program,
        *words[1:],
        stdin=asyncio.subprocess.PIPE if text else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, said = await process.communicate(text.encode() or None)
    if process.returncode:
        why = said.decode(errors="replace").strip()
        raise KernelError(process.returncode, f"{' '.join(words)}: {why}")
    return out
