"""Taking a node's pod network down.

In:   NetworkConfig.
Out:  no bridge, no packet filter table, no record of addresses in use.
By:   `kybern down`, after the last pod has ended. Standard library only, and no event loop.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from kybern.network import rules
from kybern.network.cni import nft_program

if TYPE_CHECKING:
    from kybern.network.config import NetworkConfig


def cleanup(config: NetworkConfig) -> list[str]:
    """Remove everything and return a sentence for each thing that could not be removed."""
    problems = []
    ip = shutil.which("ip") or "/usr/sbin/ip"
    for link in [*_ports_of(config.bridge), config.bridge]:
        if Path("/sys/class/net", link).exists():
            problems += _run([ip, "link", "delete", link])
    if nft := nft_program():
        problems += _run([nft, "-f", "-"], rules.remove_table(config))
    shutil.rmtree(config.state_dir, ignore_errors=True)
    return problems


def _ports_of(bridge: str) -> list[str]:
    """Return the interfaces on a bridge: the node's ends of the pods' cables."""
    ports = Path("/sys/class/net", bridge, "brif")
    return sorted(port.name for port in ports.iterdir()) if ports.is_dir() else []


def _run(command: list[str], text: str = "") -> list[str]:
    try:
        done = subprocess.run(command, input=text, text=True, capture_output=True, check=False)
    except OSError as error:
        return [f"{command[0]} could not be run: {error}."]
    return [f"{' '.join(command)}: {done.stderr.strip()}."] if done.returncode else []
