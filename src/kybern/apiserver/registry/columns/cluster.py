"""Columns of everything around the workloads: network, access, storage, API machinery.

In:   objects.
Out:  their cells.
By:   all.py.
"""

from __future__ import annotations

from typing import Any

from kybern.apiserver.registry.columns import words
from kybern.apiserver.registry.columns.layout import AGE, Columns
from kybern.apiserver.registry.columns.words import NONE, UNSET

DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


def _name(obj: Any) -> list[Any]:
    return [obj.metadata.name, AGE]


def _name_and_creation(obj: Any) -> list[Any]:
    return [obj.metadata.name, obj.metadata.creationTimestamp]


def _first_three(values: list[str]) -> str:
    text = ",".join(values[:3])
    return (text + f" + {len(values) - 3} more..." if len(values) > 3 else text) or UNSET


def _slice(obj: Any) -> list[Any]:
    ports = [str(p.port) if p.port is not None else "*" for p in obj.ports or ()]
    addresses = [a for e in obj.endpoints or () for a in e.addresses or ()]
    return [
        obj.metadata.name, obj.addressType, _first_three(ports), _first_three(addresses), AGE,
    ]  # fmt: skip


def _ingress(obj: Any) -> list[Any]:
    rules = obj.spec.rules or ()
    hosts = [r.host for r in rules if r.host]
    balancer = obj.status.loadBalancer
    given = [i.ip or i.hostname or "" for i in (balancer.ingress or ())] if balancer else []
    shown = ",".join(hosts[:3]) + (f" + {len(hosts) - 3} more..." if len(hosts) > 3 else "")
    return [
        obj.metadata.name, obj.spec.ingressClassName or NONE, shown or "*", ",".join(given),
        "80, 443" if obj.spec.tls else "80", AGE,
    ]  # fmt: skip


def _ingress_class(obj: Any) -> list[Any]:
    given = obj.spec.parameters
    text = NONE
    if given is not None:
        group = f".{given.apiGroup}" if given.apiGroup else ""
        text = f"{given.kind}{group}/{given.name}"
    return [obj.metadata.name, obj.spec.controller or "", text, AGE]


def _binding(obj: Any) -> list[Any]:
    subjects = obj.subjects or ()
    users = [s.name for s in subjects if s.kind == "User"]
    groups = [s.name for s in subjects if s.kind == "Group"]
    accounts = [f"{s.namespace}/{s.name}" for s in subjects if s.kind == "ServiceAccount"]
    role = f"{obj.roleRef.kind}/{obj.roleRef.name}"
    return [
        obj.metadata.name, role, AGE, ", ".join(users), ", ".join(groups), ", ".join(accounts),
    ]  # fmt: skip


def _request(obj: Any) -> list[Any]:
    true = [c.type for c in obj.status.conditions or ()]
    state = ",".join(c for c in ("Approved", "Denied", "Failed") if c in true) or "Pending"
    if obj.status.certificate:
        state += ",Issued"
    asked = obj.spec.expirationSeconds
    return [
        obj.metadata.name, AGE, obj.spec.signerName, obj.spec.username or NONE,
        words.duration(asked) if asked is not None else NONE, state,
    ]  # fmt: skip


def _storage_class(obj: Any) -> list[Any]:
    default = (obj.metadata.annotations or {}).get(DEFAULT_CLASS) == "true"
    return [
        f"{obj.metadata.name} (default)" if default else obj.metadata.name, obj.provisioner,
        obj.reclaimPolicy or "Delete", obj.volumeBindingMode or UNSET,
        _bool(obj.allowVolumeExpansion), AGE,
    ]  # fmt: skip


def _driver(obj: Any) -> list[Any]:
    spec = obj.spec
    tokens = ",".join(t.audience for t in spec.tokenRequests or ()) or UNSET
    modes = ",".join(spec.volumeLifecycleModes or ()) or "Persistent"
    return [
        obj.metadata.name, _bool(spec.attachRequired), _bool(spec.podInfoOnMount),
        _bool(spec.storageCapacity), tokens, _bool(spec.requiresRepublish), modes, AGE,
    ]  # fmt: skip


def _attachment(obj: Any) -> list[Any]:
    volume = obj.spec.source.persistentVolumeName or ""
    attached = _bool(obj.status.attached)
    return [obj.metadata.name, obj.spec.attacher, volume, obj.spec.nodeName, attached, AGE]


def _bool(value: bool | None) -> str:
    return "true" if value else "false"


def _flow_schema(obj: Any) -> list[Any]:
    spec = obj.spec
    method = spec.distinguisherMethod.type if spec.distinguisherMethod else NONE
    level = spec.priorityLevelConfiguration.name if spec.priorityLevelConfiguration else NONE
    dangling = next((c.status for c in obj.status.conditions or () if c.type == "Dangling"), "?")
    return [obj.metadata.name, level, spec.matchingPrecedence or 0, method, AGE, dangling]


