"""Where a persistent volume is, for the kinds that are a directory of this node.

In:   a pod's claim.
Out:  the path of the volume bound to it; VolumeProblem while there is none, or for other kinds.
By:   volumes/act.py. Volumes of storage drivers (CSI) are not supported yet.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kybern.api.core.v1 import PersistentVolume, PersistentVolumeClaim
from kybern.api.errors import ApiError
from kybern.kubelet.volumes import host_path, nfs
from kybern.kubelet.volumes.content import VolumeProblem
from kybern.kubelet.volumes.plan import NFS

if TYPE_CHECKING:
    from pathlib import Path

    from kybern.api.core.v1 import Pod, Volume
    from kybern.client.rest import Client


async def place(client: Client, pod: Pod, volume: Volume, directory: Path) -> str:
    """Return the directory of the volume bound to a claim; below `directory` if it is mounted.

    Raises:
        VolumeProblem: there is none, or none that is a directory of this node.
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
    spec = bound.spec
    if spec.hostPath is not None:
        host_path.check(spec.hostPath.path, spec.hostPath.type or "")
        return spec.hostPath.path
    if spec.local is not None:
        host_path.check(spec.local.path, "Directory")
        return spec.local.path
    if spec.nfs is not None:
        mounted = str(directory / NFS / claim.spec.volumeName)
        await asyncio.to_thread(nfs.mount, spec.nfs, spec.mountOptions or (), mounted)
        return mounted
    raise VolumeProblem(f'PersistentVolume "{claim.spec.volumeName}" is of no kind this node has')
