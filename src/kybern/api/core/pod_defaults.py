"""What a pod gets that its author did not say.

In:   a Pod or PodTemplateSpec as decoded.
Out:  the same object with defaults filled in, in place. Filling in twice changes nothing.
By:   `core.defaults` and the defaults of every kind with a pod template.

Facts: upstream's `pkg/apis/core/v1/defaults.go`. Some defaults belong to pods alone and do not
appear in templates, so that stored templates stay as they were written.
"""

from __future__ import annotations

from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from kybern.api.core import v1
from kybern.api.core.pods import aggregate_requests
from kybern.api.quantity import canonical_resource

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.api.core.v1 import (
        Container,
        EphemeralContainer,
        Lifecycle,
        Pod,
        PodSpec,
        PodTemplateSpec,
        Probe,
        ResourceRequirements,
        Volume,
    )

FILE_MODE: Final = 0o644
TOKEN_SECONDS: Final = 3600
POD_LEVEL: Final = ("cpu", "memory")
HUGE_PAGES: Final = "hugepages-"

VOLUME_SOURCES: Final = tuple(n for n in v1.Volume.__struct_fields__ if n != "name")
_sources = attrgetter(*VOLUME_SOURCES)


@lru_cache(4096)
def pull_policy(image: str) -> str:
    """When to pull an image: `Always` for what is, or means, the tag `latest`."""
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    if not tag and not digest and image:
        tag = "latest"
    return "Always" if tag == "latest" else "IfNotPresent"


def round_resources(resources: dict[str, str] | None) -> None:
    """Write quantities as upstream stores resource lists: canonical, at most thousandths."""
    if resources:
        for name, text in resources.items():
            resources[name] = canonical_resource(text)


def default_pod(pod: Pod) -> None:
    """A pod: what its template would get, and what only pods get."""
    spec = pod.spec
    default_pod_spec(spec)
    for container in spec.containers:
        _request_limits(container)
    for container in spec.initContainers or ():
        _request_limits(container)
    if spec.resources is not None:
        _default_pod_resources(spec, spec.resources)
    if spec.enableServiceLinks is None:
        spec.enableServiceLinks = True
    if spec.hostNetwork:
        for container in (*spec.containers, *(spec.initContainers or ())):
            for port in container.ports or ():
                port.hostPort = port.hostPort or port.containerPort


def default_template(template: PodTemplateSpec | None) -> None:
    """A pod template."""
    if template is not None:
        default_pod_spec(template.spec)


def default_pod_spec(spec: PodSpec) -> None:
    """What pods and templates both get."""
    if not spec.dnsPolicy:
        spec.dnsPolicy = "ClusterFirst"
    if not spec.restartPolicy:
        spec.restartPolicy = "Always"
    if spec.securityContext is None:
        spec.securityContext = v1.PodSecurityContext()
    if spec.terminationGracePeriodSeconds is None:
        spec.terminationGracePeriodSeconds = 30
    if not spec.schedulerName:
        spec.schedulerName = "default-scheduler"
    if spec.serviceAccountName:
        spec.serviceAccount = spec.serviceAccountName
    elif spec.serviceAccount:
        spec.serviceAccountName = spec.serviceAccount
    for volume in spec.volumes or ():
        default_volume(volume)
    for container in spec.containers:
        default_container(container)
    for container in spec.initContainers or ():
        default_container(container)
    for ephemeral in spec.ephemeralContainers or ():
        default_container(ephemeral)
    round_resources(spec.overhead)


def default_container(container: Container | EphemeralContainer) -> None:
    """One container of any sort."""
    if not container.imagePullPolicy:
        container.imagePullPolicy = pull_policy(container.image or "")
    if not container.terminationMessagePath:
        container.terminationMessagePath = "/dev/termination-log"
    if not container.terminationMessagePolicy:
        container.terminationMessagePolicy = "File"
    resources = container.resources
    if resources is None:
        container.resources = v1.ResourceRequirements()
    else:
        round_resources(resources.limits)
        round_resources(resources.requests)
    for port in container.ports or ():
        if not port.protocol:
            port.protocol = "TCP"
    for variable in container.env or ():
        source = variable.valueFrom
        if source is not None:
            _default_env_source(source)
    if container.livenessProbe is not None:
        default_probe(container.livenessProbe)
    if container.readinessProbe is not None:
        default_probe(container.readinessProbe)
    if container.startupProbe is not None:
        default_probe(container.startupProbe)
    if container.lifecycle is not None:
        _default_lifecycle(container.lifecycle)


def _default_env_source(source: v1.EnvVarSource) -> None:
    if source.fieldRef is not None and not source.fieldRef.apiVersion:
        source.fieldRef.apiVersion = "v1"
    # The divisor is not a pointer upstream: its zero value is always written.
    if source.resourceFieldRef is not None and not source.resourceFieldRef.divisor:
        source.resourceFieldRef.divisor = "0"
    if source.fileKeyRef is not None and source.fileKeyRef.optional is None:
        source.fileKeyRef.optional = False


def default_probe(probe: Probe) -> None:
    """A probe of any sort."""
    probe.timeoutSeconds = probe.timeoutSeconds or 1
    probe.periodSeconds = probe.periodSeconds or 10
    probe.successThreshold = probe.successThreshold or 1
    probe.failureThreshold = probe.failureThreshold or 3
    if probe.httpGet is not None:
        _default_http(probe.httpGet)
    if probe.grpc is not None and probe.grpc.service is None:
        probe.grpc.service = ""


