"""Volumes of a pod, of every kind.

In:   the volumes of a pod spec.
Out:  problems appended to the list given, and the volumes by name for whoever mounts them.
By:   `pod_spec`; `persistent_volumes` for the kinds that both have.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from kybern.api import names
from kybern.api.core import v1
from kybern.api.core.validation.claims import check_claim_spec
from kybern.api.core.validation.environment import (
    VOLUME_FIELDS,
    check_field_ref,
    check_resource_ref,
)
from kybern.api.core.validation.paths import check_descending, check_local, check_no_backsteps
from kybern.api.field_path import (
    Path,
    Problem,
    all_invalid,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
    too_long,
)
from kybern.api.meta.validation import check_annotations, check_given, check_labels, check_selector
from kybern.api.quantity import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kybern.api.core.v1 import (
        DownwardAPIVolumeFile,
        KeyToPath,
        PersistentVolumeClaimTemplate,
        Volume,
        VolumeProjection,
    )
    from kybern.api.meta.v1 import ObjectMeta

    Volumes = dict[str, Volume]
    Check = Callable[[Any, Path, list[Problem]], None]

FILE_MODE: Final = "must be a number between 0 and 0777 (octal), both inclusive"
ONE_KIND: Final = "may not specify more than 1 volume type"
HOST_PATH_TYPES: Final = (
    "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate",
    "Socket",
)  # fmt: skip
DRIVER_MAX: Final = 63
TOKEN_MIN: Final = 600
TOKEN_MAX: Final = 1 << 32

# Common kinds first: nearly every volume is found at the first few.
KINDS: Final = (
    "emptyDir", "hostPath", "gitRepo", "gcePersistentDisk", "awsElasticBlockStore", "secret",
    "nfs", "iscsi", "glusterfs", "flocker", "persistentVolumeClaim", "rbd", "cinder", "cephfs",
    "quobyte", "downwardAPI", "fc", "flexVolume", "configMap", "azureFile", "vsphereVolume",
    "photonPersistentDisk", "portworxVolume", "azureDisk", "storageos", "projected", "scaleIO",
    "csi", "ephemeral", "image",
)  # fmt: skip
_sources = attrgetter(*KINDS)


def check_volumes(
    volumes: list[Volume], meta: ObjectMeta | None, path: Path, out: list[Problem]
) -> Volumes:
    """The volumes at `path`; `meta` is that of the pod, None in templates."""
    known: Volumes = {}
    pod = meta.name if meta is not None else None
    for index, volume in enumerate(volumes):
        before = len(out)
        _check_source(volume, pod, path, index, out)
        if not volume.name:
            out.append(required(path[index] / "name"))
        elif messages := names.dns1123_label(volume.name):
            out += all_invalid(path[index] / "name", volume.name, messages)
        if volume.name in known:
            out.append(duplicate(path[index] / "name", volume.name))
        if len(out) == before:
            known[volume.name] = volume
    if pod:
        _check_claims_not_made_here(volumes, pod, path, out)
    return known


def _check_claims_not_made_here(
    volumes: list[Volume], pod: str, path: Path, out: list[Problem]
) -> None:
    made = {f"{pod}-{each.name}" for each in volumes if each.ephemeral is not None}
    for index, volume in enumerate(volumes):
        claim = volume.persistentVolumeClaim
        if claim is not None and claim.claimName in made:
            told = "must not reference a PVC that gets created for an ephemeral volume"
            place = path[index] / "persistentVolumeClaim" / "claimName"
            out.append(invalid(place, claim.claimName, told))


def _check_source(
    volume: Volume, pod: str | None, path: Path, index: int, out: list[Problem]
) -> None:
    sources = _sources(volume)
    found = len(sources) - sources.count(None)
    if not found:
        out.append(required(path[index], "must specify a volume type"))
        return
    first = True
    for kind, source in zip(KINDS, sources, strict=True):
        if source is None:
            continue
        place = path[index]
        if not first:
            # Upstream's own spelling.
            field = "downwarAPI" if kind == "downwardAPI" else kind
            out.append(forbidden(place / field, ONE_KIND))
            continue
        first = False
        if check := CHECKS.get(type(source)):
            check(source, place / kind, out)
        if kind == "ephemeral" and pod and volume.name:
            claim = f"{pod}-{volume.name}"
            for message in names.dns1123_subdomain(claim):
                told = f'PVC name "{claim}": {message}'
                out.append(invalid(place / "name", volume.name, told))
        if kind == "iscsi" and source.initiatorName is not None:
            _check_initiator_length(volume.name, source, place, out)


def _check_initiator_length(
    name: str, source: v1.ISCSIVolumeSource, place: Path, out: list[Problem]
) -> None:
    if len(f"{name}:{source.targetPortal}") > 64:
        told = (
            "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if "
            "iscsi.initiatorName is specified."
        )
        out.append(invalid(place / "name", name, told))


# --- the kinds ----------------------------------------------------------------------------------


def _needs(*fields: str) -> Check:
    """A check that these fields are given."""

    def check(source: Any, path: Path, out: list[Problem]) -> None:
        check_given(source, path, fields, out)

    return check


def _check_mode(mode: int | None, path: Path, field: str, out: list[Problem]) -> None:
    if mode is not None and not 0 <= mode <= 0o777:
        out.append(invalid(path / field, mode, FILE_MODE))


def _check_empty_dir(source: v1.EmptyDirVolumeSource, path: Path, out: list[Problem]) -> None:
    if source.sizeLimit is not None and parse(source.sizeLimit).nanos < 0:
        told = "SizeLimit field must be a valid resource quantity"
        out.append(forbidden(path / "sizeLimit", told))


def check_host_path(source: v1.HostPathVolumeSource, path: Path, out: list[Problem]) -> None:
    """A directory or file of the node."""
    if not source.path:
        out.append(required(path / "path"))
        return
    check_no_backsteps(source.path, path / "path", out)
    if source.type is not None and source.type not in HOST_PATH_TYPES:
        out.append(not_supported(path / "type", source.type, HOST_PATH_TYPES))


def _check_git(source: v1.GitRepoVolumeSource, path: Path, out: list[Problem]) -> None:
    if not source.repository:
        out.append(required(path / "repository"))
    check_descending(source.directory or "", path / "directory", out)


def _check_items(items: Iterable[KeyToPath] | None, path: Path, out: list[Problem]) -> None:
    for index, item in enumerate(items or ()):
        place = (path / "items")[index]
        if not item.key:
            out.append(required(place / "key"))
        if not item.path:
            out.append(required(place / "path"))
        check_local(item.path, place / "path", out)
        _check_mode(item.mode, place, "mode", out)


def _check_secret(source: v1.SecretVolumeSource, path: Path, out: list[Problem]) -> None:
    if not source.secretName:
        out.append(required(path / "secretName"))
    _check_mode(source.defaultMode, path, "defaultMode", out)
    _check_items(source.items, path, out)


def _check_config_map(source: v1.ConfigMapVolumeSource, path: Path, out: list[Problem]) -> None:
    if not source.name:
        out.append(required(path / "name"))
    _check_mode(source.defaultMode, path, "defaultMode", out)
    _check_items(source.items, path, out)


def check_nfs(source: v1.NFSVolumeSource, path: Path, out: list[Problem]) -> None:
    """A directory that a server exports."""
    check_given(source, path, ("server", "path"), out)
    if not source.path.startswith("/"):
        out.append(invalid(path / "path", source.path, "must be an absolute path"))


def _check_disk(source: Any, path: Path, field: str, out: list[Problem]) -> None:
    if not getattr(source, field):
        out.append(required(path / field))
    if not 0 <= (source.partition or 0) <= 255:
        out.append(invalid(path / "partition", source.partition, names.between(1, 255)))


def _check_gce(source: v1.GCEPersistentDiskVolumeSource, path: Path, out: list[Problem]) -> None:
    _check_disk(source, path, "pdName", out)


def _check_ebs(
    source: v1.AWSElasticBlockStoreVolumeSource, path: Path, out: list[Problem]
) -> None:
    _check_disk(source, path, "volumeID", out)


def check_iscsi(
    source: v1.ISCSIVolumeSource | v1.ISCSIPersistentVolumeSource, path: Path, out: list[Problem]
) -> None:
    """A disk of a SCSI target."""
    check_given(source, path, ("targetPortal", "iqn"), out)
    if source.iqn and not source.iqn.startswith(("iqn", "eui", "naa")):
        told = "must be valid format starting with iqn, eui, or naa"
        out.append(invalid(path / "iqn", source.iqn, told))
    if not 0 <= source.lun <= 255:
        out.append(invalid(path / "lun", source.lun, names.between(0, 255)))
    if (source.chapAuthDiscovery or source.chapAuthSession) and source.secretRef is None:
        out.append(required(path / "secretRef"))


def check_fc(source: v1.FCVolumeSource, path: Path, out: list[Problem]) -> None:
    """A disk on Fibre Channel."""
    if not source.targetWWNs and not source.wwids:
        told = "must specify either targetWWNs or wwids, but not both"
        out.append(required(path / "targetWWNs", told))
    if source.targetWWNs and source.wwids:
        told = "targetWWNs and wwids can not be specified simultaneously"
        out.append(invalid(path / "targetWWNs", source.targetWWNs, told))
    if source.targetWWNs and source.lun is None:
        told = "lun is required if targetWWNs is specified"
        out.append(required(path / "lun", told))
    if source.targetWWNs and source.lun is not None and not 0 <= source.lun <= 255:
        out.append(invalid(path / "lun", source.lun, names.between(0, 255)))


def check_driver_name(name: str, path: Path, out: list[Problem]) -> None:
    """The name of a CSI driver."""
    if not name:
        out.append(required(path))
    if names.size(name) > DRIVER_MAX:
        out.append(too_long(path, DRIVER_MAX))
    if messages := names.dns1123_subdomain(name.lower()):
        out += all_invalid(path, name, messages)


def _check_csi(source: v1.CSIVolumeSource, path: Path, out: list[Problem]) -> None:
    check_driver_name(source.driver, path / "driver", out)
    ref = source.nodePublishSecretRef
    if ref is not None:
        if not ref.name:
            out.append(required(path / "nodePublishSecretRef" / "name"))
        elif messages := names.dns1123_subdomain(ref.name):
            out += all_invalid(path / "name", ref.name, messages)


def check_flex(
    source: v1.FlexVolumeSource | v1.FlexPersistentVolumeSource, path: Path, out: list[Problem]
) -> None:
    """A volume of an external program."""
    if not source.driver:
        out.append(required(path / "driver"))
    for key in source.options or ():
        if f".{key.partition('/')[0].lower()}".endswith((".kubernetes.io", ".k8s.io")):
            told = "kubernetes.io and k8s.io namespaces are reserved"
            out.append(invalid((path / "options")[key], key, told))


def _check_image(source: v1.ImageVolumeSource, path: Path, out: list[Problem]) -> None:
    if not source.reference:
        out.append(required(path / "reference"))
    policies = ("Always", "IfNotPresent", "Never")
    if not source.pullPolicy:
        out.append(required(path / "pullPolicy"))
    elif source.pullPolicy not in policies:
        out.append(not_supported(path / "pullPolicy", source.pullPolicy, policies))


def _check_ephemeral(source: v1.EphemeralVolumeSource, path: Path, out: list[Problem]) -> None:
    if source.volumeClaimTemplate is None:
        out.append(required(path / "volumeClaimTemplate"))
    else:
        _check_claim_template(source.volumeClaimTemplate, path / "volumeClaimTemplate", out)


def _check_claim_template(
    template: PersistentVolumeClaimTemplate, path: Path, out: list[Problem]
) -> None:
    meta = template.metadata
    if meta is not None:
        check_annotations(meta.annotations or {}, path / "metadata", out)
        check_labels(meta.labels or {}, path / "metadata", "labels", out)
        given = [field for field in meta.__struct_fields__ if getattr(meta, field)]
        given = [field for field in given if field not in ("annotations", "labels")]
        out += [forbidden(path / "metadata" / field, "cannot be set") for field in given]
    check_claim_spec(template.spec, path / "spec", out)


# --- the downward API and projections -----------------------------------------------------------


def _check_downward_file(file: DownwardAPIVolumeFile, path: Path, out: list[Problem]) -> None:
    if not file.path:
        out.append(required(path / "path"))
    check_local(file.path, path / "path", out)
    if file.fieldRef is not None:
        check_field_ref(file.fieldRef, VOLUME_FIELDS, path / "fieldRef", out)
        if file.resourceFieldRef is not None:
            told = "fieldRef and resourceFieldRef can not be specified simultaneously"
            out.append(invalid(path, "resource", told))
    elif file.resourceFieldRef is not None:
        check_resource_ref(file.resourceFieldRef, path / "resourceFieldRef", out, named=True)
    else:
        out.append(required(path, "one of fieldRef and resourceFieldRef is required"))
    _check_mode(file.mode, path, "mode", out)


def _check_downward(source: v1.DownwardAPIVolumeSource, path: Path, out: list[Problem]) -> None:
    _check_mode(source.defaultMode, path, "defaultMode", out)
    for file in source.items or ():
        _check_downward_file(file, path, out)


def _check_projected(source: v1.ProjectedVolumeSource, path: Path, out: list[Problem]) -> None:
    _check_mode(source.defaultMode, path, "defaultMode", out)
    taken: set[str] = set()
    for index, each in enumerate(source.sources or ()):
        place = (path / "sources")[index]
        _check_projection(each, path, place, taken, out)


def _claim_path(text: str, shown: str, taken: set[str], path: Path, out: list[Problem]) -> None:
    if not text:
        return
    if text in taken:
        out.append(invalid(path, shown, "conflicting duplicate paths"))
    taken.add(text)


def _check_projection(
    each: VolumeProjection, path: Path, place: Path, taken: set[str], out: list[Problem]
) -> None:
    found = 0
    for field in ("secret", "configMap"):
        source = getattr(each, field)
        if source is None:
            continue
        found += 1
        if not source.name:
            out.append(required(place / field / "name"))
        _check_items(source.items, place / field, out)
        for item in source.items or ():
            _claim_path(item.path, source.name or "", taken, path, out)
    if each.downwardAPI is not None:
        found += 1
        for file in each.downwardAPI.items or ():
            _check_downward_file(file, place / "downwardAPI", out)
            _claim_path(file.path, file.path, taken, path, out)
    if each.serviceAccountToken is not None:
        found += 1
        _check_token(each.serviceAccountToken, path, place / "serviceAccountToken", out)
    if each.clusterTrustBundle is not None:
        found += 1
        _check_bundle(each.clusterTrustBundle, place / "clusterTrustBundle", out)
        bundle = each.clusterTrustBundle.path
        _claim_path(bundle, bundle, taken, path, out)
    if each.podCertificate is not None:
        found += 1
        _check_certificate(each.podCertificate, path, place / "podCertificate", taken, out)
    if found > 1:
        told = "may not specify more than 1 volume type per source"
        out.append(forbidden(place, told))


def _check_token(
    token: v1.ServiceAccountTokenProjection, path: Path, place: Path, out: list[Problem]
) -> None:
    seconds = token.expirationSeconds or 0
    if seconds < TOKEN_MIN:
        told = "may not specify a duration less than 10 minutes"
        out.append(invalid(place / "expirationSeconds", seconds, told))
    if seconds > TOKEN_MAX:
        told = "may not specify a duration larger than 2^32 seconds"
        out.append(invalid(place / "expirationSeconds", seconds, told))
    if not token.path:
        out.append(required(path / "path"))
    else:
        check_local(token.path, path / "path", out)


def _check_bundle(
    bundle: v1.ClusterTrustBundleProjection, path: Path, out: list[Problem]
) -> None:
    if bundle.name is not None and bundle.signerName is not None:
        out.append(invalid(path, bundle, "only one of name and signerName may be used"))
    elif bundle.name is not None:
        if not bundle.name:
            out.append(required(path / "name", "must be a valid object name"))
        if bundle.labelSelector is not None:
            told = "labelSelector must be unset if name is specified"
            out.append(invalid(path / "labelSelector", bundle.labelSelector, told))
    elif bundle.signerName is not None:
        if not bundle.signerName:
            out.append(required(path / "signerName", "must be a valid signer name"))
        check_selector(bundle.labelSelector, path / "labelSelector", out)
    else:
        out.append(required(path, "either name or signerName must be specified"))
    if not bundle.path:
        out.append(required(path / "path"))
    check_local(bundle.path, path / "path", out)


def _check_certificate(
    source: v1.PodCertificateProjection,
    path: Path,
    place: Path,
    taken: set[str],
    out: list[Problem],
) -> None:
    check_given(source, place, ("signerName", "keyType"), out)
    written = [
        (field, text)
        for field in ("credentialBundlePath", "keyPath", "certificateChainPath")
        if (text := getattr(source, field))
    ]
    if not written:
        told = (
            "specify at least one of credentialBundlePath, keyPath, and certificateChainPath"
        )
        out.append(required(place, told))
    for field, text in written:
        check_local(text, place / field, out)
        _claim_path(text, text, taken, path, out)


CHECKS: Final[dict[type, Check]] = {
    v1.AWSElasticBlockStoreVolumeSource: _check_ebs,
    v1.AzureDiskVolumeSource: _needs("diskName", "diskURI"),
    v1.AzureFileVolumeSource: _needs("secretName", "shareName"),
    v1.CSIVolumeSource: _check_csi,
    v1.CephFSVolumeSource: _needs("monitors"),
    v1.CinderVolumeSource: _needs("volumeID"),
    v1.ConfigMapVolumeSource: _check_config_map,
    v1.DownwardAPIVolumeSource: _check_downward,
    v1.EmptyDirVolumeSource: _check_empty_dir,
    v1.EphemeralVolumeSource: _check_ephemeral,
    v1.FCVolumeSource: check_fc,
    v1.FlexVolumeSource: check_flex,
    v1.GCEPersistentDiskVolumeSource: _check_gce,
    v1.GitRepoVolumeSource: _check_git,
    v1.GlusterfsVolumeSource: _needs("endpoints", "path"),
    v1.HostPathVolumeSource: check_host_path,
    v1.ISCSIVolumeSource: check_iscsi,
    v1.ImageVolumeSource: _check_image,
    v1.NFSVolumeSource: check_nfs,
    v1.PersistentVolumeClaimVolumeSource: _needs("claimName"),
    v1.PhotonPersistentDiskVolumeSource: _needs("pdID"),
    v1.PortworxVolumeSource: _needs("volumeID"),
    v1.ProjectedVolumeSource: _check_projected,
    v1.QuobyteVolumeSource: _needs("registry", "volume"),
    v1.RBDVolumeSource: _needs("monitors", "image"),
    v1.ScaleIOVolumeSource: _needs("gateway", "system", "volumeName"),
    v1.SecretVolumeSource: _check_secret,
    v1.StorageOSVolumeSource: _needs("volumeName"),
    v1.VsphereVirtualDiskVolumeSource: _needs("volumePath"),
}
