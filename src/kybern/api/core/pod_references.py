"""Which other objects a pod needs on its node.

In:   a pod.
Out:  the secrets, config maps, claims and the account it refers to.
By:   the node authorizer, and what bounds the pods that kubelets write themselves. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kybern.api.core.v1 import Pod, Volume

SECRET_REFS = ("cephfs", "flexVolume", "iscsi", "rbd", "scaleIO", "storageos")
"""Volumes that name a secret in `secretRef`."""


def references_of(pod: Pod) -> set[tuple[str, str, str]]:
    """Return what a pod refers to, as (plural, namespace, name)."""
    spec, namespace = pod.spec, pod.metadata.namespace or ""
    found = {("serviceaccounts", spec.serviceAccountName or "default")}
    found |= {("secrets", r.name or "") for r in spec.imagePullSecrets or ()}
    for containers in (spec.containers, spec.initContainers, spec.ephemeralContainers):
        for container in containers or ():
            found.update(_of_environment(container))
    for volume in spec.volumes or ():
        found.update(_of_volume(volume, pod.metadata.name or ""))
    for status in pod.status.resourceClaimStatuses or ():
        found.add(("resourceclaims", status.resourceClaimName or ""))
    return {(plural, namespace, name) for plural, name in found if name}


def _of_environment(container: Any) -> Iterator[tuple[str, str]]:
    for source in container.envFrom or ():
        if source.secretRef is not None:
            yield "secrets", source.secretRef.name or ""
        if source.configMapRef is not None:
            yield "configmaps", source.configMapRef.name or ""
    for variable in container.env or ():
        source = variable.valueFrom
        if source is None:
            continue
        if source.secretKeyRef is not None:
            yield "secrets", source.secretKeyRef.name or ""
        if source.configMapKeyRef is not None:
            yield "configmaps", source.configMapKeyRef.name or ""


def _of_volume(volume: Volume, pod: str) -> Iterator[tuple[str, str]]:
    if volume.secret is not None:
        yield "secrets", volume.secret.secretName or ""
    if volume.configMap is not None:
        yield "configmaps", volume.configMap.name or ""
    if volume.persistentVolumeClaim is not None:
        yield "persistentvolumeclaims", volume.persistentVolumeClaim.claimName
    if volume.ephemeral is not None:
        yield "persistentvolumeclaims", f"{pod}-{volume.name}"
    if volume.csi is not None and volume.csi.nodePublishSecretRef is not None:
        yield "secrets", volume.csi.nodePublishSecretRef.name or ""
    if volume.azureFile is not None:
        yield "secrets", volume.azureFile.secretName
    for name in SECRET_REFS:
        source = getattr(volume, name)
        if source is not None and source.secretRef is not None:
            yield "secrets", source.secretRef.name or ""
    for projection in (volume.projected.sources or ()) if volume.projected is not None else ():
        if projection.secret is not None:
            yield "secrets", projection.secret.name or ""
        if projection.configMap is not None:
            yield "configmaps", projection.configMap.name or ""
