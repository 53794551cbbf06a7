"""The control planes of a cluster, for people to see.

In:   a data directory and its settings.
Out:  lines for `kybern status`; none where there can be only one.
By:   cli/verbs/status.py.
"""

from __future__ import annotations

import http.client
import ssl
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from kybern.cli import api
from kybern.cluster import join_bundle

if TYPE_CHECKING:
    from kybern.cluster.directory import Directory
    from kybern.cluster.settings import Settings

ENDPOINTS = "/api/v1/namespaces/default/endpoints/kubernetes"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/"
LEADING = ("kube-controller-manager", "kube-scheduler")
TIMEOUT = 2.0


def rows(directory: Directory, chosen: Settings) -> list[tuple[str, ...]]:
    """Return who serves, with which health, and who leads."""
    if chosen.node_only or not join_bundle.is_shared(chosen.store):
        return []
    try:
        endpoints = api.get(directory, chosen, ENDPOINTS).json()
        leaders = [(name, _leader(directory, chosen, name)) for name in LEADING]
    except (OSError, ValueError):
        return []
    servers = [
        (address["ip"], port["port"])
        for subset in endpoints.get("subsets", ())
        for address in subset["addresses"]
        for port in subset["ports"]
    ]
    with ThreadPoolExecutor(len(servers) or 1) as threads:
        planes = list(threads.map(lambda server: _plane(directory, *server), servers))
    return [*planes, *(("leader", name, holder) for name, holder in leaders)]


def _leader(directory: Directory, chosen: Settings, name: str) -> str:
    spec = api.get(directory, chosen, LEASES + name).json().get("spec", {})
    holder: str = spec.get("holderIdentity") or "nobody"
    mine = directory.run / "identity"
    return "this one" if mine.exists() and mine.read_text() == holder else holder


def _plane(directory: Directory, ip: str, port: int) -> tuple[str, ...]:
    host = f"[{ip}]" if ":" in ip else ip
    return ("control plane", f"https://{host}:{port}", _health(directory, ip, port))


def _health(directory: Directory, host: str, port: int) -> str:
    context = ssl.create_default_context(cafile=str(directory.pki / "ca.crt"))
    context.load_cert_chain(directory.pki / "admin.crt", directory.pki / "admin.key")
    connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=context)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        return "ready" if answer.status == 200 else f"not ready: {answer.read(200).decode()}"
    except (OSError, http.client.HTTPException) as error:
        return f"does not answer: {error}"
    finally:
        connection.close()
