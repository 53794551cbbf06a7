"""The network configuration the container runtime reads.

In:   NetworkConfig.
Out:  one .conflist file, and the few kernel settings routing needs.
By:   router.py, when the node's part of the network is known: the runtime notices new files.

The bridge plugin gives each pod an address from the node's range and a way out through the bridge.
Masquerading and host ports are not its business here: plugins would start several processes per
pod for them. rules.py does both with sets in the kernel. Where there is no `nft` program, the
plugins do it after all.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kybern.lib import forwarding, logs

if TYPE_CHECKING:
    from kybern.network.config import NetworkConfig

log = logs.get("network")
FILE = "10-kybern.conflist"
SUFFIXES = (".conf", ".conflist", ".json")  # what the runtime reads
BRIDGE_FILTER = Path("/proc/sys/net/bridge")  # there with br_netfilter


def conflist(config: NetworkConfig, *, with_nft: bool = True) -> dict[str, Any]:
    """Return the configuration as CNI 0.4 has it."""
    networks = [config.pod_cidr, *([config.pod_cidr6] if config.pod_cidr6 else [])]
    bridge: dict[str, Any] = {
        "type": "bridge",
        "bridge": config.bridge,
        "isGateway": True,
        "forceAddress": True,  # after a store in memory was lost, the node may get another part
        "hairpinMode": True,
        "ipMasq": not with_nft,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": network}] for network in networks],
            "routes": [{"dst": "::/0" if ":" in n else "0.0.0.0/0"} for n in networks],
            "dataDir": str(config.state_dir),
        },
    }
    if config.mtu:
        bridge["mtu"] = config.mtu
    plugins = [bridge]
    if not with_nft:
        plugins.append({"type": "portmap", "capabilities": {"portMappings": True}})
    return {"cniVersion": "0.4.0", "name": f"kybern-{config.bridge}", "plugins": plugins}


def prepare(config: NetworkConfig) -> None:
    """Make the directories and let the kernel forward.

    Raises:
        OSError: a directory cannot be made, a setting not be changed.
    """
    config.conf_dir.mkdir(parents=True, exist_ok=True)
    config.state_dir.mkdir(parents=True, exist_ok=True)
    for version in (4, 6) if config.cluster_cidr6 else (4,):
        _allow_forwarding(version)


def configure(config: NetworkConfig) -> None:
    """Write the configuration, unless it is there.

    Raises:
        OSError: the file cannot be written.
    """
    text = json.dumps(conflist(config, with_nft=has_nft()), indent=2) + "\n"
    place = config.conf_dir / FILE
    if not place.exists() or place.read_text(encoding="utf-8") != text:
        fresh = config.conf_dir.parent / f"{FILE}.tmp"  # the runtime reads what is in conf_dir
        fresh.write_text(text, encoding="utf-8")
        fresh.rename(place)
        with place.open("r+", encoding="utf-8") as file:
            file.write(text)  # containerd looks when a file is written, not when one appears


def unconfigure(config: NetworkConfig) -> None:
    """Remove the configuration."""
    (config.conf_dir / FILE).unlink(missing_ok=True)


def foreign(config: NetworkConfig) -> str:
    """Return the name of a configuration that is not ours; "" when there is none."""
    others = (
        place.name
        for place in config.conf_dir.iterdir()
        if place.suffix in SUFFIXES and place.name != FILE
    )
    return min(others, default="")


def has_nft() -> bool:
    """Say whether the packet filter can be changed directly."""
    return nft_program() != ""


def nft_program() -> str:
    """Return the path of nft; "" when it is not installed."""
    return shutil.which("nft") or shutil.which("nft", path="/usr/sbin:/sbin") or ""


def _allow_forwarding(version: int) -> None:
    forwarding.enable(version)
    # Without this, the answer of a pod reached through a service on the same bridge would take the
    # short way, past the translation back.
    if not BRIDGE_FILTER.exists() and (modprobe := shutil.which("modprobe")):
        subprocess.run([modprobe, "-q", "br_netfilter"], check=False, capture_output=True)
    try:
        forwarding.see_bridged(version)
    except FileNotFoundError as error:
        log.warning(
            "bridged packets do not pass the packet filter; pods may not reach services whose "
            "endpoints are on the same node", missing=error.filename,
        )  # fmt: skip
