"""Shims that containerd forgot."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from kybern.cluster import shims
from kybern.cluster.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

SLEEP = "import time; time.sleep(60)"
PARENT = "import os, time; os.fork() or os.execv('/bin/sleep', ['sleep', '60']); time.sleep(60)"


@contextlib.contextmanager
def process(name: str, socket: Path, program: str = SLEEP) -> Iterator[subprocess.Popen[bytes]]:
    """A process that looks like a shim."""
    arguments = [name, "-c", program, "-namespace", "k8s.io", "-address", str(socket)]
    with subprocess.Popen(arguments, executable=sys.executable) as started:
        try:
            yield started
        finally:
            started.kill()


def test_only_shims_of_this_socket_end(tmp_path: Path) -> None:
    socket, other = tmp_path / "containerd.sock", tmp_path / "other.sock"
    with (
        process("/usr/bin/containerd-shim-runc-v2", socket) as ours,
        process("/usr/bin/containerd-shim-runc-v2", other) as theirs,
        process("ctr", socket) as client,
    ):
        wait_until_named(ours, theirs, client)
        assert shims.left(socket) == [ours.pid]
        assert shims.end(socket) == [ours.pid]
        assert ours.wait(10) == -9
        assert theirs.poll() is None
        assert client.poll() is None
        assert shims.left(socket) == []


def test_what_runs_below_them_ends_too(tmp_path: Path) -> None:
    socket = tmp_path / "containerd.sock"
    with process("containerd-shim-runc-v2", socket, PARENT) as shim:
        wait_until_named(shim)
        assert wait_until(lambda: len(shims._below(shim.pid)) == 1, 10)
        assert wait_until(
            lambda: shims.left(socket) == [shim.pid], 10
        )  # the child has another name by now
        [below] = shims._below(shim.pid)
        assert shims.end(socket) == [shim.pid]
        assert shim.wait(10) == -9
        assert wait_until(lambda: not runs(below), 10)


def runs(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def wait_until_named(*started: subprocess.Popen[bytes]) -> None:
    """Wait until the processes have taken their names."""
    for each in started:
        command = Path(f"/proc/{each.pid}/cmdline")
        assert wait_until(lambda command=command: b"-address" in command.read_bytes(), 10)
