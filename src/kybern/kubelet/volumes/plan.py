"""Which volumes a pod needs, where they are on the node, and where containers see them.

In:   a Pod, the directory of the pod on the node.
Out:  VolumePlans and MountPlans; VolumeProblem for what this node cannot do.
By:   volumes/act.py, pods/act.py. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kybern.kubelet.pods import specs
from kybern.kubelet.pods.environment import ConfigProblem, Reference
from kybern.kubelet.pods.expansion import expand, unknown_references
from kybern.kubelet.runtime.messages import container as c
from kybern.kubelet.volumes.content import VolumeProblem

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from kybern.api.core.v1 import Pod, Volume, VolumeMount
    from kybern.kubelet.pods.specs import AnyContainer

# field of the Volume → the directory its kind has in upstream's layout
TEXT_KINDS = {
    "configMap": "kubernetes.io~configmap",
    "secret": "kubernetes.io~secret",
    "downwardAPI": "kubernetes.io~downward-api",
    "projected": "kubernetes.io~projected",
}
IN_MEMORY = ("secret", "projected")  # they hold credentials, which belong on no disk
IMAGE = "kubernetes.io~image"
EMPTY_DIR = "kubernetes.io~empty-dir"
NFS = "kubernetes.io~nfs"
BLOCK, FILESYSTEM = "Block", "Filesystem"
PROPAGATION = {
    "HostToContainer": c.MountPropagation.HOST_TO_CONTAINER,
    "Bidirectional": c.MountPropagation.BIDIRECTIONAL,
}


@dataclass(frozen=True, slots=True)
class VolumePlan:
    """One volume: its kind (the name of the field which is set) and its path on the node.

    The path is empty for claims, whose place is known only once the claim has been looked up.
    """

    volume: Volume
    kind: str
    path: str

    @property
    def name(self) -> str:
        """The volume's name."""
        return self.volume.name


@dataclass(frozen=True, slots=True)
class MountPlan:
    """One place in a container where a volume, or a part of it, is seen."""

    volume: str
    host_path: str
    sub_path: str
    container_path: str
    read_only: bool
    propagation: int
    recursive: bool = False


def volume_kind(volume: Volume) -> str:
    """Return which kind of volume this is; an empty one is an emptyDir."""
    for name in volume.__struct_fields__:
        if name != "name" and getattr(volume, name) is not None:
            return name
    return "emptyDir"


def volume_plans(pod: Pod, pod_dir: Path) -> list[VolumePlan]:
    """Return a plan for each volume of a pod."""
    plans = []
    for volume in pod.spec.volumes or ():
        kind = volume_kind(volume)
        if kind in TEXT_KINDS:
            path = str(pod_dir / "volumes" / TEXT_KINDS[kind] / volume.name)
        elif kind == "emptyDir":
            path = str(pod_dir / "volumes" / EMPTY_DIR / volume.name)
        elif kind == "nfs":
            path = str(pod_dir / "volumes" / NFS / volume.name)
        elif kind == "image":
            path = str(pod_dir / "volumes" / IMAGE / volume.name)
        elif kind == "hostPath" and volume.hostPath is not None:
            path = volume.hostPath.path
        else:
            path = ""
        plans.append(VolumePlan(volume, kind, path))
    return plans


def references(volume: Volume) -> set[Reference]:
    """Return the ConfigMaps and Secrets whose content a volume shows."""
    found: set[Reference] = set()
    if volume.configMap is not None:
        found.add(Reference("ConfigMap", volume.configMap.name or ""))
    if volume.secret is not None:
        found.add(Reference("Secret", volume.secret.secretName or ""))
    for source in (volume.projected.sources if volume.projected else None) or ():
        if source.configMap is not None:
            found.add(Reference("ConfigMap", source.configMap.name or ""))
        if source.secret is not None:
            found.add(Reference("Secret", source.secret.name or ""))
    return found


def is_read_only(volume: Volume) -> bool:
    """Whether nobody may write to a volume, whatever a mount of it says: what shows objects, too.

    Source: GetAttributes of upstream's volume plugins.
    """
    claim, share, driver = volume.persistentVolumeClaim, volume.nfs, volume.csi
    return (
        volume_kind(volume) in (*TEXT_KINDS, "image")
        or (claim is not None and bool(claim.readOnly))
        or (share is not None and bool(share.readOnly))
        or (driver is not None and bool(driver.readOnly))
    )


def device_plans(
    container: AnyContainer, places: Mapping[str, str], read_only: Collection[str] = ()
) -> list[c.Device]:
    """Return where a container sees which volume as a block device."""
    return [
        c.Device(each.devicePath, places[each.name], "r" if each.name in read_only else "mrw")
        for each in container.volumeDevices or ()
    ]


def check_use(pod: Pod, volume: str, mode: str) -> None:
    """Refuse a volume that a container uses in another way than it was made for.

    Raises:
        VolumeProblem: with upstream's words.
    """
    other = "volumeMounts" if mode == BLOCK else "volumeDevices"
    for wanted in specs.all_containers(pod):
        if any(each.name == volume for each in getattr(wanted.spec, other) or ()):
            raise VolumeProblem(
                f"volume {volume} has volumeMode {mode}, but is specified in {other}"
            )


def mount_plans(
    container: AnyContainer,
    places: Mapping[str, str],
    variables: Mapping[str, str],
    read_only: Collection[str] = (),
) -> list[MountPlan]:
    """Return where a container sees which volume.

    Args:
        container: mounts them.
        places: where each volume is on the node.
        variables: what sub-paths may refer to.
        read_only: the volumes nobody may write to.

    Raises:
        ConfigProblem: a sub-path refers to a variable there is not, or to a place outside.
    """
    return [_mount_plan(m, places, variables, read_only) for m in container.volumeMounts or ()]


def _mount_plan(
    mount: VolumeMount,
    places: Mapping[str, str],
    variables: Mapping[str, str],
    read_only: Collection[str],
) -> MountPlan:
    sub_path = mount.subPath or ""
    if mount.subPathExpr:
        if missing := unknown_references(mount.subPathExpr, variables):
            raise ConfigProblem(
                f"missing value for {_quoted(missing[0])} in subPathExpr "
                f"{_quoted(mount.subPathExpr)}"
            )
        sub_path = expand(mount.subPathExpr, variables)
    if sub_path.startswith("/") or ".." in sub_path.split("/"):
        raise ConfigProblem(
            f"unable to provision SubPath `{sub_path}`: it must be a relative path without '..'"
        )
    path = mount.mountPath
    return MountPlan(
        volume=mount.name,
        host_path=places[mount.name],
        sub_path=sub_path,
        container_path=path if path.startswith("/") else f"/{path}",
        read_only=bool(mount.readOnly) or mount.name in read_only,
        propagation=int(PROPAGATION.get(mount.mountPropagation or "", c.MountPropagation.PRIVATE)),
    )


def _quoted(text: str) -> str:
    return f'"{text}"'
