"""What to do about a claim or a volume of a driver.

In:   a claim, its class, what the driver made.
Out:  the request for the driver, and the objects to write.
By:   csiprovisioner.controller. Pure.

A volume is never forgotten: its name follows from the claim's uid, and the claim has a finalizer
from before the driver is first asked until the PersistentVolume is there, or the driver has said
for certain that it made nothing.

Source: external-provisioner's `pkg/controller/controller.go`.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, cast

from kybern.api import codec
from kybern.api.core.v1 import (
    CSIPersistentVolumeSource,
    ObjectReference,
    PersistentVolume,
    PersistentVolumeSpec,
    SecretReference,
)
from kybern.api.core.volume_matching import (
    OLD_PROVISIONER,
    PROVISIONED_BY,
    PROVISIONER,
    SELECTED_NODE,
    WAITS,
    class_of,
    size_of,
)
from kybern.api.meta.v1 import ObjectMeta
from kybern.api.quantity import Format, from_value, parse
from kybern.controllers.csi import secrets
from kybern.controllers.csi.capabilities import access_mode, capability
from kybern.controllers.csi.topology import affinity
from kybern.csi.messages import CapacityRange, CreateVolumeRequest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from kybern.api.core.v1 import PersistentVolumeClaim
    from kybern.api.storage.v1 import StorageClass
    from kybern.csi.messages import TopologyRequirement, Volume, VolumeContentSource

T = TypeVar("T")

FINALIZER: Final = "external-provisioner.volume.kubernetes.io/finalizer"
MAKING: Final = "kybern.io/volume-is-being-made"
IDENTITY: Final = "storage.kubernetes.io/csiProvisionerIdentity"
DELETION_SECRET: Final = "volume.kubernetes.io/provisioner-deletion-secret-name"  # noqa: S105
DELETION_NAMESPACE: Final = "volume.kubernetes.io/provisioner-deletion-secret-namespace"


class Deed(Enum):
    """What a claim needs."""

    NOTHING = "nothing"
    MAKE = "a volume"
    SETTLE = "to be let go: it has its volume, or nothing was begun"
    ABANDON = "what may have been begun taken back: the claim is being deleted"


def provisioner_of(claim: PersistentVolumeClaim) -> str:
    """Return which driver the binder chose for a claim; "" for none."""
    annotations = claim.metadata.annotations or {}
    return annotations.get(PROVISIONER) or annotations.get(OLD_PROVISIONER) or ""


def volume_name(claim: PersistentVolumeClaim) -> str:
    """Return the name of a claim's volume: the same one however often it is asked for."""
    return f"pvc-{claim.metadata.uid}"


def deed(
    claim: PersistentVolumeClaim, found: StorageClass | None, *, volume_is_there: bool
) -> Deed:
    """Return what a claim needs."""
    begun = MAKING in (claim.metadata.finalizers or ())
    if volume_is_there or claim.spec.volumeName:
        return Deed.SETTLE if begun else Deed.NOTHING
    if claim.metadata.deletionTimestamp is not None:
        return Deed.ABANDON if begun else Deed.NOTHING
    if found is None or found.provisioner != provisioner_of(claim):
        return Deed.NOTHING
    if found.volumeBindingMode == WAITS and not selected_node(claim):
        return Deed.NOTHING
    return Deed.MAKE


def selected_node(claim: PersistentVolumeClaim) -> str:
    """Return the node the scheduler chose; "" for none."""
    return (claim.metadata.annotations or {}).get(SELECTED_NODE, "")


def begun(claim: PersistentVolumeClaim) -> PersistentVolumeClaim:
    """Return a claim that stays until it is known what became of its volume."""
    return with_finalizer(claim, MAKING)


def settled(claim: PersistentVolumeClaim) -> PersistentVolumeClaim:
    """Return a claim of which that is known."""
    return without(claim, MAKING)


def with_finalizer(obj: T, finalizer: str) -> T:
    """Return an object with one more finalizer."""
    mine: Any = codec.clone(obj)
    mine.metadata.finalizers = [*(mine.metadata.finalizers or ()), finalizer]
    return cast("T", mine)


def without(obj: T, finalizer: str) -> T:
    """Return an object with one finalizer less."""
    mine: Any = codec.clone(obj)
    kept = [each for each in mine.metadata.finalizers or () if each != finalizer]
    mine.metadata.finalizers = kept or None
    return cast("T", mine)


def elsewhere(claim: PersistentVolumeClaim) -> PersistentVolumeClaim:
    """Return a claim for which the scheduler has to choose again."""
    mine = codec.clone(claim)
    annotations = dict(mine.metadata.annotations or {})
    annotations.pop(SELECTED_NODE, None)
    mine.metadata.annotations = annotations
    return mine


class Ask(NamedTuple):
    """Everything the request depends on beside claim and class."""

    rpcs: AbstractSet[int]
    secrets: Mapping[str, str]
    content: VolumeContentSource | None
    where: TopologyRequirement | None
    mutable: Mapping[str, str]


def request(claim: PersistentVolumeClaim, found: StorageClass, ask: Ask) -> CreateVolumeRequest:
    """Return what to ask of the driver.

    Raises:
        UnsupportedModesError: the access modes do not go together.
    """
    limits = (claim.spec.resources and claim.spec.resources.limits) or {}
    limit = parse(limits["storage"]).value if "storage" in limits else 0
    fs_type = secrets.file_system(found.parameters)
    block = claim.spec.volumeMode == "Block"
    modes = claim.spec.accessModes or ()
    access_mode(modes, ask.rpcs)
    return CreateVolumeRequest(
        name=volume_name(claim),
        capacity_range=CapacityRange(size_of(claim).value, limit),
        volume_capabilities=[
            capability(
                access_mode([each], ask.rpcs), block=block, fs_type=fs_type,
                mount_options=found.mountOptions or (),
            )
            for each in modes
        ],
        parameters=secrets.for_driver(found.parameters),
        secrets=dict(ask.secrets),
        volume_content_source=ask.content,
        accessibility_requirements=ask.where,
        mutable_parameters=dict(ask.mutable),
    )  # fmt: skip