def _priority_level(obj: Any) -> list[Any]:
    spec = obj.spec
    shares = queues = hand = length = NONE
    part = spec.limited or spec.exempt
    if part is not None and part.nominalConcurrencyShares is not None:
        shares = str(part.nominalConcurrencyShares)
    response = spec.limited.limitResponse if spec.limited else None
    if response is not None and response.queuing is not None:
        queuing = response.queuing
        queues, hand, length = (
            str(v) for v in (queuing.queues, queuing.handSize, queuing.queueLengthLimit)
        )
    return [obj.metadata.name, spec.type, shares, queues, hand, length, AGE]


def _api_service(obj: Any) -> list[Any]:
    service = obj.spec.service
    text = f"{service.namespace}/{service.name}" if service else "Local"
    available = "Unknown"
    for condition in obj.status.conditions or ():
        if condition.type == "Available":
            good = condition.status == "True"
            available = "True" if good else f"{condition.status} ({condition.reason or ''})"
    return [obj.metadata.name, text, available, AGE]


def _priority_class(obj: Any) -> list[Any]:
    default = _bool(obj.globalDefault)
    policy = obj.preemptionPolicy or ""
    return [obj.metadata.name, obj.value, default, AGE, policy]


def _policy(obj: Any) -> list[Any]:
    kind = obj.spec.paramKind
    text = f"{kind.apiVersion}/{kind.kind}" if kind else UNSET
    rules = getattr(obj.spec, "validations", None) or getattr(obj.spec, "mutations", None) or ()
    return [obj.metadata.name, len(rules), text, AGE]


def _policy_binding(obj: Any) -> list[Any]:
    ref = obj.spec.paramRef
    text = UNSET
    if ref is not None:
        text = f"{ref.namespace}/{ref.name}" if ref.namespace else ref.name or UNSET
    return [obj.metadata.name, obj.spec.policyName or "", text, AGE]


def _address(obj: Any) -> list[Any]:
    parent = obj.spec.parentRef
    text = ""
    if parent is not None:
        parts = (parent.resource, parent.group, parent.namespace, parent.name)
        text = f"{'.'.join(p for p in parts[:2] if p)}/{'/'.join(p for p in parts[2:] if p)}"
    return [obj.metadata.name, text, AGE]


def _claim_state(obj: Any) -> list[Any]:
    status = obj.status
    states = []
    if obj.metadata.deletionTimestamp:
        states.append("deleted")
    if status.allocation is not None:
        states.append("allocated")
    if status.reservedFor:
        states.append("reserved")
    return [obj.metadata.name, ",".join(states) or "pending", AGE]


def _device_slice(obj: Any) -> list[Any]:
    spec = obj.spec
    return [obj.metadata.name, spec.nodeName or UNSET, spec.driver, spec.pool.name, AGE]


_NAME, _CREATED = Columns("Name  Age", _name), Columns("Name  Created At", _name_and_creation)
_BINDING = Columns("Name  Role  Age|Users  Groups  ServiceAccounts", _binding)
_HOOKS = Columns("Name  Webhooks  Age", lambda o: [o.metadata.name, len(o.webhooks or ()), AGE])
_RBAC, _NET, _STORAGE = (
    "rbac.authorization.k8s.io", "networking.k8s.io", "storage.k8s.io",
)  # fmt: skip


def _snapshot(obj: Any) -> list[Any]:
    source, status = obj.spec.source, obj.status
    return [
        obj.metadata.name, _truth(status.readyToUse), source.persistentVolumeClaimName or "",
        source.volumeSnapshotContentName or "", status.restoreSize or "",
        obj.spec.volumeSnapshotClassName or "", status.boundVolumeSnapshotContentName or "",
        lambda now: words.since(status.creationTime, now) if status.creationTime else "", AGE,
    ]  # fmt: skip


def _snapshot_content(obj: Any) -> list[Any]:
    spec, status = obj.spec, obj.status
    size = "" if status.restoreSize is None else str(status.restoreSize)
    return [
        obj.metadata.name, _truth(status.readyToUse), size, spec.deletionPolicy, spec.driver,
        spec.volumeSnapshotClassName or "", spec.volumeSnapshotRef.name or "",
        spec.volumeSnapshotRef.namespace or "", AGE,
    ]  # fmt: skip


def _truth(value: bool | None) -> str:
    return "" if value is None else str(value).lower()


_ADMISSION, _FLOW, _DRA, _SNAPSHOT = (
    "admissionregistration.k8s.io", "flowcontrol.apiserver.k8s.io", "resource.k8s.io",
    "snapshot.storage.k8s.io",
)  # fmt: skip

