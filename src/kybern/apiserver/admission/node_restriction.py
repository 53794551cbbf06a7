"""Kubelets write about their own node and the pods on it, and nothing else.

In:   writes of users in system:nodes.
Out:  Forbidden.
By:   admission.plugins. Source: upstream's `plugin/pkg/admission/noderestriction`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import codec, errors
from kybern.api.core.pod_references import references_of
from kybern.api.core.pods import is_mirror
from kybern.api.core.v1 import Node, Pod
from kybern.apiserver.admission.looking import Lookup
from kybern.apiserver.context import NODES
from kybern.apiserver.registry.review import CREATE, DELETE, UPDATE

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.apiserver.context import Services
    from kybern.apiserver.registry.review import Review

PREFIX = "system:node:"
RESTRICTED = "node-restriction.kubernetes.io/"
ITSELF = "set to itself"
OWN_DOMAINS = ("kubelet.kubernetes.io", "node.kubernetes.io")
KUBELET_LABELS = frozenset(
    (
        "kubernetes.io/hostname", "kubernetes.io/arch", "kubernetes.io/os",
        "topology.kubernetes.io/zone", "topology.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region",
        "beta.kubernetes.io/arch", "beta.kubernetes.io/os", "beta.kubernetes.io/instance-type",
        "node.kubernetes.io/instance-type", "node.kubernetes.io/windows-build",
    )
)  # fmt: skip


class NodeRestriction:
    """Judges what kubelets write."""

    def __init__(self, services: Services) -> None:
        self._pods = Lookup(services, Pod)
        self._nodes = Lookup(services, Node)
        self._rules: dict[tuple[str, str], Callable[[Review, str], str]] = {
            ("pods", ""): self._pod,
            ("pods", "status"): self._pod_status,
            ("pods", "eviction"): self._eviction,
            ("nodes", ""): self._node,
            ("nodes", "status"): self._node,
            ("leases", ""): self._lease,
            ("csinodes", ""): self._own_name,
            ("serviceaccounts", "token"): self._token,
            ("persistentvolumeclaims", "status"): self._claim_status,
            ("resourceslices", ""): self._slice,
        }

    def handles(self, group: str, plural: str, subresource: str, operation: str) -> bool:
        """Want writes of what kubelets write."""
        return (plural, subresource) in self._rules and operation in (CREATE, UPDATE, DELETE)

    def validate(self, review: Review) -> None:
        """Refuse what is not the kubelet's business."""
        user = review.ctx.user
        if NODES not in user.groups or not user.name.startswith(PREFIX):
            return
        rule = self._rules[(review.resource.kind.plural, review.subresource)]
        why = rule(review, user.name.removeprefix(PREFIX))
        if why:
            raise errors.Forbidden.of(review.resource.kind, review.name, why)

    def _pod(self, review: Review, node: str) -> str:
        if review.operation == CREATE:
            pod = review.obj
            if not is_mirror(pod):
                return (
                    'pod does not have "kubernetes.io/config.mirror" annotation, '
                    f'node "{node}" can only create mirror pods'
                )
            if pod.spec.nodeName != node:
                return f'node "{node}" can only create pods with spec.nodeName {ITSELF}'
            return self._owner(pod, node) or _references(pod, node)
        if review.operation == DELETE:
            if review.old.spec.nodeName != node:
                return f'node "{node}" can only delete pods with spec.nodeName {ITSELF}'
            return ""
        return (
            f'unexpected operation "{review.operation}", node "{node}" can only create and delete '
            "mirror pods"
        )

    def _pod_status(self, review: Review, node: str) -> str:
        if review.operation != UPDATE or review.old.spec.nodeName != node:
            return f'node "{node}" can only update pod status for pods with spec.nodeName {ITSELF}'
        if not codec.equal(review.obj.metadata.labels, review.old.metadata.labels):
            return f'node "{node}" cannot update labels through pod status'
        # They open claims to the node: see authz.node_index.
        old, new = review.old.status, review.obj.status
        if not codec.equal(new.resourceClaimStatuses, old.resourceClaimStatuses):
            return f'node "{node}" cannot update resource claim statues'
        return ""

    def _claim_status(self, review: Review, node: str) -> str:
        """Let nodes say how far a claim has grown, and nothing else."""
        old, new = codec.clone(review.old), codec.clone(review.obj)
        for each in (old, new):
            each.metadata.resourceVersion = each.metadata.managedFields = None
            each.status.capacity = each.status.conditions = None
            each.status.allocatedResourceStatuses = None
        if codec.equal(old, new):
            return ""
        return (
            f'node "{node}" is not allowed to update fields other than status.quantity and '
            "status.conditions"
        )

    def _owner(self, pod: Pod, node: str) -> str:
        """Require that a mirror pod goes with its node."""
        owners = pod.metadata.ownerReferences or []
        can = f'node "{node}" can only create pods with'
        if len(owners) > 1:
            return f"{can} a single owner reference {ITSELF}"
        if not owners or (owners[0].apiVersion, owners[0].kind, owners[0].name) != (
            "v1", "Node", node,
        ):  # fmt: skip
            return f"{can} an owner reference {ITSELF}"
        owner = owners[0]
        if not owner.controller:
            return f"{can} a controller owner reference {ITSELF}"
        if owner.blockOwnerDeletion:
            return f'node "{node}" must not set blockOwnerDeletion on an owner reference'
        found = self._nodes.get(node)
        uid = "" if found is None else found.metadata.uid
        if not uid or owner.uid != uid:
            return f"node {node} UID mismatch: expected {owner.uid} got {uid}"
        return ""

    def _slice(self, review: Review, node: str) -> str:
        if review.operation == UPDATE:
            return ""  # the authorizer has looked at it; its node cannot change
        spec = (review.obj if review.operation == CREATE else review.old).spec
        if spec.nodeName != node:
            verb = "create" if review.operation == CREATE else "delete"
            return f"can only {verb} ResourceSlice with the same NodeName as the requesting node"
        return ""

    def _eviction(self, review: Review, node: str) -> str:
        pod = self._pods.get(review.ctx.name, review.namespace)
        if pod is None or pod.spec.nodeName != node:
            return f'node "{node}" can only evict pods with spec.nodeName {ITSELF}'
        return ""

    def _node(self, review: Review, node: str) -> str:
        if review.name != node:
            return f'node "{node}" is not allowed to modify node "{review.name}"'
        if review.operation == CREATE:
            return _labels(node, {}, review.obj.metadata.labels or {})
        if review.operation == UPDATE:
            new, old = review.obj, review.old
            if not codec.equal(new.spec.taints, old.spec.taints):
                return f'node "{node}" is not allowed to modify taints'
            if new.spec.configSource is not None and old.spec.configSource is None:
                return (
                    f'node "{node}" is not allowed to update configSource to a new non-nil '
                    "configSource"
                )
            if not codec.equal(new.metadata.ownerReferences, old.metadata.ownerReferences):
                return f'node "{node}" is not allowed to modify ownerReferences'
            return _labels(node, old.metadata.labels or {}, new.metadata.labels or {})
        return ""

    def _lease(self, review: Review, node: str) -> str:
        if review.namespace != "kube-node-lease":
            return 'can only access leases in the "kube-node-lease" system namespace'
        return self._own_name(review, node)

    def _own_name(self, review: Review, node: str) -> str:
        if review.name != node:
            kind = review.resource.kind.singular
            return f"can only access {kind} with the same name as the requesting node"
        return ""

    def _token(self, review: Review, node: str) -> str:
        ref = review.obj.spec.boundObjectRef
        if ref is None or ref.kind != "Pod" or ref.apiVersion not in (None, "", "v1"):
            return "node requested token not bound to a pod"
        if not ref.uid:
            return "node requested token with a pod binding without a uid"
        pod = self._pods.get(ref.name or "", review.namespace)
        if pod is None:
            return f'node requested token bound to a pod that does not exist: "{ref.name}"'
        if ref.uid != pod.metadata.uid:
            return "the UID in the bound object reference does not match the UID in record"
        if pod.spec.nodeName != node:
            return "node requested token bound to a pod scheduled on a different node"
        return ""


