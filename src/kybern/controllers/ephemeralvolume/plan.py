"""The claims a pod brings along.

In:   a pod.
Out:  the claims there should be; whether one that is there is the pod's.
By:   ephemeralvolume.controller. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import codec
from kybern.api.core.v1 import PersistentVolumeClaim
from kybern.api.meta.v1 import ObjectMeta
from kybern.controllers.runtime.ownership import is_controlled_by, reference_to

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kybern.api.core.v1 import Pod


def missing(pod: Pod) -> Iterator[PersistentVolumeClaim]:
    """Yield the claim of each ephemeral volume, named after pod and volume."""
    for volume in pod.spec.volumes or ():
        template = volume.ephemeral and volume.ephemeral.volumeClaimTemplate
        if not template:
            continue
        meta = template.metadata
        yield PersistentVolumeClaim(
            metadata=ObjectMeta(
                name=f"{pod.metadata.name}-{volume.name}",
                namespace=pod.metadata.namespace,
                labels=dict(meta.labels) if meta.labels else None,
                annotations=dict(meta.annotations) if meta.annotations else None,
                ownerReferences=[reference_to(pod)],
            ),
            spec=codec.clone(template.spec),
        )


def conflict(pod: Pod, claim: PersistentVolumeClaim) -> str:
    """Return why a claim of the right name cannot be used; "" when it can."""
    if is_controlled_by(claim, pod):
        return ""
    where = f"{claim.metadata.namespace}/{claim.metadata.name}"
    return f"PVC {where} was not created for pod {pod.metadata.name} (pod is not owner)"
