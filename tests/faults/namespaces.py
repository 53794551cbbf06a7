"""Three members of etcd on machines of their own, as far as the network is concerned.

In:   nothing.
Out:  members in network namespaces on one bridge; ways to cut them off.
By:   the tests that break etcd.

No TLS here: the certificates of the tests are for the loopback.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from tests.contracts.store.etcd_fixture import ETCD, MEMORY, Member, Members

if TYPE_CHECKING:
    from collections.abc import Iterator

NETWORK = f"10.209.{os.getpid() % 250}"  # so that several runs do not meet
CLIENTS, PEERS, HEALTH = 2379, 2380, 2381


class Machine(Member):
    """A member with an address of its own."""

    def __init__(self, number: int, count: int, directory: Path) -> None:
        self.name = f"kybf{os.getpid()}-{number}"
        self.host = host(number)
        here = f"http://{self.host}"
        cluster = ",".join(f"m{each}=http://{host(each)}:{PEERS}" for each in range(count))
        command = [
            "ip", "netns", "exec", self.name,
            ETCD, f"--name=m{number}", f"--data-dir={directory}/m{number}",
            f"--listen-client-urls={here}:{CLIENTS}",
            f"--advertise-client-urls={here}:{CLIENTS}",
            f"--listen-peer-urls={here}:{PEERS}",
            f"--initial-advertise-peer-urls={here}:{PEERS}",
            f"--initial-cluster={cluster}",
            f"--listen-metrics-urls={here}:{HEALTH}",
            "--logger=zap", "--log-level=warn",
            # Elections after half a second: enough for a loaded machine, quick enough for a test.
            "--heartbeat-interval=50", "--election-timeout=500",
        ]  # fmt: skip
        super().__init__(command, CLIENTS, HEALTH, directory / f"m{number}.log")

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def healthy(self) -> bool:
        with contextlib.suppress(OSError):
            return b"true" in self._ask("/health")
        return False

    def leads(self) -> bool:
        """Whether it thinks that it is the leader."""
        with contextlib.suppress(OSError):
            return b"\netcd_server_is_leader 1\n" in self._ask("/metrics")
        return False

    def cut_off(self, others: list[Machine]) -> None:
        """Let nothing through between this machine and others; clients still reach it."""
        for other in others:
            if other is not self:
                ip("-n", self.name, "route", "add", "blackhole", f"{other.host}/32")

    def heal(self) -> None:
        """Let everything through."""
        ip("-n", self.name, "route", "flush", "type", "blackhole")

    def _ask(self, path: str) -> bytes:
        url = f"http://{self.host}:{self._health_port}{path}"
        with urllib.request.urlopen(url, timeout=1) as answer:
            return answer.read()


@contextlib.contextmanager
def machines(count: int = 3) -> Iterator[Members]:
    """Run an etcd of several machines; nothing is left of it afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="kybern-etcd-", dir=MEMORY))
    placed = [Machine(number, count, directory) for number in range(count)]
    members = Members([*placed], directory, tls=False)
    bridge = f"kybf{os.getpid()}"
    with contextlib.ExitStack() as undo:
        undo.callback(shutil.rmtree, directory)
        ip("link", "add", bridge, "type", "bridge")
        undo.callback(ip, "link", "del", bridge)
        ip("addr", "add", f"{NETWORK}.254/24", "dev", bridge)
        ip("link", "set", bridge, "up")
        for number, member in enumerate(placed):
            ip("netns", "add", member.name)
            undo.callback(ip, "netns", "del", member.name)
            wire = f"{bridge}v{number}"
            ip("link", "add", wire, "type", "veth", "peer", "name", "eth0", "netns", member.name)
            ip("link", "set", wire, "master", bridge, "up")
            inside = ("-n", member.name)
            ip(*inside, "addr", "add", f"{member.host}/24", "dev", "eth0")
            ip(*inside, "link", "set", "lo", "up")
            ip(*inside, "link", "set", "eth0", "up")
        undo.callback(members.kill)
        members.start()
        yield members


def host(number: int) -> str:
    return f"{NETWORK}.{number + 1}"


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
