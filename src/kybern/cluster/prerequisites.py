"""What this machine must have for a node, and how to get what it lacks.

In:   nothing; the machine is looked at.
Out:  sentences, one per thing that is missing; none when all is well.
By:   `kybern up`.
"""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

CNI_DIRECTORIES = (Path("/opt/cni/bin"), Path("/usr/lib/cni"), Path("/usr/libexec/cni"))
SETTINGS6 = Path("/proc/sys/net/ipv6/conf")
CNI_PLUGINS = ("bridge", "host-local", "loopback", "portmap")
# without /usr/sbin in PATH, as Debian's `su` leaves it, these would not be found
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def find(program: str) -> str | None:
    """Return the path of a program, also when PATH leaves the system's directories out."""
    return shutil.which(program) or shutil.which(program, path=SYSTEM_PATH)


def cni_directory() -> Path | None:
    """Return the directory with the CNI plugins we use, or None."""
    for directory in CNI_DIRECTORIES:
        if all((directory / plugin).exists() for plugin in CNI_PLUGINS):
            return directory
    return None


def missing(*, node: bool, runtime: str = "") -> list[str]:
    """Return what keeps a cluster from starting here.

    Args:
        node: whether there is to be a node, or only a control plane.
        runtime: socket of the container runtime; "" when we start containerd ourselves.
    """
    if not node:
        return []
    if os.geteuid() != 0:
        return [
            "a node needs root, for containers and packet filtering: run it with sudo, or start "
            "only the control plane with --control-plane-only."
        ]
    programs = {"nft": "nftables", "ip": "iproute2"}
    if not runtime:
        programs |= {"containerd": "containerd", "runc": "runc"}
    packages = [package for program, package in programs.items() if find(program) is None]
    if cni_directory() is None:
        packages.append("containernetworking-plugins")
    if not packages:
        return (
            []
            if not runtime or listens(runtime)
            else [
                f"no container runtime listens at {runtime}: start it, name its socket with "
                "--runtime-endpoint, or let Kybern start a containerd of its own with "
                "--runtime-endpoint ''."
            ]
        )
    return [
        f"this machine lacks {_and(packages)}: install with `apt-get install "
        f"{' '.join(packages)}` (or `make setup` does), or start only the control plane with "
        "--control-plane-only."
    ]


def no_ipv6(settings: Path = SETTINGS6) -> str:
    """Return why a cluster of both IP families cannot be here, as a sentence; "" when it can."""
    advice = "or start without --dual-stack."
    if not settings.exists():
        return f"this machine's kernel has no IPv6: start it without ipv6.disable=1, {advice}"
    for name in ("all", "default"):
        if (settings / name / "disable_ipv6").read_text(encoding="ascii").strip() != "0":
            return (
                f"IPv6 is turned off on this machine: turn it on with `sysctl -w "
                f"net.ipv6.conf.{name}.disable_ipv6=0`, {advice}"
            )
    return ""


def listens(endpoint: str) -> bool:
    """Whether anybody takes connections at a socket, `/a/path` or `unix:///a/path`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(endpoint.removeprefix("unix://"))
        except OSError:
            return False
    return True


def _and(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
