"""A machine becomes a node of a cluster somewhere else.

In:   where the cluster is, a bootstrap token, the node's name.
Out:  in the data directory: the authority's certificate, the kubelet's two certificates, and the
      kubeconfigs of the node's programs.
By:   `kybern agent` and `kybern up --nodes`.

A node holds nothing but what is its own. Its client certificate says `system:node:NAME`, it is
asked for with the token and approved by the cluster's controllers; proxy and DNS use the same one,
for which nodes are bound to the role `system:node-proxier` (`cmd/joining.py`). With that it asks
for the certificate its kubelet serves with.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from typing import TYPE_CHECKING, NamedTuple

from kybern.api import errors
from kybern.api.certificates.v1 import CertificateSigningRequest as Csr
from kybern.api.certificates.v1 import CertificateSigningRequestSpec
from kybern.api.core import nodes
from kybern.api.core.v1 import ConfigMap, Node
from kybern.api.meta.v1 import ObjectMeta
from kybern.client.config import ClientConfig
from kybern.client.rest import Client
from kybern.client.tls import TlsTransport
from kybern.client.transport import Unreachable
from kybern.cluster import known_servers, kubeconfigs, slots
from kybern.cluster.certificates import RENEW_BEFORE
from kybern.cluster.join_discovery import JoinError, discover
from kybern.cluster.settings import GRACE
from kybern.lib import pki
from kybern.lib.clock import SYSTEM

if TYPE_CHECKING:
    from kybern.cluster.directory import Directory

PATIENCE = 60.0  # seconds for a certificate to be approved and signed
LOOK_AGAIN = 5  # seconds; meanwhile the server we watch may have gone

CONFIG_NAMESPACE, CONFIG = "kube-system", "kybern-config"
"""The ConfigMap with the facts, for nodes."""
CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client-kubelet"
SERVING_SIGNER = "kubernetes.io/kubelet-serving"
NODES = "system:nodes"


class Facts(NamedTuple):
    """What the programs of a node have to know of their cluster."""

    service_cidr: str
    cluster_cidr: str
    cluster_domain: str
    dns_ip: str
    node_monitor_grace: float


async def join_node(
    server: str,
    token: str,
    ca_hash: str,
    node_name: str,
    directory: Directory,
    addresses: tuple[str, ...] = (),
) -> Facts:
    """Write what a node needs; done before, look whether it has to be renewed.

    Args:
        server: `https://HOST:PORT` of an API server.
        token: a bootstrap token; not looked at when the node has a certificate already.
        ca_hash: `sha256:…` of the authority's key; "" to rely on the token.
        node_name: the node's name.
        directory: where to write.
        addresses: at which the kubelet is reached; the machine's own when empty.

    Raises:
        JoinError: it cannot be done; the message says why.
    """
    if not _is_fresh(directory, "kubelet-client"):
        await _identify(server, token, ca_hash, node_name, directory)
    for name in ("kubelet-client", "proxy"):
        kubeconfigs.write_one(directory, server, name, "kubelet-client")
    transport = TlsTransport(
        _as_node(server, directory), servers=known_servers.load(directory, server)
    )
    client = Client(transport, SYSTEM)
    try:
        if not _is_fresh(directory, "kubelet"):
            await _certify_kubelet(
                client, node_name, addresses or (slots.node_address(),), directory
            )
        return await _facts(client)
    except Unreachable as error:
        raise JoinError(f"the API server at {server} does not answer: {error}.") from None
    except errors.ApiError as error:
        raise JoinError(f"the cluster does not take {node_name}: {error.message}.") from None
    finally:
        await transport.close()


async def _identify(
    server: str, token: str, ca_hash: str, node_name: str, directory: Directory
) -> None:
    """Get the certificate that says who we are."""
    pki_dir = directory.pki
    if (pki_dir / "kubelet-client.crt").exists() and _remaining(directory, "kubelet-client") > 0:
        config = _as_node(server, directory)  # it runs out soon: who has one may ask for the next
    else:
        authority = await discover(server, token, ca_hash)
        pki.save(pki_dir / "ca.crt", authority, 0o644)
        config = ClientConfig(server, ca=authority, token=token)
    transport = TlsTransport(config, servers=known_servers.load(directory, server))
    client = Client(transport, SYSTEM)
    try:
        if config.token:
            await _refuse_duplicate(client, node_name)
        subject = pki.Subject(f"system:node:{node_name}", (NODES,))
        pair = await request(client, subject, CLIENT_SIGNER, ("digital signature", "client auth"))
    except Unreachable as error:
        raise JoinError(f"the API server at {server} does not answer: {error}.") from None
    except errors.Unauthorized:
        raise JoinError(
            f"the cluster at {server} does not know the token {token[:6]}.…: it may have expired. "
            "Make a new one with `kybern token create` where the control plane runs."
        ) from None
    except errors.ApiError as error:
        raise JoinError(f"the cluster does not let {node_name} join: {error.message}.") from None
    finally:
        await transport.close()
    pair.save(pki_dir / "kubelet-client.crt", pki_dir / "kubelet-client.key")


async def _refuse_duplicate(client: Client, node_name: str) -> None:
    """Two machines of one name would take each other's pods."""
    try:
        node = await client.get(Node, node_name)
    except errors.NotFound:
        return
    if nodes.is_ready(node):
        raise JoinError(
            f"the cluster has a node {node_name} already, and it is Ready: choose another name "
            f"with --node-name, or remove that one with `kubectl delete node {node_name}` first."
        )


