"""The way to kubelets.

In:   a node's name.
Out:  an HTTP client of its kubelet: the address and port the node states, our certificate.
By:   the conversations with containers, and `nodes/proxy`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api import codec, errors
from kybern.api.core.v1 import Node

if TYPE_CHECKING:
    import ssl

    from kybern.apiserver.config import Config
    from kybern.lib.http.client import HttpClient
    from kybern.store.objects import Store

PREFERRED = ("InternalIP", "Hostname", "ExternalIP", "InternalDNS", "ExternalDNS")
DEFAULT_PORT = 10250
NODES = "/registry/minions/"


class Kubelets:
    """Clients of kubelets, one for each address."""

    def __init__(self, config: Config, store: Store) -> None:
        self._config = config
        self._store = store
        self._clients: dict[tuple[str, int], HttpClient] = {}
        self._context: ssl.SSLContext | None = None

    def client(self, node_name: str, port: int = 0) -> HttpClient:
        """Return a client of a node's kubelet.

        Raises:
            NotFound, InternalError: there is no such node, or it has no address.
        """
        entry = self._store.get(NODES + node_name)
        if entry is None:
            raise errors.NotFound(
                f'nodes "{node_name}" not found', {"name": node_name, "kind": "nodes"}
            )
        node = codec.decode(entry.held, Node)
        address = _address(node)
        if not address:
            raise errors.InternalError.of(
                f'no preferred addresses found; known addresses: [] of node "{node_name}"'
            )
        where = (address, port or _port(node))
        client = self._clients.get(where)
        if client is None:
            # Imported when the first kubelet is called: most servers start long before that.
            from kybern.lib.http.client import HttpClient

            host = f"[{where[0]}]" if ":" in where[0] else where[0]
            client = HttpClient(f"https://{host}:{where[1]}", ssl=self._tls())
            self._clients[where] = client
        return client

    async def close(self) -> None:
        """Break off every connection."""
        for client in self._clients.values():
            await client.close()
        self._clients.clear()

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            from kybern.lib import tls

            config = self._config
            ca = config.kubelet_ca.read_bytes() if config.kubelet_ca is not None else None
            self._context = tls.client_context(
                ca, config.kubelet_certificate, config.kubelet_key, verify=ca is not None
            )
        return self._context


def _address(node: Any) -> str:
    by_type = {a.type: a.address for a in reversed(node.status.addresses or ())}
    return next((by_type[kind] for kind in PREFERRED if by_type.get(kind)), "")


def _port(node: Any) -> int:
    endpoints = node.status.daemonEndpoints
    endpoint = endpoints.kubeletEndpoint if endpoints is not None else None
    return endpoint.Port if endpoint is not None and endpoint.Port else DEFAULT_PORT
