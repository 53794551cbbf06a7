"""A control plane in three processes which know each other only by the REST API."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.ports import free_port

from kybern.cli import api
from kybern.cluster import certificates, kubeconfigs
from kybern.cluster.directory import Directory
from kybern.cluster.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

COMPONENTS = ("apiserver", "scheduler", "controller-manager")


def wait_until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


class Parts:
    """Processes, each one component with its own flags."""

    def __init__(self, root: Path, **settings: Any) -> None:
        self.directory = Directory(root)
        usual = {"control_plane_only": True, "node_ip": "127.0.0.1"}
        self.settings = Settings(data_dir=str(root), port=free_port(), **{**usual, **settings})
        self.directory.make()
        certificates.ensure(self.directory, self.settings)
        kubeconfigs.write(self.directory, self.settings)
        self.ports = {name: free_port() for name in ("scheduler", "controller-manager")}
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def flags(self, name: str) -> list[str]:
        pki = self.directory.pki
        if name == "apiserver":
            return [
                f"--store=sqlite://{self.directory.store}",
                f"--secure-port={self.settings.port}",
                "--bind-address=127.0.0.1",
                f"--client-ca-file={pki}/ca.crt",
                f"--tls-cert-file={pki}/apiserver.crt",
                f"--tls-private-key-file={pki}/apiserver.key",
                f"--service-account-signing-key-file={pki}/sa.key",
                f"--service-account-key-file={pki}/sa.key",
                "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
                f"--service-cluster-ip-range={self.settings.service_cidr}",
                f"--kubelet-client-certificate={pki}/apiserver-kubelet-client.crt",
                f"--kubelet-client-key={pki}/apiserver-kubelet-client.key",
                f"--kubelet-certificate-authority={pki}/ca.crt",
                "--authorization-mode=Node,RBAC",
                "--enable-admission-plugins=NodeRestriction",
                "--allow-privileged=true",
            ]
        return [
            f"--kubeconfig={self.directory.kubeconfigs}/{name}.kubeconfig",
            f"--secure-port={self.ports[name]}",
            "--bind-address=127.0.0.1",
            "--leader-elect=true",
            "--leader-elect-retry-period=200ms",
        ]

    def start(self, name: str, *words: str) -> None:
        """Start a component, with its usual flags when there are no others."""
        module = f"kybern.cmd.{name.replace('-', '_')}"
        with (self.directory.logs / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                [sys.executable, "-m", module, *(words or self.flags(name))],
                stdout=log, stderr=log, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            )  # fmt: skip
        if name == "apiserver":
            wait_until(self._ready)

    def stop(self, name: str, number: int = signal.SIGTERM) -> int:
        process = self.running.pop(name)
        process.send_signal(number)
        return process.wait(15)

    def log(self, name: str) -> str:
        return (self.directory.logs / f"{name}.log").read_text()

    def _ready(self) -> bool:
        assert self.running["apiserver"].poll() is None, self.log("apiserver")
        try:
            return api.get(self.directory, self.settings, "/readyz", 2.0).status == 200
        except OSError:
            return False


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    found = Parts(tmp_path_factory.mktemp("swap"))
    try:
        for name in COMPONENTS:
            found.start(name)
        yield found
    finally:
        for name in reversed(list(found.running)):
            found.stop(name)
