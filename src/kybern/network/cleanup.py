"""Taking a node's pod network down.

In:   NetworkConfig.
Out:  no bridge, no tunnel, no route, no packet filter table, no record of addresses in use.
By:   `kybern down`, after the last pod has ended. Standard library only, and no event loop.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

from kybern.network import rules
from kybern.network.cni import nft_program
from kybern.network.kernel import PROTOCOL

if TYPE_CHECKING:
    from kybern.network.config import NetworkConfig


def cleanup(config: NetworkConfig) -> list[str]:
    """Remove everything and return a sentence for each thing that could not be removed."""
    problems = []
    links = _links()
    for link in (*_ports_of(config.bridge, links), config.bridge, config.tunnel):
        if link in links:
            problems += _run(["ip", "link", "delete", link])
    problems += _run(["ip", "-force", "-batch", "-"], _routes_to_delete(config))
    if nft := nft_program():
        script = rules.remove_table(config) + rules.no_table("inet", config.policy_table)
        problems += _run([nft, "-f", "-"], script)
    shutil.rmtree(config.state_dir, ignore_errors=True)
    return problems


def _links() -> dict[str, str]:
    """Return the devices of this network namespace, each with the bridge it is on."""
    return {link["ifname"]: link.get("master", "") for link in _ask("link", "show")}


def _ports_of(bridge: str, links: dict[str, str]) -> list[str]:
    """Return the interfaces on a bridge: the node's ends of the pods' cables."""
    return sorted(name for name, master in links.items() if master == bridge)


def _routes_to_delete(config: NetworkConfig) -> str:
    show = ("route", "show", "table", "main", "proto", PROTOCOL)
    ours = [*_ask("-4", *show), *(_ask("-6", *show) if config.cluster_cidr6 else [])]
    networks = (entry["dst"] for entry in ours)
    return "".join(
        f"route delete {network} proto {PROTOCOL}\n"
        for network in networks
        if config.holds(network)
    )


def _ask(*words: str) -> list[dict[str, Any]]:
    done = subprocess.run([_ip(), "-j", *words], text=True, capture_output=True, check=False)
    found: list[dict[str, Any]] = json.loads(done.stdout or "[]")
    return found


def _ip() -> str:
    return shutil.which("ip") or "/usr/sbin/ip"


def _run(command: list[str], text: str = "") -> list[str]:
    command = [_ip() if command[0] == "ip" else command[0], *command[1:]]
    try:
        done = subprocess.run(command, input=text, text=True, capture_output=True, check=False)
    except OSError as error:
        return [f"{command[0]} could not be run: {error}."]
    return [f"{' '.join(command)}: {done.stderr.strip()}."] if done.returncode else []
