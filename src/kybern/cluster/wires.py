"""The cables between the nodes on this machine.

In:   settings of a cluster, and of its further nodes.
Out:  a bridge with this machine's address, and for each further node a network namespace with a
      cable to that bridge; or none of it.
By:   `fleet.py`, for `kybern up` and `kybern down`.

The first node lives in the machine's own network. The others see it as a neighbour: its address is
on the cable, so that routes between pods need no address translation and no tunnel.
"""

from __future__ import annotations

import ipaddress
import json
import subprocess
from typing import TYPE_CHECKING

from kybern.cluster import prerequisites

if TYPE_CHECKING:
    from kybern.cluster.settings import Settings

INSIDE = "eth0"  # a node's end of its cable
SETTINGS6, NEIGHBOURS6 = "/proc/sys/net/ipv6/conf", "/proc/sys/net/ipv6/neigh"
ETHERNET = 1500  # bytes in a packet, where nothing else is known


class WireError(OSError):
    """The kernel refused; `strerror` says what."""


def bridge(settings: Settings) -> str:
    """Return the name of the bridge."""
    return f"kybern{settings.slot}-nodes"


def table(settings: Settings) -> str:
    """Return the name of the packet filter table."""
    return f"kybern-nodes-{settings.slot}"


def namespace(settings: Settings, index: int) -> str:
    """Return the network namespace of a further node."""
    return f"kybern{settings.slot}-{index}"


def cable(settings: Settings, index: int) -> str:
    """Return this machine's end of a further node's cable."""
    return f"kybern{settings.slot}-n{index}"


def addresses(settings: Settings, index: int) -> tuple[str, ...]:
    """Return the addresses of a further node, one for each family."""
    return tuple(str(ipaddress.ip_network(network)[index]) for network in settings.node_cidrs)


def lay(settings: Settings, indexes: list[int]) -> None:
    """Make what is missing.

    Raises:
        WireError: the kernel refused.
    """
    links, spaces = _links(), _namespaces()
    name = bridge(settings)
    size = _mtu_towards_others(settings)
    _ip(
        [
            *([] if name in links else [f"link add {name} mtu {size} type bridge"]),
            *_assign(settings, settings.gateways, name),
            f"link set {name} up",
        ]
    )
    _nft("".join(map(_masquerade, *_families(settings))))
    if settings.dual_stack:
        _lay_ipv6(settings, name)
    for index in indexes:
        space, wire = namespace(settings, index), cable(settings, index)
        commands = [] if space in spaces else [f"netns add {space}"]
        if space not in spaces or INSIDE not in _links(space):
            if wire in links:  # it leads to a namespace that lost its name: nobody can follow
                commands.append(f"link delete {wire}")
            commands.append(
                f"link add {wire} mtu {size} type veth peer name {INSIDE} mtu {size} netns {space}"
            )
        # hairpin: through another node's port a packet may come back to the node it is from
        back = f"link set {wire} type bridge_slave hairpin on"
        _ip([*commands, f"link set {wire} master {name} up", back])
        if settings.dual_stack:  # else its address would go when the link goes
            _set(f"{SETTINGS6}/{INSIDE}/keep_addr_on_down", space)
        own = addresses(settings, index)
        inside = [
            "link set lo up",
            *_assign(settings, own, INSIDE),
            f"link set {INSIDE} up",
            *(f"route replace default via {way} dev {INSIDE}" for way in settings.gateways),
        ]
        for first in (settings.node_ip, settings.node_ip6):
            if first and first not in (*settings.gateways, *own):
                length = 128 if ":" in first else 32
                inside.append(f"route replace {first}/{length} dev {INSIDE} scope link")
        _ip(inside, space)


def cut(settings: Settings, index: int) -> list[str]:
    """Remove a node's cable and namespace; return a sentence for each thing that stays."""
    commands = []
    if cable(settings, index) in _links():
        commands.append(f"link delete {cable(settings, index)}")
    if namespace(settings, index) in _namespaces():
        commands.append(f"netns delete {namespace(settings, index)}")
    return _try(commands)


