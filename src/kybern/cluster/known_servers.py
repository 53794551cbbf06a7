"""The API servers that a node knows: those it was told, and those the cluster names.

In:   the kubeconfig's server; the EndpointSlices of `default/kubernetes`.
Out:  `Servers` for the node's transports; `servers.json`, so that a node finds its cluster again
      when the server it joined through is gone for good.
By:   `cmd/node.py`, `join.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from kybern.api.discovery.v1 import EndpointSlice
from kybern.client.servers import Servers
from kybern.lib import logs, pki

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from kybern.client.informer import Informers
    from kybern.cluster.directory import Directory

log = logs.get("servers")

NAMESPACE, NAME = "default", "kubernetes"
SERVICE = "kubernetes.io/service-name"


def load(directory: Directory, first: str) -> Servers:
    """Return the servers to begin with."""
    servers = Servers((first,))
    try:
        servers.learn(msgspec.json.decode(_path(directory).read_bytes(), type=list[str]))
    except FileNotFoundError:
        pass
    except msgspec.DecodeError as error:
        log.warning("cannot read what servers there were", file=_path(directory), why=str(error))
    return servers


def follow(informers: Informers, servers: Servers, directory: Directory) -> None:
    """Learn of servers that come and go."""
    slices = informers.of(EndpointSlice)

    def look(changed: EndpointSlice) -> None:
        if not _is_ours(changed):
            return
        found = sorted(urls(each for each in slices.list(NAMESPACE) if _is_ours(each)))
        if found and servers.learn(found):
            pki.save(_path(directory), msgspec.json.encode(found), 0o644)
            log.info("API servers of the cluster", servers=" ".join(found))

    slices.on_change(look)


def urls(slices: Iterable[EndpointSlice]) -> set[str]:
    """Return where the servers are that these slices name."""
    return {
        f"https://[{ip}]:{port.port}" if ":" in ip else f"https://{ip}:{port.port}"
        for each in slices
        for port in each.ports or ()
        for endpoint in each.endpoints or ()
        for ip in endpoint.addresses
    }


def _is_ours(found: EndpointSlice) -> bool:
    metadata = found.metadata
    return metadata.namespace == NAMESPACE and (metadata.labels or {}).get(SERVICE) == NAME


def _path(directory: Directory) -> Path:
    return directory.root / "servers.json"