def new_volume(
    claim: PersistentVolumeClaim, found: StorageClass, made: Volume, identity: str
) -> PersistentVolume:
    """Return the PersistentVolume for what the driver made."""
    meta, driver = claim.metadata, found.provisioner
    name = volume_name(claim)
    references = _references(claim, found, name)
    annotations = {PROVISIONED_BY: driver}
    deletion = references.pop(secrets.PROVISIONER)
    annotations[DELETION_SECRET] = (deletion.name or "") if deletion is not None else ""
    annotations[DELETION_NAMESPACE] = (deletion.namespace or "") if deletion is not None else ""
    block = claim.spec.volumeMode == "Block"
    size = made.capacity_bytes or size_of(claim).value
    source = CSIPersistentVolumeSource(
        driver=driver,
        volumeHandle=made.volume_id,
        fsType=None if block else secrets.file_system(found.parameters) or None,
        volumeAttributes={**made.volume_context, IDENTITY: identity},
        controllerPublishSecretRef=references[secrets.CONTROLLER_PUBLISH],
        controllerExpandSecretRef=references[secrets.CONTROLLER_EXPAND],
        nodeStageSecretRef=references[secrets.NODE_STAGE],
        nodePublishSecretRef=references[secrets.NODE_PUBLISH],
        nodeExpandSecretRef=references[secrets.NODE_EXPAND],
    )
    keep = (found.reclaimPolicy or "Delete") == "Retain"
    return PersistentVolume(
        metadata=ObjectMeta(
            name=name, annotations=annotations, finalizers=None if keep else [FINALIZER]
        ),
        spec=PersistentVolumeSpec(
            accessModes=list(claim.spec.accessModes or ()),
            capacity={"storage": from_value(size, Format.BINARY)},
            claimRef=ObjectReference(
                kind="PersistentVolumeClaim", apiVersion="v1", namespace=meta.namespace,
                name=meta.name, uid=meta.uid, resourceVersion=meta.resourceVersion,
            ),
            csi=source,
            mountOptions=None if block else found.mountOptions,
            nodeAffinity=affinity(made.accessible_topology),
            persistentVolumeReclaimPolicy=found.reclaimPolicy or "Delete",
            storageClassName=class_of(claim),
            volumeAttributesClassName=claim.spec.volumeAttributesClassName or None,
            volumeMode=claim.spec.volumeMode or "Filesystem",
        ),
    )  # fmt: skip


def _references(
    claim: PersistentVolumeClaim, found: StorageClass, name: str
) -> dict[str, SecretReference | None]:
    """Return the Secrets a class names, for a claim's volume."""
    values = secrets.values_of(claim, name)
    purposes = (
        secrets.PROVISIONER, secrets.CONTROLLER_PUBLISH, secrets.CONTROLLER_EXPAND,
        secrets.NODE_STAGE, secrets.NODE_PUBLISH, secrets.NODE_EXPAND,
    )  # fmt: skip
    result: dict[str, SecretReference | None] = {}
    for purpose in purposes:
        one = secrets.reference(
            purpose, found.parameters or {}, values, claim.metadata.annotations or {}
        )
        result[purpose] = None if one is None else SecretReference(
            name=one.name, namespace=one.namespace
        )  # fmt: skip
    return result


def own_secret(claim: PersistentVolumeClaim, found: StorageClass) -> SecretReference | None:
    """Return the Secret for making a claim's volume.

    Raises:
        BadTemplateError: it, or another one of the class, cannot be named.
    """
    return _references(claim, found, volume_name(claim))[secrets.PROVISIONER]


def problem(claim: PersistentVolumeClaim, made: Volume) -> str:
    """Return why what the driver made will not do; "" when it does."""
    asked = size_of(claim).value
    if made.capacity_bytes and made.capacity_bytes < asked:
        return f"created volume capacity {made.capacity_bytes} less than requested capacity {asked}"
    return ""


# --- volumes whose claim is gone ------------------------------------------------------------------


def is_to_delete(volume: PersistentVolume) -> bool:
    """Say whether what a driver made for a volume has to go."""
    return (
        volume.status.phase in ("Released", "Failed")
        and volume.spec.persistentVolumeReclaimPolicy == "Delete"
        and (volume.metadata.deletionTimestamp is None or is_guarded(volume))
    )


def is_guarded(volume: PersistentVolume) -> bool:
    """Say whether a volume waits for us when it is deleted."""
    return FINALIZER in (volume.metadata.finalizers or ())


def guarded_as_wanted(volume: PersistentVolume) -> PersistentVolume | None:
    """Return a volume with our finalizer if it has to go with its claim, without it otherwise.

    None when it is so already.
    """
    wanted = volume.spec.persistentVolumeReclaimPolicy == "Delete"
    deleting = volume.metadata.deletionTimestamp is not None
    if wanted == is_guarded(volume) or (wanted and deleting):
        return None
    return with_finalizer(volume, FINALIZER) if wanted else without(volume, FINALIZER)


def deletion_secret(volume: PersistentVolume) -> SecretReference | None:
    """Return the Secret for removing a volume."""
    annotations = volume.metadata.annotations or {}
    name = annotations.get(DELETION_SECRET, "")
    namespace = annotations.get(DELETION_NAMESPACE, "")
    return SecretReference(name=name, namespace=namespace) if name else None
