"""An etcd of its own for tests: one member or several, with TLS or without.

Debian's `etcd`, on free ports of the loopback, with its data on tmpfs where there is one. For
everybody: `with etcd() as members: EtcdEngine.open(members.address)`.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from tests.ports import free_port

from kybern.lib import pki
from kybern.store.kv.etcd.address import Address

if TYPE_CHECKING:
    import signal
    from collections.abc import Iterator

ETCD = "/usr/bin/etcd"
START_SECONDS = 60
MEMORY = Path("/dev/shm")


class Member:
    """One process."""

    def __init__(self, command: list[str], client_port: int, health_port: int, log: Path) -> None:
        self.command = command
        self.port = client_port
        self.log = log
        self._health_port = health_port
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the process; `wait` until it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)

    def wait(self) -> None:
        """Wait until the member has a leader."""
        until = time.monotonic() + START_SECONDS
        while not self.healthy():
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()[-2000:]
            assert time.monotonic() < until, self.log.read_text()[-2000:]
            time.sleep(0.005)

    def healthy(self) -> bool:
        url = f"http://127.0.0.1:{self._health_port}/health"
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=1) as answer:
            return b"true" in answer.read()
        return False

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it at once, as a loss of power does; its data stays."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


class Members:
    """An etcd that runs."""

    def __init__(self, members: list[Member], directory: Path, tls: bool) -> None:
        self.members = members
        self.directory = directory
        self.tls = tls

    @property
    def address(self) -> Address:
        """Where it is, for the engine."""
        names = tuple(member.address for member in self.members)
        if not self.tls:
            return Address(names)
        files = {f"{name}file": self.directory / f"client.{name}" for name in ("cert", "key")}
        return Address(names, tls=True, cafile=self.directory / "ca.crt", **files)

    @property
    def url(self) -> str:
        """The same for `--store`."""
        address = self.address
        files = [
            f"{name}={path}"
            for name in ("cafile", "certfile", "keyfile")
            if (path := getattr(address, name))
        ]
        return f"etcd://{address}" + (f"?{'&'.join(files)}" if files else "")

    def start(self) -> None:
        """Start all members which do not run, and wait for them."""
        for member in self.members:
            if member.process is None:
                member.start()
        for member in self.members:
            member.wait()

    def kill(self) -> None:
        for member in self.members:
            member.kill()


@contextlib.contextmanager
def etcd(
    count: int = 1,
    *,
    tls: bool = False,
    where: Path | None = None,
    patient: bool = False,
    wait: bool = True,
) -> Iterator[Members]:
    """Run an etcd, with its data in `where`; nothing is left of it afterwards.

    `patient`: with etcd's own idea of how soon a leader is lost; else a lone member starts sooner.
    Without `wait` it is only begun: `start` waits then.
    """
    if where is None and MEMORY.is_dir():
        where = MEMORY
    directory = Path(tempfile.mkdtemp(prefix="kybern-etcd-", dir=where))
    if tls:
        make_certificates(directory)
    members = Members(_members(directory, count, tls, patient or count > 1), directory, tls)
    try:
        for member in members.members:
            member.start()
        if wait:
            members.start()
        yield members
    finally:
        members.kill()
        shutil.rmtree(directory)


class Spare:
    """One etcd after the other; the next one starts while one is in use."""

    def __init__(self) -> None:
        self._next = contextlib.ExitStack()
        self._members: Members | None = None

    @contextlib.contextmanager
    def etcd(self) -> Iterator[Members]:
        members = self._members or self._begin()
        with self._next.pop_all():
            self._begin()
            members.start()
            yield members

    def close(self) -> None:
        self._next.close()

    def _begin(self) -> Members:
        self._members = self._next.enter_context(etcd(wait=False))
        return self._members


def make_certificates(directory: Path) -> None:
    """Write an authority, a server's and a client's certificate."""
    now = time.time()
    ca = pki.make_ca("etcd-ca", now=now)
    ca.save(directory / "ca.crt", directory / "ca.key")
    server = pki.Subject("etcd", dns_names=("localhost",), ip_addresses=("127.0.0.1",))
    for name, subject in (("server", server), ("client", pki.Subject("kybern"))):
        pair = pki.issue(ca, subject, now=now, server=name == "server", client=True)
        # The names are those of the options: certfile, keyfile.
        pair.save(directory / f"{name}.cert", directory / f"{name}.key")


def _members(directory: Path, count: int, tls: bool, patient: bool) -> list[Member]:
    ports: list[int] = []
    while len(ports) < 3 * count:
        if (port := free_port()) not in ports:
            ports.append(port)
    scheme = "https" if tls else "http"
    peers = [f"{scheme}://127.0.0.1:{ports[count + number]}" for number in range(count)]
    cluster = ",".join(f"m{number}={peer}" for number, peer in enumerate(peers))
    members = []
    for number in range(count):
        client, health = ports[number], ports[2 * count + number]
        command = [
            ETCD, f"--name=m{number}", f"--data-dir={directory}/m{number}",
            f"--listen-client-urls={scheme}://127.0.0.1:{client}",
            f"--advertise-client-urls={scheme}://127.0.0.1:{client}",
            f"--listen-peer-urls={peers[number]}",
            f"--initial-advertise-peer-urls={peers[number]}",
            f"--initial-cluster={cluster}",
            f"--listen-metrics-urls=http://127.0.0.1:{health}",
            "--logger=zap", "--log-level=warn", "--max-request-bytes=10000000",
            *(() if patient else ("--heartbeat-interval=10", "--election-timeout=100")),
            *(_tls(directory) if tls else ()),
        ]  # fmt: skip
        members.append(Member(command, client, health, directory / f"m{number}.log"))
    return members


def _tls(directory: Path) -> list[str]:
    flags = []
    for peer in ("", "peer-"):
        flags += [
            f"--{peer}cert-file={directory}/server.cert",
            f"--{peer}key-file={directory}/server.key",
            f"--{peer}trusted-ca-file={directory}/ca.crt",
            f"--{peer}client-cert-auth",
        ]
    return flags