def _references(pod: Pod, node: str) -> str:
    """Refuse whatever refers to other objects: a kubelet could read what its pods refer to."""
    can_not = f'node "{node}" can not create pods that reference'
    spec = pod.spec
    if spec.serviceAccountName:
        return f"{can_not} a service account"
    plurals = {plural for plural, _, _ in references_of(pod)}
    for plural in ("secrets", "configmaps", "persistentvolumeclaims"):
        if plural in plurals:
            return f"{can_not} {plural}"
    projections = [p for v in spec.volumes or () if v.projected for p in v.projected.sources or ()]
    if any(p.clusterTrustBundle is not None for p in projections):
        return f"{can_not} clustertrustbundles"
    if spec.resourceClaims or pod.status.resourceClaimStatuses:
        return f"{can_not} resourceclaims"
    return ""


def _labels(node: str, old: dict[str, str], new: dict[str, str]) -> str:
    changed = {key for key in {*old, *new} if old.get(key) != new.get(key)}
    forbidden = sorted(key for key in changed if _is_forbidden(key))
    if not forbidden:
        return ""
    return f"is not allowed to modify labels: {', '.join(forbidden)}"


def _is_forbidden(key: str) -> bool:
    domain, slash, _ = key.partition("/")
    if not slash or key in KUBELET_LABELS:
        return False
    if domain == RESTRICTED.rstrip("/") or domain.endswith("." + RESTRICTED.rstrip("/")):
        return True
    if any(domain == own or domain.endswith("." + own) for own in OWN_DOMAINS):
        return False
    kubernetes = ("kubernetes.io", "k8s.io")
    return any(domain == own or domain.endswith("." + own) for own in kubernetes)
