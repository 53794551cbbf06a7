"""The Service under which pods find the cluster's DNS.

In:   Nodes, each of which says at which port its DNS server listens.
Out:  `kube-system/kube-dns` with the ClusterIP that every resolv.conf names, and an endpoint for
      each node's server; pods ask that of their own node, and others while it is not there. The
      servers' right to read `kube-system/kybern-dns`.
By:   the node (`publish`) and the control plane (`Keeper`) of `kybern up`. Upstream's names and
      labels, so that tools find it.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from kybern.api import codec
from kybern.api.core import nodes as ask
from kybern.api.core.v1 import Node, Service, ServicePort, ServiceSpec
from kybern.api.discovery.v1 import (
    Endpoint,
    EndpointConditions,
    EndpointHints,
    EndpointPort,
    EndpointSlice,
    ForNode,
)
from kybern.api.errors import AlreadyExists, NotFound
from kybern.api.meta.v1 import ObjectMeta, OwnerReference
from kybern.api.rbac.v1 import PolicyRule, Role, RoleBinding, RoleRef, Subject
from kybern.controllers.runtime.controller import Loop

if TYPE_CHECKING:
    from kybern.client.informer import Informers
    from kybern.client.rest import Client
    from kybern.cluster.settings import Settings
    from kybern.controllers.runtime.reconcile import Outcome
    from kybern.lib.tasks import Tasks

NAMESPACE, NAME = "kube-system", "kube-dns"
CONFIG, CONFIG_ROLE = "kybern-dns", "kybern:dns-config"
READERS = (
    ("Group", "system:nodes"),
    ("User", "system:kube-proxy"),  # the first node's DNS server is that user
    ("User", "system:kube-dns"),
)
_RBAC = "rbac.authorization.k8s.io"
PORTS = (("dns", "UDP"), ("dns-tcp", "TCP"))
ANNOTATION = "kybern.io/dns-port"  # on a Node: where its DNS server listens


def publish(client: Client, informers: Informers, tasks: Tasks, name: str, port: int) -> None:
    """Say on the Node of this name where its DNS server listens, whenever it does not say so."""

    def look(node: Node) -> None:
        if node.metadata.name == name and _port(node) != port:
            tasks.spawn(_annotate(client, name, port), name=f"annotate node {name}")

    informers.of(Node).on_change(look)


async def _annotate(client: Client, name: str, port: int) -> None:
    body = {"metadata": {"annotations": {ANNOTATION: str(port)}}}
    with contextlib.suppress(NotFound):  # it was deleted in between
        await client.patch(Node, name, "", body)


class Keeper:
    """Keeps the Service and its endpoints as the Nodes say."""

    def __init__(self, client: Client, informers: Informers, settings: Settings) -> None:
        self._client = client
        self._settings = settings
        self._nodes = informers.of(Node)
        self._loop: Loop[str] = Loop("cluster-dns", self.reconcile, after=(self._nodes,))
        self._nodes.on(add=self._seen, update=self._changed, delete=self._seen)

    async def run(self) -> None:
        """Work for ever."""
        for obj in rights():
            with contextlib.suppress(AlreadyExists):
                await self._client.create(obj)
        await self._loop.run()

    async def reconcile(self, name: str) -> Outcome:
        """Bring the endpoint of one node to where its server listens now."""
        node = self._nodes.get("", name)
        wanted = endpoint_slice(node) if node is not None else None
        if wanted is None:
            with contextlib.suppress(NotFound):
                await self._client.delete(EndpointSlice, slice_name(name), NAMESPACE)
            return None
        await self._ensure_service()
        try:
            await self._client.create(wanted)
        except AlreadyExists:
            # a merge patch replaces lists as a whole
            await self._client.patch(
                EndpointSlice, slice_name(name), NAMESPACE, codec.to_tree(wanted)
            )
        return None

    async def _ensure_service(self) -> None:
        try:
            await self._client.get(Service, NAME, NAMESPACE)
        except NotFound:
            with contextlib.suppress(AlreadyExists):
                await self._client.create(service(self._settings.dns_ip))

    def _seen(self, node: Node) -> None:
        self._loop.add(node.metadata.name or "")

    def _changed(self, before: Node, node: Node) -> None:
        if _shown(before) != _shown(node):
            self._seen(node)


def rights() -> tuple[Role, RoleBinding]:
    """Return the role of those who read the servers' configuration, and who has it."""
    metadata = ObjectMeta(name=CONFIG_ROLE, namespace=NAMESPACE)
    read = PolicyRule(verbs=["get", "list", "watch"], apiGroups=[""], resources=["configmaps"])
    read.resourceNames = [CONFIG]
    binding = RoleBinding(
        metadata=metadata,
        roleRef=RoleRef(apiGroup=_RBAC, kind="Role", name=CONFIG_ROLE),
        subjects=[Subject(kind=kind, apiGroup=_RBAC, name=name) for kind, name in READERS],
    )
    return Role(metadata=metadata, rules=[read]), binding


def service(address: str) -> Service:
    """Return the Service."""
    labels = {
        "k8s-app": NAME,
        "kubernetes.io/cluster-service": "true",
        "kubernetes.io/name": "CoreDNS",
    }
    return Service(
        metadata=ObjectMeta(name=NAME, namespace=NAMESPACE, labels=labels),
        spec=ServiceSpec(
            clusterIP=address,
            trafficDistribution="PreferSameNode",
            ports=[
                ServicePort(name=name, protocol=protocol, port=53, targetPort=name)
                for name, protocol in PORTS
            ],
        ),
    )


def slice_name(node_name: str) -> str:
    """Return the name of the slice with a node's server."""
    return f"{NAME}-{node_name}"


def endpoint_slice(node: Node) -> EndpointSlice | None:
    """Return the slice with a node's DNS server; None when it has none."""
    port, address = _port(node), ask.address(node, "InternalIP")
    if not port or not address:
        return None
    name, ready = node.metadata.name or "", ask.is_ready(node)
    labels = {
        "kubernetes.io/service-name": NAME,
        "endpointslice.kubernetes.io/managed-by": "kybern",
    }
    # With the Node its endpoint goes, even if nobody is there to see the Node go.
    owner = OwnerReference(apiVersion="v1", kind="Node", name=name, uid=node.metadata.uid or "")
    return EndpointSlice(
        metadata=ObjectMeta(
            name=slice_name(name), namespace=NAMESPACE, labels=labels, ownerReferences=[owner]
        ),
        addressType="IPv6" if ":" in address else "IPv4",
        endpoints=[
            Endpoint(
                addresses=[address],
                nodeName=name,
                conditions=EndpointConditions(ready=ready, serving=ready, terminating=False),
                hints=EndpointHints(forNodes=[ForNode(name=name)]),
            )
        ],
        ports=[EndpointPort(name=kind, protocol=protocol, port=port) for kind, protocol in PORTS],
    )


def _shown(node: Node) -> tuple[int, str | None, bool, str | None]:
    """Return what the endpoint depends on."""
    return _port(node), ask.address(node, "InternalIP"), ask.is_ready(node), node.metadata.uid


def _port(node: Node) -> int:
    text = (node.metadata.annotations or {}).get(ANNOTATION, "")
    return int(text) if text.isdecimal() else 0
