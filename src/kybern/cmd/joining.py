"""What a machine needs to be a node, beside what kubeadm gives it (`cluster_info.py`).

In:   the settings of the cluster; certificate requests.
Out:  `kube-system/kybern-config`, which nodes may read; the right of nodes to be their own proxy
      and DNS; consent to the certificates their kubelets serve with.
By:   the control plane of `kybern up`.

Upstream leaves consent to serving certificates to whoever runs the cluster. Here a node may have
one for its own name and for addresses that no other node has.
"""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import re
from typing import TYPE_CHECKING

from kybern.api import codec
from kybern.api.certificates.v1 import CertificateSigningRequest as Csr
from kybern.api.certificates.v1 import CertificateSigningRequestCondition
from kybern.api.core.v1 import ConfigMap, Node
from kybern.api.errors import AlreadyExists, Conflict, NotFound
from kybern.api.meta.v1 import ObjectMeta
from kybern.api.rbac.v1 import (
    ClusterRole,
    ClusterRoleBinding,
    PolicyRule,
    Role,
    RoleBinding,
    RoleRef,
    Subject,
)
from kybern.cluster.join import CONFIG, CONFIG_NAMESPACE, NODES, SERVING_SIGNER, Facts
from kybern.lib import logs, pki
from kybern.lib.clock import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from kybern.client.informer import Informers
    from kybern.client.rest import Client
    from kybern.cluster.settings import Settings
    from kybern.lib.tasks import Tasks

log = logs.get("control-plane")

_RBAC = "rbac.authorization.k8s.io"
_RESERVED = re.compile(r"localhost|kubernetes(\..*)?")
_USAGES = {"digital signature", "key encipherment", "server auth"}


async def ensure(client: Client, settings: Settings) -> None:
    """Create what is missing, and bring the facts up to date."""
    for obj in _rights():
        with contextlib.suppress(AlreadyExists):
            await client.create(obj)
    facts = {name: str(getattr(settings, name)) for name in Facts._fields}
    metadata = ObjectMeta(name=CONFIG, namespace=CONFIG_NAMESPACE)
    try:
        await client.create(ConfigMap(metadata=metadata, data=facts))
    except AlreadyExists:
        await client.patch(ConfigMap, CONFIG, CONFIG_NAMESPACE, {"data": facts})


def _rights() -> Iterator[Role | RoleBinding | ClusterRole | ClusterRoleBinding]:
    nodes = [Subject(kind="Group", apiGroup=_RBAC, name=NODES)]
    metadata = ObjectMeta(name="kybern:node-config", namespace=CONFIG_NAMESPACE)
    read = PolicyRule(verbs=["get"], apiGroups=[""], resources=["configmaps"])
    read.resourceNames = [CONFIG]
    yield Role(metadata=metadata, rules=[read])
    yield RoleBinding(
        metadata=metadata,
        roleRef=RoleRef(apiGroup=_RBAC, kind="Role", name="kybern:node-config"),
        subjects=nodes,
    )
    yield ClusterRoleBinding(
        metadata=ObjectMeta(name="kybern:node-proxier"),
        roleRef=RoleRef(apiGroup=_RBAC, kind="ClusterRole", name="system:node-proxier"),
        subjects=nodes,
    )
    everywhere = {"": ["namespaces", "pods"], "networking.k8s.io": ["networkpolicies"]}
    yield ClusterRole(
        metadata=ObjectMeta(name="kybern:network-policy"),
        rules=[
            PolicyRule(verbs=["list", "watch"], apiGroups=[group], resources=resources)
            for group, resources in everywhere.items()
        ],
    )
    yield ClusterRoleBinding(
        metadata=ObjectMeta(name="kybern:network-policy"),
        roleRef=RoleRef(apiGroup=_RBAC, kind="ClusterRole", name="kybern:network-policy"),
        subjects=[*nodes, Subject(kind="User", apiGroup=_RBAC, name="system:kube-proxy")],
    )


def approve_serving(
    client: Client, informers: Informers, tasks: Tasks, service_cidrs: Sequence[str]
) -> None:
    """Say yes to what kubelets may have, whenever one asks."""
    nodes = informers.of(Node)

    def look(csr: Csr) -> None:
        if csr.spec.signerName == SERVING_SIGNER and not csr.status.conditions:
            problem = refusal(csr, nodes.list(), service_cidrs)
            if problem:
                log.warning("not approved", request=csr.metadata.name, why=problem)
            else:
                tasks.spawn(_approve(client, csr), name=f"approve {csr.metadata.name}")

    informers.of(Csr).on_change(look)


def refusal(csr: Csr, nodes: Iterable[Node], service_cidrs: Sequence[str]) -> str:
    """Return why a serving certificate must not be given; "" when it may be."""
    user, groups = csr.spec.username or "", csr.spec.groups or ()
    name = user.removeprefix("system:node:")
    if name == user or NODES not in groups:
        return f"{user} is no node"
    if not set(csr.spec.usages or ()) <= _USAGES:
        return "it is not only for serving"
    try:
        subject = pki.parse_request(base64.b64decode(csr.spec.request))
    except ValueError as error:
        return str(error)
    if subject.common_name != user or subject.organizations != (NODES,):
        return f"it is for {subject.common_name}"
    if _RESERVED.fullmatch(name):
        return f"{name} is a name of the API server"
    if subject.emails or subject.uris or set(subject.dns_names) - {name}:
        return "it has names that are not the node's"
    services = list(map(ipaddress.ip_network, service_cidrs))
    own = map(ipaddress.ip_address, subject.ip_addresses)
    if any(address in network for address in own for network in services):
        return "it has an address of Services"
    others = {
        address.address
        for node in nodes
        if node.metadata.name != name
        for address in node.status.addresses or ()
    }
    taken = others.intersection(subject.ip_addresses)
    return f"{sorted(taken)[0]} is another node's address" if taken else ""


async def _approve(client: Client, csr: Csr) -> None:
    mine = codec.clone(csr)
    mine.status.conditions = [
        CertificateSigningRequestCondition(
            type="Approved",
            status="True",
            reason="AutoApproved",
            message="Auto approving kubelet serving certificate of a node for itself.",
            lastUpdateTime=rfc3339(client.clock.now()),
        )
    ]
    with contextlib.suppress(Conflict, NotFound):  # somebody else was faster
        await client.update(mine, subresource="approval")
