"""What a pod's claim is bound to, and where that is if it is a directory of this node.

In:   a pod's claim.
Out:  the claim and its volume; the path of one that is no storage driver's; VolumeProblem while
      there is none, or for kinds this node does not have.
By:   volumes/act.py.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kybern.api.core.v1 import PersistentVolume, PersistentVolumeClaim
from kybern.api.errors import ApiError
from kybern.kubelet.volumes import host_path, nfs
from kybern.kubelet.volumes.content import VolumeProblem
from kybern.kubelet.volumes.plan import BLOCK, NFS

if TYPE_CHECKING:
    from pathlib import Path

    from kybern.api.core.v1 import Pod, Volume
    from kybern.client.rest import Client


async def bound(
    client: Client, pod: Pod, volume: Volume
) -> tuple[PersistentVolumeClaim, PersistentVolume]:
    """Return the claim that a pod's volume names, and the volume bound to it.

    Raises:
        VolumeProblem: there is none.
    """
    namespace = pod.metadata.namespace or ""
    if volume.persistentVolumeClaim is not None:
        name = volume.persistentVolumeClaim.claimName
    else:
        name = f"{pod.metadata.name}-{volume.name}"
    try:
        claim = await client.get(PersistentVolumeClaim, name, namespace)
        if claim.status.phase != "Bound" or not claim.spec.volumeName:
            raise VolumeProblem(f'PVC "{namespace}/{name}" is not bound')
        bound = await client.get(PersistentVolume, claim.spec.volumeName)
    except ApiError as error:
        raise VolumeProblem(f"error processing PVC {namespace}/{name}: {error}") from None
    _check(pod, volume, claim, bound)
    return claim, bound


def _check(pod: Pod, volume: Volume, claim: PersistentVolumeClaim, bound: PersistentVolume) -> None:
    """Refuse what does not belong together, whatever a claim says of itself."""
    meta, name = claim.metadata, bound.metadata.name
    owners = {owner.uid for owner in meta.ownerReferences or () if owner.controller}
    if volume.ephemeral is not None and pod.metadata.uid not in owners:
        raise VolumeProblem(
            f"PVC {meta.namespace}/{meta.name} was not created for pod "
            f"{pod.metadata.namespace}/{pod.metadata.name} (pod is not owner)"
        )
    reference = bound.spec.claimRef
    if reference is None:
        raise VolumeProblem(
            f"found PV object {name} but it has a nil pv.Spec.ClaimRef indicating it is not yet "
            "bound to the claim"
        )
    if reference.uid != meta.uid:
        raise VolumeProblem(
            f"found PV object {name} but its pv.Spec.ClaimRef.UID {reference.uid} does not point "
            f"to claim.UID {meta.uid}"
        )


async def place(bound: PersistentVolume, directory: Path) -> str:
    """Return the directory of a volume; below `directory` if it is mounted.

    Raises:
        VolumeProblem: it is no directory of this node.
    """
    spec, name = bound.spec, bound.metadata.name or ""
    if spec.hostPath is not None:
        host_path.check(spec.hostPath.path, spec.hostPath.type or "")
        return spec.hostPath.path
    if spec.local is not None:
        host_path.check(spec.local.path, "BlockDevice" if spec.volumeMode == BLOCK else "Directory")
        return spec.local.path
    if spec.nfs is not None:
        mounted = str(directory / NFS / name)
        await asyncio.to_thread(nfs.mount, spec.nfs, spec.mountOptions or (), mounted)
        return mounted
    raise VolumeProblem(f'PersistentVolume "{name}" is of no kind this node has')