COLUMNS = {
    (_RBAC, "Role"): _CREATED,
    (_RBAC, "ClusterRole"): _CREATED,
    (_RBAC, "RoleBinding"): _BINDING,
    (_RBAC, "ClusterRoleBinding"): _BINDING,
    ("discovery.k8s.io", "EndpointSlice"): Columns(
        "Name  AddressType  Ports  Endpoints  Age", _slice
    ),
    (_NET, "Ingress"): Columns("Name  Class  Hosts  Address  Ports  Age", _ingress),
    (_NET, "IngressClass"): Columns("Name  Controller  Parameters  Age", _ingress_class),
    (_NET, "NetworkPolicy"): Columns(
        "Name  Pod-Selector  Age",
        lambda o: [o.metadata.name, words.selector(o.spec.podSelector), AGE],
    ),
    (_NET, "IPAddress"): Columns("Name  ParentRef  Age", _address),
    (_NET, "ServiceCIDR"): Columns(
        "Name  CIDRs  Age", lambda o: [o.metadata.name, ",".join(o.spec.cidrs or ()), AGE]
    ),
    ("coordination.k8s.io", "Lease"): Columns(
        "Name  Holder  Age", lambda o: [o.metadata.name, o.spec.holderIdentity or "", AGE]
    ),
    ("certificates.k8s.io", "CertificateSigningRequest"): Columns(
        "Name  Age  SignerName  Requestor  RequestedDuration  Condition", _request
    ),
    (_STORAGE, "StorageClass"): Columns(
        "Name  Provisioner  ReclaimPolicy  VolumeBindingMode  AllowVolumeExpansion  Age",
        _storage_class,
    ),
    (_STORAGE, "CSIDriver"): Columns(
        "Name  AttachRequired  PodInfoOnMount  StorageCapacity  TokenRequests  RequiresRepublish  "
        "Modes  Age",
        _driver,
    ),
    (_STORAGE, "CSINode"): Columns(
        "Name  Drivers  Age", lambda o: [o.metadata.name, len(o.spec.drivers or ()), AGE]
    ),
    (_STORAGE, "CSIStorageCapacity"): Columns(
        "Name  StorageClassName  Capacity",
        lambda o: [o.metadata.name, o.storageClassName, o.capacity or UNSET],
    ),
    (_STORAGE, "VolumeAttachment"): Columns("Name  Attacher  PV  Node  Attached  Age", _attachment),
    (_STORAGE, "VolumeAttributesClass"): Columns(
        "Name  DriverName  Age", lambda o: [o.metadata.name, o.driverName, AGE]
    ),
    (_SNAPSHOT, "VolumeSnapshot"): Columns(
        "Name  ReadyToUse  SourcePVC  SourceSnapshotContent  RestoreSize  SnapshotClass  "
        "SnapshotContent  CreationTime  Age",
        _snapshot,
    ),
    (_SNAPSHOT, "VolumeSnapshotContent"): Columns(
        "Name  ReadyToUse  RestoreSize  DeletionPolicy  Driver  VolumeSnapshotClass  "
        "VolumeSnapshot  VolumeSnapshotNamespace  Age",
        _snapshot_content,
    ),
    (_SNAPSHOT, "VolumeSnapshotClass"): Columns(
        "Name  Driver  DeletionPolicy  Age",
        lambda o: [o.metadata.name, o.driver, o.deletionPolicy, AGE],
    ),
    ("node.k8s.io", "RuntimeClass"): Columns(
        "Name  Handler  Age", lambda o: [o.metadata.name, o.handler, AGE]
    ),
    ("scheduling.k8s.io", "PriorityClass"): Columns(
        "Name  Value  Global-Default  Age  PreemptionPolicy", _priority_class
    ),
    (_ADMISSION, "MutatingWebhookConfiguration"): _HOOKS,
    (_ADMISSION, "ValidatingWebhookConfiguration"): _HOOKS,
    (_ADMISSION, "ValidatingAdmissionPolicy"): Columns(
        "Name  Validations  ParamKind  Age", _policy
    ),
    (_ADMISSION, "MutatingAdmissionPolicy"): Columns("Name  Mutations  ParamKind  Age", _policy),
    (_ADMISSION, "ValidatingAdmissionPolicyBinding"): Columns(
        "Name  PolicyName  ParamRef  Age", _policy_binding
    ),
    (_ADMISSION, "MutatingAdmissionPolicyBinding"): Columns(
        "Name  PolicyName  ParamRef  Age", _policy_binding
    ),
    (_FLOW, "FlowSchema"): Columns(
        "Name  PriorityLevel  MatchingPrecedence  DistinguisherMethod  Age  MissingPL", _flow_schema
    ),
    (_FLOW, "PriorityLevelConfiguration"): Columns(
        "Name  Type  NominalConcurrencyShares  Queues  HandSize  QueueLengthLimit  Age",
        _priority_level,
    ),
    ("apiregistration.k8s.io", "APIService"): Columns(
        "Name  Service  Available  Age", _api_service
    ),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _CREATED,
    (_DRA, "ResourceClaim"): Columns("Name  State  Age", _claim_state),
    (_DRA, "ResourceClaimTemplate"): _NAME,
    (_DRA, "DeviceClass"): _NAME,
    (_DRA, "ResourceSlice"): Columns("Name  Node  Driver  Pool  Age", _device_slice),
}
