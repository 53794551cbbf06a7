"""What a machine finds that joins with a bootstrap token: where the cluster is, and its rights.

In:   the cluster's authority and the address of its API server.
Out:  `kube-public/cluster-info`, which everybody may read and the bootstrap signer signs; the
      bindings that let the group of bootstrap tokens ask for a node's certificate, have it approved
      and renew it.
By:   the control plane of `kybern up`. Names are kubeadm's, whose part this is with upstream.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import msgspec

from kybern.api.core import bootstrap_tokens as tokens
from kybern.api.core.v1 import ConfigMap
from kybern.api.errors import AlreadyExists
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

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kybern.client.rest import Client

GROUP = "system:bootstrappers:kubeadm:default-node-token"
"""The group that bootstrap tokens for nodes name in `auth-extra-groups`."""

_RBAC = "rbac.authorization.k8s.io"
_SIGNED = "system:certificates.k8s.io:certificatesigningrequests:"
_BINDINGS = {
    "kubeadm:kubelet-bootstrap": ("system:node-bootstrapper", GROUP),
    "kubeadm:node-autoapprove-bootstrap": (f"{_SIGNED}nodeclient", GROUP),
    "kubeadm:node-autoapprove-certificate-rotation": (f"{_SIGNED}selfnodeclient", "system:nodes"),
    "kubeadm:get-nodes": ("kubeadm:get-nodes", GROUP),
}
_READER = "kubeadm:bootstrap-signer-clusterinfo"


async def ensure(client: Client, server: str, authority: bytes) -> None:
    """Create what is missing, and bring the address to where the API server is now."""
    for obj in rights():
        await _create_missing(client, obj)
    wanted = cluster_info(server, authority)
    if not await _create_missing(client, wanted):
        await client.patch(ConfigMap, tokens.INFO, tokens.INFO_NAMESPACE, {"data": wanted.data})


async def _create_missing(client: Client, obj: Any) -> bool:
    try:
        await client.create(obj)
    except AlreadyExists:
        return False
    return True


def cluster_info(server: str, authority: bytes) -> ConfigMap:
    """Return the ConfigMap: a kubeconfig with a cluster and no user."""
    cluster = {
        "certificate-authority-data": base64.b64encode(authority).decode(),
        "server": server,
    }
    kubeconfig = {
        "apiVersion": "v1",
        "clusters": [{"cluster": cluster, "name": ""}],
        "contexts": None,
        "current-context": "",
        "kind": "Config",
        "users": None,
    }
    return ConfigMap(
        metadata=ObjectMeta(name=tokens.INFO, namespace=tokens.INFO_NAMESPACE),
        data={tokens.KUBECONFIG: msgspec.yaml.encode(kubeconfig).decode()},
    )


def rights() -> Iterator[Any]:
    """Return the roles and bindings."""
    read = PolicyRule(verbs=["get"], apiGroups=[""], resources=["nodes"])
    yield ClusterRole(metadata=ObjectMeta(name="kubeadm:get-nodes"), rules=[read])
    for name, (role, group) in _BINDINGS.items():
        yield ClusterRoleBinding(
            metadata=ObjectMeta(name=name),
            roleRef=RoleRef(apiGroup=_RBAC, kind="ClusterRole", name=role),
            subjects=[Subject(kind="Group", apiGroup=_RBAC, name=group)],
        )
    metadata = ObjectMeta(name=_READER, namespace=tokens.INFO_NAMESPACE)
    read = PolicyRule(
        verbs=["get"], apiGroups=[""], resources=["configmaps"], resourceNames=[tokens.INFO]
    )
    yield Role(metadata=metadata, rules=[read])
    yield RoleBinding(
        metadata=metadata,
        roleRef=RoleRef(apiGroup=_RBAC, kind="Role", name=_READER),
        subjects=[Subject(kind="User", apiGroup=_RBAC, name="system:anonymous")],
    )