async def _certify_kubelet(
    client: Client, node_name: str, addresses: tuple[str, ...], directory: Directory
) -> None:
    subject = pki.Subject(f"system:node:{node_name}", (NODES,), (node_name,), addresses)
    pair = await request(client, subject, SERVING_SIGNER, ("digital signature", "server auth"))
    pair.save(directory.pki / "kubelet.crt", directory.pki / "kubelet.key")


async def request(
    client: Client, subject: pki.Subject, signer: str, usages: tuple[str, ...]
) -> pki.KeyPair:
    """Ask the cluster for a certificate and wait until it is there.

    Raises:
        JoinError: it was denied, or nobody signed it in time.
    """
    key = pki.make_key()
    pem = pki.make_request(subject, key)
    name = f"node-csr-{hashlib.sha256(pem).hexdigest()[:32]}"
    spec = CertificateSigningRequestSpec(
        request=base64.b64encode(pem).decode(), signerName=signer, usages=list(usages)
    )
    await client.create(Csr(metadata=ObjectMeta(name=name), spec=spec))
    try:
        async with asyncio.timeout(PATIENCE):
            return pki.KeyPair(await _signed(client, name), key)
    except TimeoutError:
        raise JoinError(
            f"nobody signed the certificate request {name} within {PATIENCE:.0f} s: approve it "
            f"with `kubectl certificate approve {name}`, or see whether the controllers "
            "csrapproving and csrsigning run; then try again."
        ) from None


async def _signed(client: Client, name: str) -> bytes:
    selector = f"metadata.name={name}"
    while True:
        watch = client.watch(Csr, field_selector=selector, initial_events=True, timeout=LOOK_AGAIN)
        async with watch:
            async for event in watch:
                if certificate := _certificate_in(event.object):
                    return certificate


def _certificate_in(csr: Csr) -> bytes:
    for condition in csr.status.conditions or ():
        if condition.type in ("Denied", "Failed"):
            why = condition.message or condition.reason or "no reason was given"
            raise JoinError(
                f"the certificate request {csr.metadata.name} was {condition.type.lower()}: {why}."
            )
    return base64.b64decode(csr.status.certificate or "")


async def _facts(client: Client) -> Facts:
    found = (await client.get(ConfigMap, CONFIG, CONFIG_NAMESPACE)).data or {}
    grace = found.get("node_monitor_grace")  # an older control plane does not say
    return Facts(
        found.get("service_cidr", ""),
        found.get("cluster_cidr", ""),
        found.get("cluster_domain", ""),
        found.get("dns_ip", ""),
        float(grace) if grace else GRACE,
    )


def _as_node(server: str, directory: Directory) -> ClientConfig:
    pair = pki.KeyPair.load(
        directory.pki / "kubelet-client.crt", directory.pki / "kubelet-client.key"
    )
    ca = (directory.pki / "ca.crt").read_bytes()
    return ClientConfig(server, ca=ca, certificate=pair.certificate, key=pair.key)


def _is_fresh(directory: Directory, name: str) -> bool:
    return _remaining(directory, name) > RENEW_BEFORE


def _remaining(directory: Directory, name: str) -> float:
    """Return for how many seconds a certificate is still good; 0 when there is none."""
    try:
        pair = pki.KeyPair.load(directory.pki / f"{name}.crt", directory.pki / f"{name}.key")
        _, _, until = pki.parse_certificate(pair.certificate)
        return until - SYSTEM.now() if pki.key_matches(pair) else 0.0
    except (OSError, pki.PkiError):
        return 0.0
