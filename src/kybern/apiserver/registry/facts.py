"""What upstream's strategies say about each kind, where it is not the usual answer.

In:   a kind.
Out:  three yes or no answers.
By:   registry.strategy. Source: the strategy.go files under upstream's pkg/registry.
"""

from __future__ import annotations

_RBAC = "rbac.authorization.k8s.io"
_ADMISSION = "admissionregistration.k8s.io"
_FLOW = "flowcontrol.apiserver.k8s.io"
_SNAPSHOT = "snapshot.storage.k8s.io"

GENERATIONS = frozenset(
    (
        ("", "Pod"), ("", "PodTemplate"), ("", "ReplicationController"), ("apps", "DaemonSet"),
        ("apps", "Deployment"), ("apps", "ReplicaSet"), ("apps", "StatefulSet"),
        ("batch", "CronJob"), ("batch", "Job"), ("networking.k8s.io", "Ingress"),
        ("networking.k8s.io", "IngressClass"), ("networking.k8s.io", "NetworkPolicy"),
        ("policy", "PodDisruptionBudget"), ("discovery.k8s.io", "EndpointSlice"),
        ("scheduling.k8s.io", "PriorityClass"), ("resource.k8s.io", "ResourceSlice"),
        ("resource.k8s.io", "DeviceClass"), (_FLOW, "FlowSchema"),
        (_FLOW, "PriorityLevelConfiguration"), (_ADMISSION, "MutatingAdmissionPolicy"),
        (_ADMISSION, "MutatingAdmissionPolicyBinding"),
        (_ADMISSION, "MutatingWebhookConfiguration"), (_ADMISSION, "ValidatingAdmissionPolicy"),
        (_ADMISSION, "ValidatingAdmissionPolicyBinding"),
        (_ADMISSION, "ValidatingWebhookConfiguration"),
        ("apiextensions.k8s.io", "CustomResourceDefinition"), ("storage.k8s.io", "CSIDriver"),
        (_SNAPSHOT, "VolumeSnapshot"), (_SNAPSHOT, "VolumeSnapshotContent"),
        (_SNAPSHOT, "VolumeSnapshotClass"),
    )
)  # fmt: skip
"""Kinds whose metadata.generation counts the changes of what is wanted."""

DEPRECATED = {
    ("v1", "ComponentStatus"): "v1 ComponentStatus is deprecated in v1.19+",
    ("v1", "Endpoints"): (
        "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"
    ),
}
"""What whoever still uses a kind is told with every answer."""

CREATE_ON_UPDATE = frozenset(
    (
        ("", "Endpoints"), ("", "Event"), ("", "LimitRange"), ("", "Service"),
        ("events.k8s.io", "Event"), ("coordination.k8s.io", "Lease"), (_RBAC, "Role"),
        (_RBAC, "RoleBinding"), (_RBAC, "ClusterRole"), (_RBAC, "ClusterRoleBinding"),
    )
)  # fmt: skip
"""Kinds of which a PUT creates what is not there."""

CONDITIONAL = frozenset(
    (
        ("", "ServiceAccount"), ("coordination.k8s.io", "Lease"), ("policy", "PodDisruptionBudget"),
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
        ("apiregistration.k8s.io", "APIService"), ("node.k8s.io", "RuntimeClass"),
        ("storage.k8s.io", "CSIDriver"), ("storage.k8s.io", "CSINode"),
        ("storage.k8s.io", "VolumeAttachment"), (_ADMISSION, "MutatingAdmissionPolicy"),
        (_ADMISSION, "MutatingAdmissionPolicyBinding"),
        (_ADMISSION, "MutatingWebhookConfiguration"), (_ADMISSION, "ValidatingAdmissionPolicy"),
        (_ADMISSION, "ValidatingAdmissionPolicyBinding"),
        (_ADMISSION, "ValidatingWebhookConfiguration"),
        (_SNAPSHOT, "VolumeSnapshot"), (_SNAPSHOT, "VolumeSnapshotContent"),
        (_SNAPSHOT, "VolumeSnapshotClass"),
    )
)  # fmt: skip
"""Kinds of which a PUT must name the resourceVersion."""

RETURNS_DELETED = frozenset(
    (
        ("", "Pod"), ("", "PodTemplate"), ("", "PersistentVolume"), ("", "PersistentVolumeClaim"),
        ("", "ResourceQuota"), ("", "ServiceAccount"), ("storage.k8s.io", "StorageClass"),
        ("storage.k8s.io", "CSIDriver"), ("storage.k8s.io", "CSINode"),
        ("storage.k8s.io", "VolumeAttachment"), ("", "Service"),
        ("resource.k8s.io", "ResourceClaim"), ("resource.k8s.io", "ResourceClaimTemplate"),
        ("resource.k8s.io", "ResourceSlice"), ("resource.k8s.io", "DeviceClass"),
    )
)  # fmt: skip
"""Kinds of which DELETE answers with the object even when it is gone at once."""
