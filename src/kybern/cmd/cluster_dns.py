"""The Service under which pods find the cluster's DNS.

In:   where our DNS server listens.
Out:  `kube-system/kube-dns` with the ClusterIP that every resolv.conf names, and its endpoint.
By:   the control plane of `kybern up`. Upstream's names and labels, so that tools find it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api.core.v1 import Service, ServicePort, ServiceSpec
from kybern.api.discovery.v1 import Endpoint, EndpointConditions, EndpointPort, EndpointSlice
from kybern.api.errors import NotFound
from kybern.api.meta.v1 import ObjectMeta

if TYPE_CHECKING:
    from kybern.client.rest import Client
    from kybern.cluster.settings import Settings

NAMESPACE, NAME = "kube-system", "kube-dns"
PORTS = (("dns", "UDP"), ("dns-tcp", "TCP"))


async def ensure(client: Client, settings: Settings) -> None:
    """Create the Service, and bring its endpoint to where the server listens now."""
    try:
        await client.get(Service, NAME, NAMESPACE)
    except NotFound:
        await client.create(service(settings))
    wanted = endpoint_slice(settings)
    try:
        found = await client.get(EndpointSlice, f"{NAME}-node", NAMESPACE)
    except NotFound:
        await client.create(wanted)
        return
    wanted.metadata.resourceVersion = found.metadata.resourceVersion
    await client.update(wanted)


def service(settings: Settings) -> Service:
    """Return the Service."""
    labels = {
        "k8s-app": NAME,
        "kubernetes.io/cluster-service": "true",
        "kubernetes.io/name": "CoreDNS",
    }
    return Service(
        metadata=ObjectMeta(name=NAME, namespace=NAMESPACE, labels=labels),
        spec=ServiceSpec(
            clusterIP=settings.dns_ip,
            ports=[
                ServicePort(name=name, protocol=protocol, port=53, targetPort=settings.dns_port)
                for name, protocol in PORTS
            ],
        ),
    )


def endpoint_slice(settings: Settings) -> EndpointSlice:
    """Return the slice with the node's DNS server."""
    labels = {
        "kubernetes.io/service-name": NAME,
        "endpointslice.kubernetes.io/managed-by": "kybern",
    }
    return EndpointSlice(
        metadata=ObjectMeta(name=f"{NAME}-node", namespace=NAMESPACE, labels=labels),
        addressType="IPv4",
        endpoints=[
            Endpoint(
                addresses=[settings.node_ip],
                nodeName=settings.node_name,
                conditions=EndpointConditions(ready=True, serving=True, terminating=False),
            )
        ],
        ports=[
            EndpointPort(name=name, protocol=protocol, port=settings.dns_port)
            for name, protocol in PORTS
        ],
    )
