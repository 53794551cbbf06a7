"""What kubelets may do: their own node and what the pods on it need.

In:   requests of users in system:nodes, named system:node:<name>.
Out:  Allow, or NoOpinion with the reason.
By:   authz.chain. The rules are upstream's node authorizer's (`plugin/pkg/auth/authorizer/node`).

Which secrets, config maps, claims and accounts the pods of a node use is an index over pods; it
follows the store. Objects that name a node or a claim are looked at when they are asked for.
Admission (NodeRestriction) judges what kubelets write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api import selectors
from kybern.apiserver.authz.node_index import NodeIndex
from kybern.apiserver.authz.node_places import Places
from kybern.apiserver.context import NO_OPINION, NODES, RequestContext, Verdict

if TYPE_CHECKING:
    from kybern.apiserver.context import Attributes
    from kybern.store.objects import Store

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
WRITTEN_NODE_VERBS = frozenset(("create", "update", "patch"))
OWN_NAMED = frozenset(("get", "create", "update", "patch", "delete"))


class NodeAuthorizer:
    """Answers for the users of kubelets."""

    def __init__(self, store: Store) -> None:
        self.index = NodeIndex()
        self._places = Places(store)

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
        refusal = rule(self, node, asked)
        return Verdict(None, refusal) if refusal else ALLOWED

    def attached(self, node: str, name: str) -> bool:
        """Say whether a volume attachment is about the node."""
        return self._places.node_of("storage.k8s.io", "volumeattachments", name) == node

    def published(self, node: str, name: str) -> bool:
        """Say whether a resource slice is of the node."""
        return self._places.node_of("resource.k8s.io", "resourceslices", name) == node

    def opens(self, node: str, namespace: str, name: str) -> bool:
        """Say whether a secret is for the volume of a claim that a pod on the node uses."""
        return any(
            (namespace, name) in self._places.secrets_of(*claim)
            for claim in self.index.used(node, "persistentvolumeclaims")
        )

    def claimed(self, node: str, name: str) -> bool:
        """Say whether a pod on the node uses the claim that a volume is bound to."""
        claim = self._places.claim_of(name)
        return claim is not None and self.index.uses(node, "persistentvolumeclaims", *claim)


def _pods(nodes: NodeAuthorizer, node: str, asked: Any) -> str:
    if asked.verb in ("create", "delete"):
        return ""  # mirror pods: NodeRestriction looks at them
    if asked.verb not in READ:
        return _cannot(asked)
    if asked.verb != "get" and _selects(asked, "spec.nodeName", node):
        return ""
    if asked.name:
        found = nodes.index.runs(node, asked.namespace, asked.name)
        return "" if found else _unrelated(node)
    return "can only list/watch pods with spec.nodeName field selector"


def _nodes(nodes: NodeAuthorizer, node: str, asked: Any) -> str:
    del nodes
    if asked.verb in WRITTEN_NODE_VERBS:
        if asked.verb != "create" and asked.name != node:
            return f'node "{node}" cannot {asked.verb} node "{asked.name}"'
        return ""
    if asked.verb not in READ:
        return _cannot(asked)
    if not asked.name:
        return f"node '{node}' cannot read all nodes, only its own Node object"
    if asked.name != node:
        return f"node '{node}' cannot read '{asked.name}', only its own Node object"
    return ""


def _needed(nodes: NodeAuthorizer, node: str, asked: Any) -> str:
    """Secrets, config maps and claims that pods on the node use."""
    if asked.verb not in READ or not asked.name:
        return "can only read resources of this type by name"
    if nodes.index.uses(node, asked.plural, asked.namespace, asked.name):
        return ""
    if asked.plural == "secrets" and nodes.opens(node, asked.namespace, asked.name):
        return ""
    return _unrelated(node)


def _token(nodes: NodeAuthorizer, node: str, asked: Any) -> str:
    if asked.verb != "create" or not asked.name:
        return "can only create tokens for individual service accounts"
    if nodes.index.uses(node, "serviceaccounts", asked.namespace, asked.name):
        return ""
    return _unrelated(node)


def _account(nodes: NodeAuthorizer, node: str, asked: Any) -> str:
    if asked.verb != "get":
        return "can only get individual resources of this type"
    return _token_relation(nodes, node, asked)


def _token_relation(nodes: NodeAuthorizer, node: str, asked: Any) -> str:
    if nodes.index.uses(node, "serviceaccounts", asked.namespace, asked.name):
        return ""
    return _unrelated(node)


def _volume(nodes: NodeAuthorizer, node: str, asked: Any) -> str:
    if asked.verb != "get":
        return "can only get individual resources of this type"
    return "" if nodes.claimed(node, asked.name) else _unrelated(node)


def _attachment(nodes: NodeAuthorizer, node: str, asked: Any) -> str:
    if asked.verb != "get":
        return "can only get individual resources of this type"
    return "" if nodes.attached(node, asked.name) else _unrelated(node)


def _claim_status(nodes: NodeAuthorizer, node: str, asked: Any) -> str:
    if asked.verb not in ("get", "update", "patch"):
        return "can only get/update/patch this type"
    if nodes.index.uses(node, "persistentvolumeclaims", asked.namespace, asked.name):
        return ""
    return _unrelated(node)


def _lease(nodes: NodeAuthorizer, node: str, asked: Any) -> str:
    del nodes
    if asked.namespace != "kube-node-lease":
        return 'can only access leases in the "kube-node-lease" system namespace'
    return _own(node, asked)


def _own_object(nodes: NodeAuthorizer, node: str, asked: Any) -> str:
    del nodes
    return _own(node, asked)


def _own(node: str, asked: Any) -> str:
    if asked.verb not in OWN_NAMED:
        return "can only get, create, update, patch, or delete this resource"
    if asked.verb != "create" and asked.name != node:
        return "can only access the object with the same name as the requesting node"
    return ""


def _slices(nodes: NodeAuthorizer, node: str, asked: Any) -> str:
    if asked.verb == "create":
        return ""  # NodeRestriction looks at what is in it
    if asked.verb in ("list", "watch", "deletecollection"):
        if _selects(asked, "spec.nodeName", node):
            return ""
        return (
            "can only list/watch/deletecollection resourceslices with spec.nodeName field selector"
        )
    if asked.verb in ("get", "update", "patch", "delete"):
        return "" if nodes.published(node, asked.name) else _unrelated(node)
    return _cannot(asked)


def _resource_claims(nodes: NodeAuthorizer, node: str, asked: Any) -> str:
    if asked.verb != "get":
        return "can only get individual resources of this type"
    if nodes.index.uses(node, "resourceclaims", asked.namespace, asked.name):
        return ""
    return _unrelated(node)


def _unrelated(node: str) -> str:
    return f"no relationship found between node '{node}' and this object"


def _selects(asked: Any, field: str, value: str) -> bool:
    """Say whether a request is only about objects with this value in a field."""
    if not isinstance(asked, RequestContext):
        return False
    try:
        terms = selectors.parse_fields(asked.param("fieldSelector"))
    except selectors.SelectorError:
        return False  # the handler says what is wrong with it
    return any(t.field == field and t.operator == "=" and t.value == value for t in terms)


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
    ("storage.k8s.io", "volumeattachments", ""): _attachment,
    ("storage.k8s.io", "csinodes", ""): _own_object,
    ("coordination.k8s.io", "leases", ""): _lease,
    ("resource.k8s.io", "resourceslices", ""): _slices,
    ("resource.k8s.io", "resourceclaims", ""): _resource_claims,
}
