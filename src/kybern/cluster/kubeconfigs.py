"""Kubeconfigs: how each program, and the user, reaches the API server.

In:   the certificates in `pki/`.
Out:  `admin.kubeconfig` for the user, with everything in it so that it can be copied; one per
      component in `kubeconfigs/`.
By:   `kybern up`.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import msgspec

from kybern.lib import pki

if TYPE_CHECKING:
    from pathlib import Path

    from kybern.cluster.directory import Directory
    from kybern.cluster.settings import Settings

COMPONENTS = ("controller-manager", "scheduler", "kubelet-client", "proxy")


def write(directory: Directory, settings: Settings) -> None:
    """Write the kubeconfig of everyone who has a certificate."""
    if not settings.node_only:
        _write(directory, settings.server, "admin", "admin", directory.admin_kubeconfig)
    for name in COMPONENTS:
        if (directory.pki / f"{name}.crt").exists():
            write_one(directory, settings.server, name, name)


def write_one(directory: Directory, server: str, name: str, certificate: str) -> None:
    """Write the kubeconfig of one component, with the certificate of that name in `pki/`."""
    path = directory.kubeconfigs / f"{name}.kubeconfig"
    _write(directory, server, name, certificate, path)


def _write(directory: Directory, server: str, name: str, certificate: str, path: Path) -> None:
    def data(file: str) -> str:
        return base64.b64encode((directory.pki / file).read_bytes()).decode()

    cluster = {"server": server, "certificate-authority-data": data("ca.crt")}
    user = {
        "client-certificate-data": data(f"{certificate}.crt"),
        "client-key-data": data(f"{certificate}.key"),
    }
    tree = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "kybern", "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": "kybern", "context": {"cluster": "kybern", "user": name}}],
        "current-context": "kybern",
    }
    pki.save(path, msgspec.yaml.encode(tree), 0o600)
