"""The DNS server alone, asked over the network about what an API server knows."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING

import pytest
from tests.ports import free_port
from tests.swap.conftest import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.swap.conftest import Parts

pytestmark = pytest.mark.slow
A = 1


def ask(port: int, name: str) -> tuple[int, list[str]]:
    """Return the response code and the addresses of a name."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    query = struct.pack(">HHHHHH", 4711, 0x0100, 1, 0, 0, 0) + labels + b"\0" + b"\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(2)
        sock.sendto(query, ("127.0.0.1", port))
        answer = sock.recv(4096)
    count = struct.unpack(">H", answer[6:8])[0]
    found, at = [], len(query)
    for _ in range(count):
        kind, length = struct.unpack(">HxxxxxxH", answer[at + 2 : at + 12])
        if kind == A:
            found.append(socket.inet_ntoa(answer[at + 12 : at + 16]))
        at += 12 + length
    return answer[3] & 0xF, found


@pytest.fixture
def server(parts: Parts) -> Iterator[tuple[int, int]]:
    port, health = free_port(), free_port()
    with (parts.directory.logs / "dns.log").open("ab") as log:
        process = subprocess.Popen(
            [
                sys.executable, "-m", "kybern.cmd.dns",
                f"--kubeconfig={parts.directory.admin_kubeconfig}", f"--port={port}",
                "--upstream=127.0.0.1:9", f"--metrics-bind-address=127.0.0.1:{health}",
            ],
            stdout=log, stderr=log, env=os.environ,
        )  # fmt: skip
    try:
        yield port, health
    finally:
        process.terminate()
        assert process.wait(10) == 0, parts.log("dns")


def test_the_api_servers_own_name_is_answered(server: tuple[int, int]) -> None:
    port, health = server

    def ready() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{health}/readyz", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    wait_until(ready)
    assert ask(port, "kubernetes.default.svc.cluster.local") == (0, ["10.96.0.1"])
    assert ask(port, "nobody.default.svc.cluster.local") == (3, [])
    with urllib.request.urlopen(f"http://127.0.0.1:{health}/metrics", timeout=2) as answer:
        assert b"process_" in answer.read()


def test_a_taken_port_is_one_sentence(parts: Parts) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        done = subprocess.run(
            [
                sys.executable, "-m", "kybern.cmd.dns",
                f"--kubeconfig={parts.directory.admin_kubeconfig}",
                f"--port={taken.getsockname()[1]}", "--metrics-bind-address=127.0.0.1:0",
            ],
            capture_output=True, text=True, timeout=20, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("cannot listen on 127.0.0.1, port")
    assert "Traceback" not in done.stderr
