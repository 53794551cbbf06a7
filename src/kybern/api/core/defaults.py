"""What the core kinds get that their author did not say.

In:   an object as decoded.
Out:  the same object with defaults filled in, in place.
By:   `api.defaults`. Pods and their templates are next door, in `pod_defaults`.

Facts: upstream's `pkg/apis/core/v1/defaults.go`. Structs which Go writes even when they are empty
(`status.loadBalancer: {}`) are put in as well, so that answers read as upstream's.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final

from kybern.api.core import v1
from kybern.api.core.pod_defaults import (
    default_azure_disk,
    default_claim_spec,
    default_iscsi,
    default_pod,
    default_rbd,
    default_scale_io,
    default_template,
    round_resources,
)

if TYPE_CHECKING:
    from collections.abc import Callable

AFFINITY_SECONDS: Final = 10800
NAME_LABEL: Final = "kubernetes.io/metadata.name"
BALANCED: Final = ("NodePort", "LoadBalancer", "ClusterIP")


def default_replication_controller(obj: v1.ReplicationController) -> None:
    """Replicas, and labels and selector out of the template."""
    spec = obj.spec
    default_template(spec.template)
    if spec.replicas is None:
        spec.replicas = 1
    labels = spec.template.metadata.labels if spec.template is not None else None
    if labels:
        spec.selector = spec.selector or dict(labels)
        obj.metadata.labels = obj.metadata.labels or dict(labels)


def default_pod_template(obj: v1.PodTemplate) -> None:
    """The template."""
    if obj.template is None:
        obj.template = v1.PodTemplateSpec()
    default_template(obj.template)


def default_service(obj: v1.Service) -> None:
    """Type, ports, traffic policies, session affinity."""
    spec = obj.spec
    spec.type = spec.type or "ClusterIP"
    _default_affinity(spec)
    for port in spec.ports or ():
        port.protocol = port.protocol or "TCP"
        if not port.targetPort:
            port.targetPort = port.port
    reachable = spec.type in ("LoadBalancer", "NodePort") or (
        spec.type == "ClusterIP" and spec.externalIPs
    )
    if reachable and not spec.externalTrafficPolicy:
        spec.externalTrafficPolicy = "Cluster"
    if spec.internalTrafficPolicy is None and spec.type in BALANCED:
        spec.internalTrafficPolicy = "Cluster"
    if obj.status.loadBalancer is None:
        obj.status.loadBalancer = v1.LoadBalancerStatus()
    if spec.type == "LoadBalancer":
        if spec.allocateLoadBalancerNodePorts is None:
            spec.allocateLoadBalancerNodePorts = True
        for ingress in obj.status.loadBalancer.ingress or ():
            if ingress.ip and ingress.ipMode is None:
                ingress.ipMode = "VIP"


def _default_affinity(spec: v1.ServiceSpec) -> None:
    spec.sessionAffinity = spec.sessionAffinity or "None"
    if spec.sessionAffinity == "None":
        spec.sessionAffinityConfig = None
    if spec.sessionAffinity != "ClientIP":
        return
    config = spec.sessionAffinityConfig
    if config is None or config.clientIP is None or config.clientIP.timeoutSeconds is None:
        client_ip = v1.ClientIPConfig(timeoutSeconds=AFFINITY_SECONDS)
        spec.sessionAffinityConfig = v1.SessionAffinityConfig(clientIP=client_ip)


def default_secret(obj: v1.Secret) -> None:
    """The type; what was given as plain text joins the data, and is not kept."""
    obj.type = obj.type or "Opaque"
    if obj.stringData:
        data = obj.data or {}
        for key, text in obj.stringData.items():
            data[key] = b64encode(text.encode()).decode()
        obj.data = data
    obj.stringData = None


def default_namespace(obj: v1.Namespace) -> None:
    """The phase, and the label which selectors rely on."""
    obj.status.phase = obj.status.phase or "Active"
    if obj.metadata.name:
        labels = obj.metadata.labels
        if labels is None:
            labels = obj.metadata.labels = {}
        labels[NAME_LABEL] = obj.metadata.name


def default_node(obj: v1.Node) -> None:
    """What may be used, when only what is there was said; the pods' network in both fields."""
    spec, status = obj.spec, obj.status
    if spec.podCIDR and spec.podCIDR != (spec.podCIDRs or [""])[0]:
        spec.podCIDRs = [spec.podCIDR]
    elif spec.podCIDRs:
        spec.podCIDR = spec.podCIDRs[0]
    round_resources(status.capacity)
    round_resources(status.allocatable)
    if status.allocatable is None and status.capacity is not None:
        status.allocatable = dict(status.capacity)


def default_endpoints(obj: v1.Endpoints) -> None:
    """The protocol of each port."""
    for subset in obj.subsets or ():
        for port in subset.ports or ():
            port.protocol = port.protocol or "TCP"


def default_persistent_volume(obj: v1.PersistentVolume) -> None:
    """Phase, reclaim policy, volume mode, and those of the kind of volume."""
    spec = obj.spec
    obj.status.phase = obj.status.phase or "Pending"
    spec.persistentVolumeReclaimPolicy = spec.persistentVolumeReclaimPolicy or "Retain"
    if spec.volumeMode is None:
        spec.volumeMode = "Filesystem"
    round_resources(spec.capacity)
    if spec.hostPath is not None and spec.hostPath.type is None:
        spec.hostPath.type = ""
    if spec.iscsi is not None:
        default_iscsi(spec.iscsi)
    if spec.rbd is not None:
        default_rbd(spec.rbd)
    if spec.scaleIO is not None:
        default_scale_io(spec.scaleIO)
    if spec.azureDisk is not None:
        default_azure_disk(spec.azureDisk)


def default_persistent_volume_claim(obj: v1.PersistentVolumeClaim) -> None:
    """Phase and volume mode."""
    obj.status.phase = obj.status.phase or "Pending"
    default_claim_spec(obj.spec)
    round_resources(obj.status.capacity)
    round_resources(obj.status.allocatedResources)


def default_limit_range(obj: v1.LimitRange) -> None:
    """Default limits out of the maximum, default requests out of limits or the minimum."""
    for item in obj.spec.limits:
        for resources in (item.default, item.defaultRequest, item.max, item.min):
            round_resources(resources)
        round_resources(item.maxLimitRequestRatio)
        if item.type != "Container":
            continue
        default = {**(item.max or {}), **(item.default or {})}
        request = {**(item.min or {}), **default, **(item.defaultRequest or {})}
        item.default = default or None
        item.defaultRequest = request or None


def default_resource_quota(obj: v1.ResourceQuota) -> None:
    """Amounts as upstream stores them."""
    for resources in (obj.spec.hard, obj.status.hard, obj.status.used):
        round_resources(resources)


DEFAULTERS: Final[dict[str, Callable[[Any], None]]] = {
    "Endpoints": default_endpoints,
    "LimitRange": default_limit_range,
    "Namespace": default_namespace,
    "Node": default_node,
    "PersistentVolume": default_persistent_volume,
    "PersistentVolumeClaim": default_persistent_volume_claim,
    "Pod": default_pod,
    "PodTemplate": default_pod_template,
    "ReplicationController": default_replication_controller,
    "ResourceQuota": default_resource_quota,
    "Secret": default_secret,
    "Service": default_service,
}
