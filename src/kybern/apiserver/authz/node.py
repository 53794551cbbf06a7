"""What kubelets may do: their own node and what the pods on it need.

In:   requests of users in system:nodes, named system:node:<name>.
Out:  Allow, or NoOpinion with the reason.
By:   authz.chain. The rules are upstream's node authorizer's (`plugin/pkg/auth/authorizer/node`).

Which secrets, config maps, claims and accounts the pods of a node use is an index over pods; it
follows the store. Admission (NodeRestriction) judges what kubelets write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.apiserver.authz.node_index import NodeIndex
from kybern.apiserver.context import NO_OPINION, NODES, Verdict

if TYPE_CHECKING:
    from kybern.apiserver.context import Attributes, RequestContext

ALLOWED = Verdict(True)
PREFIX = "system:node:"
READ = frozenset(("get", "list", "watch"))
CORE = ""

# (group, plural, subresource) → verbs any node may use; writes are bounded by admission.
OPEN: dict[tuple[str, str, str], frozenset[str]] = {
    (CORE, "services", ""): READ,
    (CORE, "nodes", "status"): frozenset(("update", "patch")),
    (CORE, "events", ""): frozenset(("create", "update", "patch")),
    ("events.k8s.io", "events", ""): frozenset(("create", "update", "patch")),
    (CORE, "pods", "status"): frozenset(("update", "patch")),
    (CORE, "pods", "eviction"): frozenset(("create",)),
    (CORE, "endpoints", ""): frozenset(("get",)),
    ("authentication.k8s.io", "tokenreviews", ""): frozenset(("create",)),
    ("authorization.k8s.io", "subjectaccessreviews", ""): frozenset(("create",)),
    ("authorization.k8s.io", "localsubjectaccessreviews", ""): frozenset(("create",)),
    ("certificates.k8s.io", "certificatesigningrequests", ""): READ | {"create"},
    ("certificates.k8s.io", "clustertrustbundles", ""): READ,
    ("storage.k8s.io", "csidrivers", ""): READ,
    ("node.k8s.io", "runtimeclasses", ""): READ,
    ("networking.k8s.io", "servicecidrs", ""): frozenset(("list", "watch")),
}
OWN_NODE_VERBS = frozenset(("get", "list", "watch", "create", "update", "patch"))
OWN_NAMED = frozenset(("get", "create", "update", "patch", "delete"))


class NodeAuthorizer:
    """Answers for the users of kubelets."""

    def __init__(self) -> None:
        self.index = NodeIndex()

    def authorize(self, asked: Attributes | RequestContext) -> Verdict:
        """Allow what a node's kubelet needs."""
        user = asked.user
        if NODES not in user.groups or not user.name.startswith(PREFIX) or not asked.is_resource:
            return NO_OPINION
        node = user.name.removeprefix(PREFIX)
        key = (asked.group, asked.plural, asked.subresource)
        allowed = OPEN.get(key)
        if allowed is not None and asked.verb in allowed:
            return ALLOWED
        rule = RULES.get(key)
        if rule is None:
            return NO_OPINION
        refusal = rule(self.index, node, asked)
        return Verdict(None, refusal) if refusal else ALLOWED


def _pods(index: NodeIndex, node: str, asked: Any) -> str:
    del index, node
    return "" if asked.verb in READ or asked.verb in ("create", "delete") else _cannot(asked)


def _nodes(index: NodeIndex, node: str, asked: Any) -> str:
    del index
    if asked.verb not in OWN_NODE_VERBS:
        return _cannot(asked)
    if asked.verb in ("get", "update", "patch") and asked.name and asked.name != node:
        return f'node "{node}" cannot {asked.verb} node "{asked.name}"'
    return ""


def _needed(index: NodeIndex, node: str, asked: Any) -> str:
    """Secrets, config maps and claims that pods on the node use."""
    if asked.verb not in READ or not asked.name:
        return "can only read resources of this type by name"
    if index.uses(node, asked.plural, asked.namespace, asked.name):
        return ""
    return f"no relationship found between node '{node}' and this object"


def _token(index: NodeIndex, node: str, asked: Any) -> str:
    if asked.verb != "create" or not asked.name:
        return "can only create tokens for individual service accounts"
    if index.uses(node, "serviceaccounts", asked.namespace, asked.name):
        return ""
    return f"no relationship found between node '{node}' and this object"


def _account(index: NodeIndex, node: str, asked: Any) -> str:
    if asked.verb != "get":
        return "can only get individual resources of this type"
    return _token_relation(index, node, asked)


def _token_relation(index: NodeIndex, node: str, asked: Any) -> str:
    if index.uses(node, "serviceaccounts", asked.namespace, asked.name):
        return ""
    return f"no relationship found between node '{node}' and this object"


def _volume(index: NodeIndex, node: str, asked: Any) -> str:
    del index
    return "" if asked.verb == "get" else f"node '{node}' can only get this resource"


def _claim_status(index: NodeIndex, node: str, asked: Any) -> str:
    if asked.verb not in ("get", "update", "patch"):
        return "can only get/update/patch this type"
    if index.uses(node, "persistentvolumeclaims", asked.namespace, asked.name):
        return ""
    return f"no relationship found between node '{node}' and this object"


def _lease(index: NodeIndex, node: str, asked: Any) -> str:
    del index
    if asked.namespace != "kube-node-lease":
        return 'can only access leases in the "kube-node-lease" system namespace'
    return _own(node, asked)


def _own_object(index: NodeIndex, node: str, asked: Any) -> str:
    del index
    return _own(node, asked)


def _own(node: str, asked: Any) -> str:
    if asked.verb not in OWN_NAMED:
        return "can only get, create, update, patch, or delete this resource"
    if asked.verb != "create" and asked.name != node:
        return "can only access the object with the same name as the requesting node"
    return ""


def _slices(index: NodeIndex, node: str, asked: Any) -> str:
    del index, node
    verbs = ("get", "create", "update", "patch", "delete", "list", "watch", "deletecollection")
    return "" if asked.verb in verbs else _cannot(asked)


def _resource_claims(index: NodeIndex, node: str, asked: Any) -> str:
    if asked.verb != "get":
        return "can only get individual resources of this type"
    if index.uses(node, "resourceclaims", asked.namespace, asked.name):
        return ""
    return f"no relationship found between node '{node}' and this object"


def _cannot(asked: Any) -> str:
    return f"node cannot {asked.verb} {asked.plural}"


RULES = {
    (CORE, "pods", ""): _pods,
    (CORE, "nodes", ""): _nodes,
    (CORE, "secrets", ""): _needed,
    (CORE, "configmaps", ""): _needed,
    (CORE, "persistentvolumeclaims", ""): _needed,
    (CORE, "persistentvolumeclaims", "status"): _claim_status,
    (CORE, "persistentvolumes", ""): _volume,
    (CORE, "serviceaccounts", "token"): _token,
    (CORE, "serviceaccounts", ""): _account,
    ("storage.k8s.io", "volumeattachments", ""): _volume,
    ("storage.k8s.io", "csinodes", ""): _own_object,
    ("coordination.k8s.io", "leases", ""): _lease,
    ("resource.k8s.io", "resourceslices", ""): _slices,
    ("resource.k8s.io", "resourceclaims", ""): _resource_claims,
}
