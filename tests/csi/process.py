"""The driver as a process of its own, for stories; what it was asked is read from its notes."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.csi.options import Options

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]


class DriverProcess:
    """A driver on a node of a story's cluster; start and stop it as often as you like."""

    def __init__(self, kubelet: Path, data: Path, name: str, node: str, *words: str) -> None:
        """Take the kubelet's directory, that of the driver, and further options."""
        socket = kubelet / "plugins" / name / "csi.sock"
        self.options = Options(name=name, socket=socket, data=data, node=node, kubelet=kubelet)
        self._words = words
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it registers with the kubelet."""
        options = self.options
        argv = [
            sys.executable, "-m", "tests.csi.driver", "--name", options.name,
            "--socket", str(options.socket), "--data", str(options.data),
            "--node", options.node, "--kubelet", str(options.kubelet), *self._words,
        ]  # fmt: skip
        options.data.mkdir(parents=True, exist_ok=True)
        with (options.data / "log").open("ab") as log:
            self._process = subprocess.Popen(argv, cwd=ROOT, stdout=log, stderr=log)

    def stop(self) -> None:
        """Stop it as a pod that is deleted."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    def kill(self) -> None:
        """Let it die without a chance to take its sockets away."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(30)
        self._process = None

    def fail(self, faults: dict[str, dict[str, Any]]) -> None:
        """Have calls fail from now on; see failing.py."""
        part = self.options.faults.with_suffix(".part")
        part.write_text(json.dumps(faults), encoding="utf-8")
        part.rename(self.options.faults)

    def calls(self, *methods: str) -> list[dict[str, Any]]:
        """Return what it was asked so far: `method`, `request`, `code` or ""."""
        with contextlib.suppress(FileNotFoundError):
            lines = self.options.calls.read_text(encoding="utf-8").splitlines()
            found = [json.loads(line) for line in lines]
            return [each for each in found if not methods or each["method"] in methods]
        return []

    def state(self) -> dict[str, Any]:
        """Return what it has: `volumes` and `snapshots`."""
        path = self.options.data / "state.json"
        if not path.exists():
            return {"volumes": {}, "snapshots": {}}
        tree: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return tree


@contextlib.contextmanager
def driver(kubelet: Path, data: Path, name: str, node: str, *words: str) -> Iterator[DriverProcess]:
    """Have a driver on a node, while in the block."""
    process = DriverProcess(kubelet, data, name, node, *words)
    process.start()
    try:
        yield process
    finally:
        process.stop()