def remove(settings: Settings) -> list[str]:
    """Remove the bridge, when no cable is left; return a sentence for each thing that stays."""
    name = bridge(settings)
    problems = _try([f"link delete {name}"] if name in _links() else [])
    try:
        tables = (f"{family} {table(settings)}" for family in _families(settings)[1])
        _nft("".join(f"add table {each}\ndelete table {each}\n" for each in tables))
    except WireError as error:
        problems.append(f"{error}.")
    return problems


def _assign(settings: Settings, own: tuple[str, ...], device: str) -> list[str]:
    """Return the commands that give a device its addresses, at once: nobody else has them."""
    networks = map(ipaddress.ip_network, settings.node_cidrs)
    return [
        f"address replace {address}/{network.prefixlen} dev {device}"
        + (" nodad" if network.version == 6 else "")
        for address, network in zip(own, networks, strict=True)
    ]


def _lay_ipv6(settings: Settings, name: str) -> None:
    """Let the nodes find the first one's address on the bridge, though it is not on there."""
    _set(f"{SETTINGS6}/{name}/keep_addr_on_down")
    if settings.node_ip6 and settings.node_ip6 not in settings.gateways:
        _set(f"{SETTINGS6}/{name}/proxy_ndp")
        _set(
            f"{NEIGHBOURS6}/{name}/proxy_delay", value="0"
        )  # up to 0.8 s, were it not the only one
        _ip([f"neigh replace proxy {settings.node_ip6} dev {name}"])


def _families(settings: Settings) -> tuple[tuple[str, ...], ...]:
    """Return the arguments of `_masquerade` for each family: tables, kinds, nodes, pods, groups."""
    count = len(settings.node_cidrs)
    return (
        (table(settings),) * count, ("ip", "ip6")[:count], settings.node_cidrs,
        settings.cluster_cidrs, ("224.0.0.0/4", "ff00::/8")[:count],
    )  # fmt: skip


def _masquerade(name: str, family: str, nodes: str, pods: str, groups: str) -> str:
    """Let the nodes reach what is outside; between nodes and pods no address changes."""
    return f"""\
add table {family} {name}
delete table {family} {name}
table {family} {name} {{
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    {family} saddr {nodes} {family} daddr != {{ {nodes}, {pods}, {groups} }} masquerade
  }}
}}
"""


def _mtu_towards_others(settings: Settings) -> int:
    """Return the size of packets on the way out, so that none has to be cut on it."""
    for link in json.loads(_run(["ip", "-j", "address", "show"])):
        addresses = {each.get("local") for each in link["addr_info"]}
        if settings.node_ip in addresses and "LOOPBACK" not in link["flags"]:
            return int(link["mtu"])
    return ETHERNET


def _links(space: str = "") -> set[str]:
    words = ["ip", *(["-n", space] if space else []), "-j", "link", "show"]
    return {link["ifname"] for link in json.loads(_run(words) or "[]")}


def _namespaces() -> set[str]:
    return {space["name"] for space in json.loads(_run(["ip", "-j", "netns", "list"]) or "[]")}


def _try(commands: list[str]) -> list[str]:
    try:
        _ip(commands)
    except WireError as error:
        return [f"{error}."]
    return []


def _ip(commands: list[str], space: str = "") -> None:
    if commands:
        where = ["-n", space] if space else []
        _run(["ip", *where, "-batch", "-"], "\n".join(commands) + "\n")


def _nft(script: str) -> None:
    _run(["nft", "-f", "-"], script)


def _set(setting: str, space: str = "", *, value: str = "1") -> None:
    where = ["ip", "netns", "exec", space] if space else []
    _run([*where, "tee", setting], value)


def _run(words: list[str], text: str = "") -> str:
    program = prerequisites.find(words[0]) or words[0]
    try:
        done = subprocess.run(
            [program, *words[1:]], input=text, text=True, capture_output=True, check=False
        )
    except OSError as error:
        raise WireError(error.errno, f"{program} could not be run: {error.strerror}") from None
    if done.returncode:
        raise WireError(None, f"{' '.join(words)}: {done.stderr.strip()}")
    return done.stdout