def _default_http(action: v1.HTTPGetAction) -> None:
    action.path = action.path or "/"
    action.scheme = action.scheme or "HTTP"


def _default_lifecycle(lifecycle: Lifecycle) -> None:
    for handler in (lifecycle.postStart, lifecycle.preStop):
        if handler is not None and handler.httpGet is not None:
            _default_http(handler.httpGet)


def _request_limits(container: Container) -> None:
    """A pod's container which limits something requests as much, unless it says otherwise."""
    resources = container.resources
    if resources is not None and resources.limits:
        resources.requests = {**resources.limits, **(resources.requests or {})}


def _default_pod_resources(spec: PodSpec, resources: ResourceRequirements) -> None:
    """Requests of the whole pod, where only its limits were given."""
    round_resources(resources.limits)
    round_resources(resources.requests)
    if not resources.limits:
        return
    requests = resources.requests or {}
    for name, quantity in aggregate_requests(spec).items():
        if name in POD_LEVEL:
            requests.setdefault(name, str(quantity))
    for name, text in resources.limits.items():
        if name in POD_LEVEL or name.startswith(HUGE_PAGES):
            requests.setdefault(name, text)
    if requests:
        resources.requests = requests


def default_volume(volume: Volume) -> None:
    """A volume of any kind; of none, an empty directory."""
    sources = _sources(volume)
    if sources.count(None) == len(sources):
        volume.emptyDir = v1.EmptyDirVolumeSource()
        return
    for source in sources:
        if source is not None and (fill := _VOLUME_DEFAULTS.get(type(source))):
            fill(source)


def _default_mode(source: v1.SecretVolumeSource | v1.ConfigMapVolumeSource) -> None:
    if source.defaultMode is None:
        source.defaultMode = FILE_MODE


def _default_downward(source: v1.DownwardAPIVolumeSource | v1.DownwardAPIProjection) -> None:
    for item in source.items or ():
        if item.fieldRef is not None and not item.fieldRef.apiVersion:
            item.fieldRef.apiVersion = "v1"
        if item.resourceFieldRef is not None and not item.resourceFieldRef.divisor:
            item.resourceFieldRef.divisor = "0"
    if isinstance(source, v1.DownwardAPIVolumeSource) and source.defaultMode is None:
        source.defaultMode = FILE_MODE


def _default_projected(source: v1.ProjectedVolumeSource) -> None:
    if source.defaultMode is None:
        source.defaultMode = FILE_MODE
    for each in source.sources or ():
        token = each.serviceAccountToken
        if token is not None and token.expirationSeconds is None:
            token.expirationSeconds = TOKEN_SECONDS
        if each.downwardAPI is not None:
            _default_downward(each.downwardAPI)


def _default_host_path(source: v1.HostPathVolumeSource) -> None:
    if source.type is None:
        source.type = ""


def _default_image(source: v1.ImageVolumeSource) -> None:
    source.pullPolicy = source.pullPolicy or pull_policy(source.reference or "")


def _default_ephemeral(source: v1.EphemeralVolumeSource) -> None:
    template = source.volumeClaimTemplate
    if template is not None:
        default_claim_spec(template.spec)


def default_claim_spec(spec: v1.PersistentVolumeClaimSpec) -> None:
    """The spec of a claim, wherever it stands."""
    if spec.volumeMode is None:
        spec.volumeMode = "Filesystem"
    if spec.resources is None:
        spec.resources = v1.VolumeResourceRequirements()
    round_resources(spec.resources.limits)
    round_resources(spec.resources.requests)


def default_iscsi(source: v1.ISCSIVolumeSource | v1.ISCSIPersistentVolumeSource) -> None:
    """A volume of a SCSI target."""
    source.iscsiInterface = source.iscsiInterface or "default"


def default_rbd(source: v1.RBDVolumeSource | v1.RBDPersistentVolumeSource) -> None:
    """A volume of a Ceph block device."""
    source.pool = source.pool or "rbd"
    source.user = source.user or "admin"
    source.keyring = source.keyring or "/etc/ceph/keyring"


def default_scale_io(source: v1.ScaleIOVolumeSource | v1.ScaleIOPersistentVolumeSource) -> None:
    """A volume of ScaleIO."""
    source.storageMode = source.storageMode or "ThinProvisioned"
    source.fsType = source.fsType or "xfs"


def default_azure_disk(source: v1.AzureDiskVolumeSource) -> None:
    """A volume of an Azure disk."""
    source.cachingMode = source.cachingMode or "ReadWrite"
    source.kind = source.kind or "Shared"
    source.fsType = source.fsType or "ext4"
    if source.readOnly is None:
        source.readOnly = False


_VOLUME_DEFAULTS: Final[dict[type, Callable[[Any], None]]] = {
    v1.SecretVolumeSource: _default_mode,
    v1.ConfigMapVolumeSource: _default_mode,
    v1.DownwardAPIVolumeSource: _default_downward,
    v1.ProjectedVolumeSource: _default_projected,
    v1.HostPathVolumeSource: _default_host_path,
    v1.ImageVolumeSource: _default_image,
    v1.EphemeralVolumeSource: _default_ephemeral,
    v1.ISCSIVolumeSource: default_iscsi,
    v1.RBDVolumeSource: default_rbd,
    v1.ScaleIOVolumeSource: default_scale_io,
    v1.AzureDiskVolumeSource: default_azure_disk,
}
