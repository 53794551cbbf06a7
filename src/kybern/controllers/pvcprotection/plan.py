"""Whether a claim needs its finalizer.

In:   a PersistentVolumeClaim, and the pods of its namespace which name it.
Out:  the finalizers it should have; the claims of a pod.
By:   pvcprotection.controller. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.api.core.v1 import PersistentVolumeClaim, Pod

FINALIZER = "kubernetes.io/pvc-protection"


def finalizers(claim: PersistentVolumeClaim, pods: Iterable[Pod]) -> list[str]:
    """Return what should keep the claim: ours until it is deleted and no pod needs it.

    A pod without a node does not count: no kubelet starts one whose claim is being deleted.
    """
    have = list(claim.metadata.finalizers or ())
    if claim.metadata.deletionTimestamp is None:
        return have if FINALIZER in have else [*have, FINALIZER]
    if any(pod.spec.nodeName for pod in pods):
        return have
    return [name for name in have if name != FINALIZER]


def claims_of(pod: Pod) -> list[str]:
    """Return the names of the claims a pod uses."""
    found = []
    for volume in pod.spec.volumes or ():
        if volume.persistentVolumeClaim is not None:
            found.append(volume.persistentVolumeClaim.claimName)
        elif volume.ephemeral is not None:
            found.append(f"{pod.metadata.name}-{volume.name}")
    return found
