"""Columns of the core group, pods aside.

In:   objects.
Out:  their cells.
By:   all.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api.core.v1 import ObjectReference, PodTemplateSpec
from kybern.apiserver.registry.columns import words
from kybern.apiserver.registry.columns.layout import AGE, Columns
from kybern.apiserver.registry.columns.words import NONE, UNKNOWN, UNSET

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.api.core.v1 import Endpoints, Event, Node, Service

ROLE = "node-role.kubernetes.io/"


def service(obj: Service) -> list[Any]:
    """Return the cells of a Service."""
    spec = obj.spec
    cluster_ip = (spec.clusterIPs or [spec.clusterIP or NONE])[0] or NONE
    return [
        obj.metadata.name, spec.type, cluster_ip, _external(obj), _ports(obj), AGE,
        words.labels(spec.selector),
    ]  # fmt: skip


def _external(obj: Service) -> str:
    spec = obj.spec
    own = list(spec.externalIPs or ())
    if spec.type == "ExternalName":
        return spec.externalName or NONE
    if spec.type == "LoadBalancer":
        balancer = obj.status.loadBalancer
        given = [i.ip or i.hostname or "" for i in (balancer.ingress or ())] if balancer else []
        return ",".join(given + own) or "<pending>"
    return ",".join(own) or NONE


def _ports(obj: Service) -> str:
    return words.joined(
        f"{p.port}:{p.nodePort}/{p.protocol}" if p.nodePort else f"{p.port}/{p.protocol}"
        for p in obj.spec.ports or ()
    )


def endpoints(obj: Endpoints) -> list[Any]:
    """Return the cells of Endpoints: the first three addresses."""
    found: list[str] = []
    for subset in obj.subsets or ():
        for address in subset.addresses or ():
            ports = subset.ports or ()
            found += [f"{address.ip}:{p.port}" for p in ports] if ports else [address.ip]
    text = ",".join(found[:3])
    if len(found) > 3:
        text += f" + {len(found) - 3} more..."
    return [obj.metadata.name, text or NONE, AGE]


def node(obj: Node) -> list[Any]:
    """Return the cells of a Node."""
    info = obj.status.nodeInfo
    words_ = [c for c in obj.status.conditions or () if c.type == "Ready"]
    state = ("Ready" if words_[0].status == "True" else "NotReady") if words_ else "Unknown"
    if obj.spec.unschedulable:
        state += ",SchedulingDisabled"
    return [
        obj.metadata.name, state, _roles(obj), AGE, info.kubeletVersion if info else "",
        _node_address(obj, "InternalIP"), _node_address(obj, "ExternalIP"),
        (info and info.osImage) or UNKNOWN, (info and info.kernelVersion) or UNKNOWN,
        (info and info.containerRuntimeVersion) or UNKNOWN,
    ]  # fmt: skip


def _roles(obj: Node) -> str:
    found = {
        label.removeprefix(ROLE) if label.startswith(ROLE) else value
        for label, value in (obj.metadata.labels or {}).items()
        if label.startswith(ROLE) or (label == "kubernetes.io/role" and value)
    }
    return ",".join(sorted(found - {""})) or NONE


def _node_address(obj: Node, kind: str) -> str:
    return next((a.address for a in obj.status.addresses or () if a.type == kind), NONE)


def event(obj: Event) -> list[Any]:
    """Return the cells of an Event."""
    about = obj.involvedObject
    subject = f"{(about.kind or '').lower()}/{about.name or ''}"
    series = obj.series
    last = (series.lastObservedTime if series else None) or obj.lastTimestamp
    first = obj.firstTimestamp or obj.eventTime
    count = (series.count if series else None) or obj.count or 1
    source = ", ".join(p for p in _source(obj) if p)
    return [
        _seen(last or first), obj.type, obj.reason, subject, about.fieldPath or "", source,
        words.first_line(obj.message), _seen(first), count, obj.metadata.name,
    ]  # fmt: skip


def _source(obj: Event) -> tuple[str, str]:
    source = obj.source
    component = (source.component if source else None) or obj.reportingComponent or ""
    return component, (source.host if source else None) or obj.reportingInstance or ""


def event_v1(obj: Any) -> list[Any]:
    """Return the cells of an events.k8s.io Event, whose fields have other names."""
    about, series = obj.regarding, obj.series
    about = about or ObjectReference()
    last = (series.lastObservedTime if series else None) or obj.deprecatedLastTimestamp
    first = obj.deprecatedFirstTimestamp or obj.eventTime
    count = (series.count if series else None) or obj.deprecatedCount or 1
    source = ", ".join(p for p in (obj.reportingController, obj.reportingInstance) if p)
    return [
        _seen(last or first), obj.type, obj.reason, f"{(about.kind or '').lower()}/{about.name}",
        about.fieldPath or "", source, words.first_line(obj.note), _seen(first), count,
        obj.metadata.name,
    ]  # fmt: skip


def _seen(moment: str | None) -> Callable[[float], str]:
    return lambda now: words.since(moment, now)


def _volume(obj: Any) -> list[Any]:
    spec = obj.spec
    claim = f"{spec.claimRef.namespace}/{spec.claimRef.name}" if spec.claimRef else ""
    state = obj.status.phase or ""
    if obj.metadata.deletionTimestamp:
        state = "Terminating"
    return [
        obj.metadata.name, (spec.capacity or {}).get("storage", ""), words.modes(spec.accessModes),
        spec.persistentVolumeReclaimPolicy or "", state, claim, spec.storageClassName or "",
        spec.volumeAttributesClassName or UNSET, obj.status.reason or "", AGE,
        spec.volumeMode or UNSET,
    ]  # fmt: skip


def _claim(obj: Any) -> list[Any]:
    spec, status = obj.spec, obj.status
    state = "Terminating" if obj.metadata.deletionTimestamp else status.phase or ""
    bound = bool(spec.volumeName)
    return [
        obj.metadata.name, state, spec.volumeName or "",
        (status.capacity or {}).get("storage", "") if bound else "",
        words.modes(status.accessModes) if bound else "", spec.storageClassName or "",
        status.currentVolumeAttributesClassName or UNSET, AGE, spec.volumeMode or UNSET,
    ]  # fmt: skip


def _quota(obj: Any) -> list[Any]:
    hard, used = obj.status.hard or obj.spec.hard or {}, obj.status.used or {}
    requests: list[str] = []
    limits: list[str] = []
    for name in sorted(hard):
        text = f"{name}: {used.get(name, '0')}/{hard[name]}"
        (limits if name.startswith("limits") else requests).append(text)
    return [obj.metadata.name, ", ".join(requests), ", ".join(limits), AGE]


def _data(obj: Any) -> int:
    return len(obj.data or {}) + len(getattr(obj, "binaryData", None) or {})


def _controller(obj: Any) -> list[Any]:
    return [
        obj.metadata.name, obj.spec.replicas or 0, obj.status.replicas or 0,
        obj.status.readyReplicas or 0, AGE,
        *words.containers(obj.spec.template),
        words.labels(obj.spec.selector),
    ]  # fmt: skip


def _template(obj: Any) -> list[Any]:
    template = obj.template or PodTemplateSpec()
    labels = words.labels(template.metadata.labels)
    return [obj.metadata.name, *words.containers(template), labels]


def _name_and_creation(obj: Any) -> list[Any]:
    return [obj.metadata.name, obj.metadata.creationTimestamp]


_EVENT = "Last Seen  Type  Reason  Object  Subobject*  Source*  Message  First Seen*  Count*  Name*"
COLUMNS = {
    ("", "Service"): Columns("Name  Type  Cluster-IP  External-IP  Port(s)  Age|Selector", service),
    ("", "Endpoints"): Columns("Name  Endpoints  Age", endpoints),
    ("", "Node"): Columns(
        "Name  Status  Roles  Age  Version|Internal-IP  External-IP  OS-Image  Kernel-Version  "
        "Container-Runtime",
        node,
    ),
    ("", "Event"): Columns(_EVENT, event),
    ("events.k8s.io", "Event"): Columns(_EVENT, event_v1),
    ("", "Namespace"): Columns(
        "Name  Status  Age", lambda o: [o.metadata.name, o.status.phase or "", AGE]
    ),
    ("", "ConfigMap"): Columns("Name  Data  Age", lambda o: [o.metadata.name, _data(o), AGE]),
    ("", "Secret"): Columns(
        "Name  Type  Data  Age", lambda o: [o.metadata.name, o.type or "", _data(o), AGE]
    ),
    ("", "ServiceAccount"): Columns(
        "Name  Secrets  Age", lambda o: [o.metadata.name, len(o.secrets or ()), AGE]
    ),
    ("", "PersistentVolume"): Columns(
        "Name  Capacity  Access Modes  Reclaim Policy  Status  Claim  StorageClass  "
        "VolumeAttributesClass  Reason  Age|VolumeMode",
        _volume,
    ),
    ("", "PersistentVolumeClaim"): Columns(
        "Name  Status  Volume  Capacity  Access Modes  StorageClass  VolumeAttributesClass  Age"
        "|VolumeMode",
        _claim,
    ),
    ("", "ResourceQuota"): Columns("Name  Request  Limit  Age", _quota),
    ("", "LimitRange"): Columns("Name  Created At", _name_and_creation),
    ("", "ReplicationController"): Columns(
        "Name  Desired  Current  Ready  Age|Containers  Images  Selector", _controller
    ),
    ("", "PodTemplate"): Columns("Name  Containers  Images  Pod Labels", _template),
}
