"""The table of built-in kinds.

In:   nothing; the table is data, read off v1.36's discovery documents.
Out:  Kind, and SCHEME to look one up by kind, by resource or by Struct.
By:   everyone. Structs are imported on first use, so that a program pays for what it touches.
"""

from __future__ import annotations

import functools
import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import msgspec

ALL_VERBS = (
    "create", "delete", "deletecollection", "get", "list", "patch", "update", "watch",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """One kind of object and the resource that serves it.

    Attributes:
        group: API group; "" for core.
        version: `v1`, `v2`.
        kind: `Pod`.
        plural: the resource's name in paths; "" for kinds that only travel in bodies.
        namespaced: whether objects live in a namespace.
        verbs: what discovery announces.
        subresources: names below the object (`status`, `scale`, `log`).
    """

    group: str
    version: str
    kind: str
    plural: str
    singular: str
    namespaced: bool
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    subresources: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        """`v1` for core, `apps/v1` elsewhere."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def list_kind(self) -> str:
        """`PodList`."""
        return f"{self.kind}List"

    @property
    def has_status(self) -> bool:
        """Whether there is a `status` subresource."""
        return "status" in self.subresources

    @property
    def in_protobuf(self) -> bool:
        """Whether objects travel in protobuf, too: not what is a custom resource at upstream."""
        return self.group != _SNAPSHOT

    @property
    def module(self) -> str:
        """Name of the module with the Structs."""
        head = self.group.split(".", 1)[0] or "core"
        return f"kybern.api.{head}.{self.version}"

    @property
    def struct(self) -> type[Any]:
        """The Struct of one object."""
        return _struct(self.module, self.kind)

    @property
    def list_struct(self) -> type[Any]:
        """The Struct of a list of them."""
        return _struct(self.module, self.list_kind)

    @property
    def group_resource(self) -> str:
        """`pods` or `deployments.apps`: how error messages name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def collection(self) -> str:
        """Path of the collection without a namespace: `/api/v1/pods`."""
        return f"{self.prefix}/{self.plural}"

    @property
    def prefix(self) -> str:
        """`/api/v1` or `/apis/apps/v1`."""
        return f"/apis/{self.api_version}" if self.group else f"/api/{self.version}"

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Return the path of a collection, an object or a subresource."""
        parts = [self.prefix]
        if namespace and self.namespaced:
            parts.append(f"namespaces/{namespace}")
        parts += [p for p in (self.plural, name, subresource) if p]
        return "/".join(parts)


@functools.cache
def _struct(module: str, name: str) -> type[msgspec.Struct]:
    struct: type[msgspec.Struct] = getattr(importlib.import_module(module), name)
    return struct


class Scheme:
    """An immutable index over kinds."""

    def __init__(self, kinds: tuple[Kind, ...]) -> None:
        self.kinds = kinds
        self._by_kind = {(k.api_version, k.kind): k for k in kinds}
        self._by_resource = {(k.group, k.version, k.plural): k for k in kinds if k.plural}
        self._by_struct = {(k.module, k.kind): k for k in kinds}

    def by_kind(self, api_version: str, kind: str) -> Kind | None:
        """Return the kind of `apiVersion` and `kind`, or None."""
        return self._by_kind.get((api_version, kind))

    def by_resource(self, group: str, version: str, plural: str) -> Kind | None:
        """Return the kind served under these path elements, or None."""
        return self._by_resource.get((group, version, plural))

    def of(self, obj: Any) -> Kind:
        """Return the kind of a Struct or of an object; KeyError for a foreign type."""
        struct = obj if isinstance(obj, type) else type(obj)
        return self._by_struct[struct.__module__, struct.__name__]


def _k(
    group: str,
    kind: str,
    plural: str,
    scope: str,
    *,
    short: str = "",
    categories: str = "",
    sub: str = "",
    version: str = "v1",
    verbs: tuple[str, ...] = ALL_VERBS,
) -> Kind:
    return Kind(
        group, version, kind, plural, kind.lower(), scope == "ns",
        tuple(short.split()), tuple(categories.split()), verbs, tuple(sub.split()),
    )  # fmt: skip


_CREATE = ("create",)
_NO_VERSIONS: tuple[str, ...] = ()
_AUTHN, _AUTHZ = "authentication.k8s.io", "authorization.k8s.io"
_ADMISSION, _STORAGE = "admissionregistration.k8s.io", "storage.k8s.io"
_RBAC, _NET, _DRA = "rbac.authorization.k8s.io", "networking.k8s.io", "resource.k8s.io"
_FLOW, _SNAPSHOT = "flowcontrol.apiserver.k8s.io", "snapshot.storage.k8s.io"

# Group order is the order of upstream's discovery: kubectl prefers the first that matches.
KINDS = (
    _k("", "Binding", "bindings", "ns", verbs=_CREATE),
    _k("", "ComponentStatus", "componentstatuses", "cluster", short="cs", verbs=("get", "list")),
    _k("", "ConfigMap", "configmaps", "ns", short="cm"),
    _k("", "Endpoints", "endpoints", "ns", short="ep"),
    _k("", "Event", "events", "ns", short="ev"),
    _k("", "LimitRange", "limitranges", "ns", short="limits"),
    _k("", "Namespace", "namespaces", "cluster", short="ns", sub="status finalize",
       verbs=("create", "delete", "get", "list", "patch", "update", "watch")),
    _k("", "Node", "nodes", "cluster", short="no", sub="status proxy"),
    _k("", "PersistentVolumeClaim", "persistentvolumeclaims", "ns", short="pvc", sub="status"),
    _k("", "PersistentVolume", "persistentvolumes", "cluster", short="pv", sub="status"),
    _k("", "Pod", "pods", "ns", short="po", categories="all",
       sub="attach binding ephemeralcontainers eviction exec log portforward proxy resize status"),
    _k("", "PodTemplate", "podtemplates", "ns"),
    _k("", "ReplicationController", "replicationcontrollers", "ns", short="rc", categories="all",
       sub="scale status"),
    _k("", "ResourceQuota", "resourcequotas", "ns", short="quota", sub="status"),
    _k("", "Secret", "secrets", "ns"),
    _k("", "ServiceAccount", "serviceaccounts", "ns", short="sa", sub="token"),
    _k("", "Service", "services", "ns", short="svc", categories="all", sub="proxy status"),
    _k("apiregistration.k8s.io", "APIService", "apiservices", "cluster",
       categories="api-extensions", sub="status"),
    _k("apps", "ControllerRevision", "controllerrevisions", "ns"),
    _k("apps", "DaemonSet", "daemonsets", "ns", short="ds", categories="all", sub="status"),
    _k("apps", "Deployment", "deployments", "ns", short="deploy", categories="all",
       sub="scale status"),
    _k("apps", "ReplicaSet", "replicasets", "ns", short="rs", categories="all", sub="scale status"),
    _k("apps", "StatefulSet", "statefulsets", "ns", short="sts", categories="all",
       sub="scale status"),
    _k("events.k8s.io", "Event", "events", "ns", short="ev"),
    _k(_AUTHN, "SelfSubjectReview", "selfsubjectreviews", "cluster", verbs=_CREATE),
    _k(_AUTHN, "TokenReview", "tokenreviews", "cluster", verbs=_CREATE),
    _k(_AUTHN, "TokenRequest", "", "ns", verbs=_NO_VERSIONS),
    _k(_AUTHZ, "LocalSubjectAccessReview", "localsubjectaccessreviews", "ns", verbs=_CREATE),
    _k(_AUTHZ, "SelfSubjectAccessReview", "selfsubjectaccessreviews", "cluster", verbs=_CREATE),
    _k(_AUTHZ, "SelfSubjectRulesReview", "selfsubjectrulesreviews", "cluster", verbs=_CREATE),
    _k(_AUTHZ, "SubjectAccessReview", "subjectaccessreviews", "cluster", verbs=_CREATE),
    _k("autoscaling", "HorizontalPodAutoscaler", "horizontalpodautoscalers", "ns", short="hpa",
       categories="all", sub="status", version="v2"),
    _k("autoscaling", "HorizontalPodAutoscaler", "horizontalpodautoscalers", "ns", short="hpa",
       categories="all", sub="status"),
    _k("autoscaling", "Scale", "", "ns", verbs=_NO_VERSIONS),
    _k("batch", "CronJob", "cronjobs", "ns", short="cj", categories="all", sub="status"),
    _k("batch", "Job", "jobs", "ns", categories="all", sub="status"),
    _k("certificates.k8s.io", "CertificateSigningRequest", "certificatesigningrequests", "cluster",
       short="csr", sub="approval status"),
    _k(_NET, "IPAddress", "ipaddresses", "cluster", short="ip"),
    _k(_NET, "IngressClass", "ingressclasses", "cluster"),
    _k(_NET, "Ingress", "ingresses", "ns", short="ing", sub="status"),
    _k(_NET, "NetworkPolicy", "networkpolicies", "ns", short="netpol"),
    _k(_NET, "ServiceCIDR", "servicecidrs", "cluster", sub="status"),
    _k("policy", "PodDisruptionBudget", "poddisruptionbudgets", "ns", short="pdb", sub="status"),
    _k("policy", "Eviction", "", "ns", verbs=_NO_VERSIONS),
    _k(_RBAC, "ClusterRoleBinding", "clusterrolebindings", "cluster"),
    _k(_RBAC, "ClusterRole", "clusterroles", "cluster"),
    _k(_RBAC, "RoleBinding", "rolebindings", "ns"),
    _k(_RBAC, "Role", "roles", "ns"),
    _k(_STORAGE, "CSIDriver", "csidrivers", "cluster"),
    _k(_STORAGE, "CSINode", "csinodes", "cluster"),
    _k(_STORAGE, "CSIStorageCapacity", "csistoragecapacities", "ns"),
    _k(_STORAGE, "StorageClass", "storageclasses", "cluster", short="sc"),
    _k(_STORAGE, "VolumeAttachment", "volumeattachments", "cluster", sub="status"),
    _k(_STORAGE, "VolumeAttributesClass", "volumeattributesclasses", "cluster", short="vac"),
    _k(_ADMISSION, "MutatingAdmissionPolicy", "mutatingadmissionpolicies", "cluster",
       categories="api-extensions"),
    _k(_ADMISSION, "MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings", "cluster",
       categories="api-extensions"),
    _k(_ADMISSION, "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", "cluster",
       categories="api-extensions"),
    _k(_ADMISSION, "ValidatingAdmissionPolicy", "validatingadmissionpolicies", "cluster",
       categories="api-extensions", sub="status"),
    _k(_ADMISSION, "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings",
       "cluster", categories="api-extensions"),
    _k(_ADMISSION, "ValidatingWebhookConfiguration", "validatingwebhookconfigurations", "cluster",
       categories="api-extensions"),
    _k("apiextensions.k8s.io", "CustomResourceDefinition", "customresourcedefinitions", "cluster",
       short="crd crds", categories="api-extensions", sub="status"),
    _k("scheduling.k8s.io", "PriorityClass", "priorityclasses", "cluster", short="pc"),
    _k("coordination.k8s.io", "Lease", "leases", "ns"),
    _k("node.k8s.io", "RuntimeClass", "runtimeclasses", "cluster"),
    _k("discovery.k8s.io", "EndpointSlice", "endpointslices", "ns"),
    _k(_FLOW, "FlowSchema", "flowschemas", "cluster", sub="status"),
    _k(_FLOW, "PriorityLevelConfiguration", "prioritylevelconfigurations", "cluster",
       sub="status"),
    _k(_DRA, "DeviceClass", "deviceclasses", "cluster"),
    _k(_DRA, "ResourceClaim", "resourceclaims", "ns", sub="status"),
    _k(_DRA, "ResourceClaimTemplate", "resourceclaimtemplates", "ns"),
    _k(_DRA, "ResourceSlice", "resourceslices", "cluster"),
    # upstream serves these three as custom resources
    _k(_SNAPSHOT, "VolumeSnapshotClass", "volumesnapshotclasses", "cluster",
       short="vsclass vsclasses"),
    _k(_SNAPSHOT, "VolumeSnapshotContent", "volumesnapshotcontents", "cluster", short="vsc vscs",
       sub="status"),
    _k(_SNAPSHOT, "VolumeSnapshot", "volumesnapshots", "ns", short="vs", sub="status"),
)  # fmt: skip

SCHEME = Scheme(KINDS)
