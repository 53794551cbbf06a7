"""The spec of a claim for storage, wherever it stands.

In:   PersistentVolumeClaimSpec.
Out:  problems appended to the list given.
By:   `volumes` (ephemeral ones), `persistent_volumes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kybern.api import names
from kybern.api.core.validation.resources import check_amount, check_positive
from kybern.api.field_path import (
    Path,
    Problem,
    all_invalid,
    forbidden,
    invalid,
    not_supported,
    required,
)
from kybern.api.meta.validation import check_given, check_selector

if TYPE_CHECKING:
    from kybern.api.core.v1 import (
        PersistentVolumeClaimSpec,
        TypedLocalObjectReference,
        TypedObjectReference,
    )

ACCESS_MODES: Final = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
VOLUME_MODES: Final = ("Block", "Filesystem")


def check_access_modes(modes: list[str] | None, path: Path, out: list[Problem]) -> None:
    """How a volume may be mounted."""
    unknown = [mode for mode in modes or () if mode not in ACCESS_MODES]
    out += [not_supported(path / "accessModes", mode, ACCESS_MODES) for mode in unknown]
    known = set(modes or ()) & set(ACCESS_MODES)
    if "ReadWriteOncePod" in known and len(known) > 1:
        told = "may not use ReadWriteOncePod with other access modes"
        out.append(forbidden(path / "accessModes", told))


def check_volume_mode(mode: str | None, path: Path, out: list[Problem]) -> None:
    """A file system or a block device."""
    if mode is not None and mode not in VOLUME_MODES:
        out.append(not_supported(path / "volumeMode", mode, VOLUME_MODES))


def check_class_name(name: str | None, path: Path, field: str, out: list[Problem]) -> None:
    """The name of a class of storage."""
    if name and (messages := names.dns1123_subdomain(name)):
        out += all_invalid(path / field, name, messages)


def check_claim_spec(spec: PersistentVolumeClaimSpec, path: Path, out: list[Problem]) -> None:
    """What storage is wanted."""
    if not spec.accessModes:
        out.append(required(path / "accessModes", "at least 1 access mode is required"))
    check_selector(spec.selector, path / "selector", out)
    check_access_modes(spec.accessModes, path, out)
    _check_size(spec, (path / "resources")["storage"], out)
    check_class_name(spec.storageClassName, path, "storageClassName", out)
    check_volume_mode(spec.volumeMode, path, out)
    if spec.dataSource is not None:
        _check_source(spec.dataSource, path / "dataSource", out)
    if spec.dataSourceRef is not None:
        _check_source(spec.dataSourceRef, path / "dataSourceRef", out)
        namespace = spec.dataSourceRef.namespace
        if namespace and (messages := names.dns1123_label(namespace)):
            out += all_invalid(path / "dataSourceRef" / "namespace", namespace, messages)
    _check_sources_agree(spec, path, out)
    check_class_name(spec.volumeAttributesClassName, path, "volumeAttributesClassName", out)


def _check_size(spec: PersistentVolumeClaimSpec, path: Path, out: list[Problem]) -> None:
    size = ((spec.resources and spec.resources.requests) or {}).get("storage")
    if size is None:
        out.append(required(path))
        return
    before = len(out)
    check_positive(size, path, out)
    if len(out) == before:
        check_amount("storage", size, path, out)


def _check_source(
    source: TypedLocalObjectReference | TypedObjectReference, path: Path, out: list[Problem]
) -> None:
    check_given(source, path, ("name", "kind"), out)
    if not source.apiGroup and source.kind != "PersistentVolumeClaim":
        told = "must be 'PersistentVolumeClaim' when referencing the default apiGroup"
        out.append(invalid(path, source.kind, told))
    if source.apiGroup and (messages := names.dns1123_subdomain(source.apiGroup)):
        out += all_invalid(path / "apiGroup", source.apiGroup, messages)


def _check_sources_agree(spec: PersistentVolumeClaimSpec, path: Path, out: list[Problem]) -> None:
    source, ref = spec.dataSource, spec.dataSourceRef
    if source is None or ref is None:
        return
    if ref.namespace:
        told = "may not be specified when dataSourceRef.namespace is specified"
        out.append(invalid(path, str(path / "dataSource"), told))
    elif (source.apiGroup or "", source.kind, source.name) != (
        ref.apiGroup or "",
        ref.kind,
        ref.name,
    ):
        out.append(invalid(path, str(path / "dataSource"), "must match dataSourceRef"))
