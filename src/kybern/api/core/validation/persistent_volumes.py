"""PersistentVolumes and the claims to them.

In:   a PersistentVolume or PersistentVolumeClaim; for updates also the old one.
Out:  problems appended to the list given, or returned.
By:   `core.validation.all`; the storage group for volumes within attachments.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from kybern.api import codec, names
from kybern.api.core import v1
from kybern.api.core.validation.claims import (
    check_access_modes,
    check_claim_spec,
    check_class_name,
    check_volume_mode,
)
from kybern.api.core.validation.paths import check_no_backsteps
from kybern.api.core.validation.placement import check_node_selector
from kybern.api.core.validation.resources import check_positive, quota_resource_name
from kybern.api.core.validation.volumes import (
    ONE_KIND,
    check_driver_name,
    check_fc,
    check_flex,
    check_host_path,
    check_iscsi,
    check_nfs,
)
from kybern.api.field_path import (
    Path,
    Problem,
    all_invalid,
    forbidden,
    invalid,
    not_supported,
    required,
)
from kybern.api.likeness import difference, same
from kybern.api.meta.validation import (
    SPEC,
    STATUS,
    check_given,
    check_immutable,
    check_meta_update,
)
from kybern.api.quantity import ZERO, Quantity, parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.api.core.v1 import (
        PersistentVolume,
        PersistentVolumeClaim,
        PersistentVolumeSpec,
        SecretReference,
    )

    Check = Callable[[Any, Path, list[Problem]], None]

RECLAIM: Final = ("Delete", "Recycle", "Retain")
KINDS: Final = (
    "hostPath", "gcePersistentDisk", "awsElasticBlockStore", "glusterfs", "flocker", "nfs", "rbd",
    "quobyte", "cephfs", "iscsi", "cinder", "fc", "flexVolume", "azureFile", "vsphereVolume",
    "photonPersistentDisk", "portworxVolume", "azureDisk", "scaleIO", "local", "storageos", "csi",
)  # fmt: skip
_sources = attrgetter(*KINDS)
OLD_CLASS: Final = "volume.beta.kubernetes.io/storage-class"
CLAIM_CHANGE: Final = (
    "spec is immutable after creation except resources.requests and volumeAttributesClassName for "
    "bound claims"
)


# --- volumes ------------------------------------------------------------------------------------


def check_persistent_volume(obj: PersistentVolume, out: list[Problem]) -> None:
    """A volume of the cluster."""
    check_volume_spec(obj.spec, SPEC, out)


def check_volume_spec(spec: PersistentVolumeSpec, path: Path, out: list[Problem]) -> None:
    """What a volume is, and how it may be used."""
    if not spec.accessModes:
        out.append(required(path / "accessModes"))
    check_access_modes(spec.accessModes, path, out)
    _check_capacity(spec.capacity or {}, path / "capacity", out)
    policy = spec.persistentVolumeReclaimPolicy
    if policy and policy not in RECLAIM:
        out.append(not_supported(path / "persistentVolumeReclaimPolicy", policy, RECLAIM))
    _check_affinity(spec, path / "nodeAffinity", out)
    _check_source(spec, path, out)
    root = spec.hostPath is not None and not spec.hostPath.path.strip("/.")
    if root and policy == "Recycle":
        told = "may not be 'recycle' for a hostPath mount of '/'"
        out.append(forbidden(path / "persistentVolumeReclaimPolicy", told))
    check_class_name(spec.storageClassName, path, "storageClassName", out)
    check_volume_mode(spec.volumeMode, path, out)
    if spec.volumeAttributesClassName is not None:
        _check_attributes_class(spec, spec.volumeAttributesClassName, path, out)


def _check_capacity(capacity: dict[str, str], path: Path, out: list[Problem]) -> None:
    if not capacity:
        out.append(required(path))
    if set(capacity) != {"storage"}:
        out.append(not_supported(path, capacity, ("storage",)))
    for name, text in capacity.items():
        if parse(text).value < 0:
            told = "must be a valid resource quantity"
            out.append(invalid(path[name], parse(text).value, told))
        check_positive(text, path[name], out)


def _check_affinity(spec: PersistentVolumeSpec, path: Path, out: list[Problem]) -> None:
    if spec.nodeAffinity is None:
        return
    if spec.nodeAffinity.required is None:
        out.append(required(path / "required", "must specify required node constraints"))
    else:
        check_node_selector(spec.nodeAffinity.required, path / "required", out)


def _check_source(spec: PersistentVolumeSpec, path: Path, out: list[Problem]) -> None:
    found = [(k, s) for k, s in zip(KINDS, _sources(spec), strict=True) if s is not None]
    if not found:
        out.append(required(path, "must specify a volume type"))
        return
    kind, source = found[0]
    if check := _CHECKS.get(type(source)):
        check(source, path / kind, out)
    if kind == "local" and spec.nodeAffinity is None:
        out.append(required(path / "nodeAffinity", "Local volume requires node affinity"))
    out += [forbidden(path / other, ONE_KIND) for other, _ in found[1:]]


def _check_attributes_class(
    spec: PersistentVolumeSpec, name: str, path: Path, out: list[Problem]
) -> None:
    if not name:
        told = "an empty string is disallowed"
        out.append(required(path / "volumeAttributesClassName", told))
    check_class_name(name, path, "volumeAttributesClassName", out)
    if spec.csi is None:
        told = "has to be specified when using volumeAttributesClassName"
        out.append(required(path / "csi", told))


def _check_local(source: v1.LocalVolumeSource, path: Path, out: list[Problem]) -> None:
    if not source.path:
        out.append(required(path / "path"))
        return
    check_no_backsteps(source.path, path / "path", out)


_CSI_SECRETS: Final = (
    "controllerPublishSecretRef", "controllerExpandSecretRef", "nodePublishSecretRef",
    "nodeExpandSecretRef",
)  # fmt: skip


def _check_csi(source: v1.CSIPersistentVolumeSource, path: Path, out: list[Problem]) -> None:
    check_driver_name(source.driver, path / "driver", out)
    if not source.volumeHandle:
        out.append(required(path / "volumeHandle"))
    for field in _CSI_SECRETS:
        ref: SecretReference | None = getattr(source, field)
        if ref is not None:
            _check_secret_ref(ref, path / field, out)


def _check_secret_ref(ref: SecretReference, path: Path, out: list[Problem]) -> None:
    for field, rule in (("name", names.dns1123_subdomain), ("namespace", names.dns1123_label)):
        text = getattr(ref, field)
        if not text:
            out.append(required(path / field))
        elif messages := rule(text):
            out += all_invalid(path / field, text, messages)


def _needs(*fields: str) -> Check:
    def check(source: Any, path: Path, out: list[Problem]) -> None:
        check_given(source, path, fields, out)

    return check


_CHECKS: Final[dict[type, Check]] = {
    v1.AWSElasticBlockStoreVolumeSource: _needs("volumeID"),
    v1.AzureDiskVolumeSource: _needs("diskName", "diskURI"),
    v1.AzureFilePersistentVolumeSource: _needs("secretName", "shareName"),
    v1.CSIPersistentVolumeSource: _check_csi,
    v1.CephFSPersistentVolumeSource: _needs("monitors"),
    v1.CinderPersistentVolumeSource: _needs("volumeID"),
    v1.FCVolumeSource: check_fc,
    v1.FlexPersistentVolumeSource: check_flex,
    v1.GCEPersistentDiskVolumeSource: _needs("pdName"),
    v1.GlusterfsPersistentVolumeSource: _needs("endpoints", "path"),
    v1.HostPathVolumeSource: check_host_path,
    v1.ISCSIPersistentVolumeSource: check_iscsi,
    v1.LocalVolumeSource: _check_local,
    v1.NFSVolumeSource: check_nfs,
    v1.PhotonPersistentDiskVolumeSource: _needs("pdID"),
    v1.PortworxVolumeSource: _needs("volumeID"),
    v1.QuobyteVolumeSource: _needs("registry", "volume"),
    v1.RBDPersistentVolumeSource: _needs("monitors", "image"),
    v1.ScaleIOPersistentVolumeSource: _needs("gateway", "system", "volumeName"),
    v1.StorageOSPersistentVolumeSource: _needs("volumeName"),
    v1.VsphereVirtualDiskVolumeSource: _needs("volumePath"),
}


def check_persistent_volume_change(
    new: PersistentVolume, old: PersistentVolume, out: list[Problem]
) -> None:
    """Where the data lies is said once and for all."""
    for kind in KINDS:
        after, before = getattr(new.spec, kind), getattr(old.spec, kind)
        both = after is not None and before is not None
        if kind == "csi" and both and before.controllerExpandSecretRef is None:
            after = codec.clone(after)
            after.controllerExpandSecretRef = None
        if not same(after, before):
            shown = difference(old.spec, new.spec)
            told = f"spec.persistentvolumesource is immutable after creation\n{shown}"
            out.append(forbidden(SPEC / "persistentvolumesource", told))
            break
    check_immutable(new.spec.volumeMode, old.spec.volumeMode, Path("volumeMode"), out)
    if old.spec.nodeAffinity is not None and not same(
        new.spec.nodeAffinity, old.spec.nodeAffinity
    ):
        told = "field is immutable, except for updating from beta label to GA"
        out.append(invalid(Path("nodeAffinity"), new.spec.nodeAffinity, told))
    before, after = old.spec.volumeAttributesClassName, new.spec.volumeAttributesClassName
    if before is not None and after is None:
        told = "update from non-nil value to nil is forbidden"
        out.append(forbidden(SPEC / "volumeAttributesClassName", told))


# --- claims -------------------------------------------------------------------------------------


def check_persistent_volume_claim(obj: PersistentVolumeClaim, out: list[Problem]) -> None:
    """A claim for storage."""
    check_claim_spec(obj.spec, SPEC, out)


def _requests(claim: PersistentVolumeClaim) -> dict[str, str] | None:
    return claim.spec.resources.requests if claim.spec.resources is not None else None


def _size(resources: dict[str, str] | None) -> Quantity:
    text = (resources or {}).get("storage")
    return parse(text) if text is not None else ZERO


def check_claim_change(
    new: PersistentVolumeClaim, old: PersistentVolumeClaim, out: list[Problem]
) -> None:
    """Once made, a claim is bound and grown, and else stays."""
    _check_claim_spec_change(new, old, out)
    before, after = _size(_requests(old)), _size(_requests(new))
    if after < before and after <= _size(old.status.capacity):
        place = SPEC / "resources" / "requests" / "storage"
        out.append(forbidden(place, "field can not be less than status.capacity"))
    check_immutable(new.spec.volumeMode, old.spec.volumeMode, Path("volumeMode"), out)
    was, now = old.spec.volumeAttributesClassName, new.spec.volumeAttributesClassName
    if was is not None and not now:
        empty = "nil" if now is None else "an empty string"
        told = f"update from non-nil value to {empty} is forbidden"
        out.append(forbidden(SPEC / "volumeAttributesClassName", told))


def _check_claim_spec_change(
    new: PersistentVolumeClaim, old: PersistentVolumeClaim, out: list[Problem]
) -> None:
    spec = codec.clone(new.spec)
    if not old.spec.volumeName:
        spec.volumeName = old.spec.volumeName
    annotation = (old.metadata.annotations or {}).get(OLD_CLASS)
    named_late = old.spec.storageClassName is None and spec.storageClassName is not None
    if named_late and annotation in (None, spec.storageClassName):
        spec.storageClassName = None
    if new.status.phase == "Bound":
        requests = spec.resources.requests if spec.resources is not None else None
        kept = (_requests(old) or {}).get("storage")
        if requests and kept is not None:
            requests["storage"] = kept
        if spec.volumeAttributesClassName is not None:
            spec.volumeAttributesClassName = old.spec.volumeAttributesClassName
    if not same(spec, old.spec):
        out.append(forbidden(SPEC, f"{CLAIM_CHANGE}\n{difference(old.spec, spec)}"))


def validate_claim_status_update(
    new: PersistentVolumeClaim, old: PersistentVolumeClaim
) -> list[Problem]:
    """What a claim has got."""
    out: list[Problem] = []
    check_meta_update(new.metadata, old.metadata, out)
    for name, text in (new.status.capacity or {}).items():
        if parse(text).value < 0:
            told = "must be a valid resource quantity"
            out.append(invalid((STATUS / "capacity")[name], parse(text).value, told))
    for name in new.status.allocatedResources or ():
        if messages := names.qualified_name(name):
            out += all_invalid(STATUS / "allocatedResources", name, messages)
        elif "/" not in name and name != "storage" and quota_resource_name(name):
            place = STATUS / "allocatedResources"
            out.append(not_supported(place, name, ("storage",)))
    return out
