"""A container's environment variables, and references to fields of its pod.

In:   EnvVar, EnvFromSource, field selectors.
Out:  problems appended to the list given.
By:   `containers`, `volumes` (the downward API).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kybern.api import names
from kybern.api.core.validation.paths import check_local
from kybern.api.field_path import Path, Problem, all_invalid, invalid, not_supported, required
from kybern.api.quantity import canonical

if TYPE_CHECKING:
    from kybern.api.core.v1 import (
        ConfigMapKeySelector,
        EnvFromSource,
        EnvVar,
        EnvVarSource,
        FileKeySelector,
        ObjectFieldSelector,
        ResourceFieldSelector,
        SecretKeySelector,
        Volume,
    )

ENV_FIELDS: Final = (
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName",
    "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
)  # fmt: skip
VOLUME_FIELDS: Final = (
    "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace",
    "metadata.uid",
)  # fmt: skip
KNOWN_FIELDS: Final = frozenset((*ENV_FIELDS, *VOLUME_FIELDS, "spec.restartPolicy",
                                 "spec.schedulerName", "status.phase", "spec.host"))  # fmt: skip
RESOURCE_FIELDS: Final = (
    "limits.cpu", "limits.ephemeral-storage", "limits.memory",
    "requests.cpu", "requests.ephemeral-storage", "requests.memory",
)  # fmt: skip
HUGE_PAGES: Final = ("limits.hugepages-", "requests.hugepages-")
BYTE_DIVISORS: Final = tuple(f"1{s}" for s in ("", "k", "M", "G", "T", "P", "E")) + tuple(
    f"1{s}i" for s in "KMGTPE"
)
_SUBSCRIPT: Final = re.compile(r"(.+)\['(.*)'\]", re.DOTALL).fullmatch

Volumes = dict[str, "Volume"]


def check_env(
    variables: list[EnvVar], path: Path, volumes: Volumes, out: list[Problem]
) -> None:
    """The variables at `path`, a list."""
    for index, variable in enumerate(variables):
        if not variable.name:
            out.append(required(path[index] / "name"))
        elif messages := names.env_name(variable.name):
            out += all_invalid(path[index] / "name", variable.name, messages)
        if variable.valueFrom is not None:
            place = path[index] / "valueFrom"
            _check_source(variable.valueFrom, variable.value, place, volumes, out)


def _check_source(
    source: EnvVarSource, value: str | None, path: Path, volumes: Volumes, out: list[Problem]
) -> None:
    sources = 0
    if source.fieldRef is not None:
        sources += 1
        check_field_ref(source.fieldRef, ENV_FIELDS, path / "fieldRef", out)
    if source.resourceFieldRef is not None:
        sources += 1
        place = path / "resourceFieldRef"
        check_resource_ref(source.resourceFieldRef, place, out, named=False)
    if source.configMapKeyRef is not None:
        sources += 1
        _check_key_ref(source.configMapKeyRef, path / "configMapKeyRef", out)
    if source.secretKeyRef is not None:
        sources += 1
        _check_key_ref(source.secretKeyRef, path / "secretKeyRef", out)
    if source.fileKeyRef is not None:
        sources += 1
        _check_file_ref(source.fileKeyRef, path / "fileKeyRef", volumes, out)
    if not sources:
        told = (
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, "
            "`secretKeyRef` or `fileKeyRef`"
        )
        out.append(invalid(path, "", told))
    elif value:
        out.append(invalid(path, "", "may not be specified when `value` is not empty"))
    elif sources > 1:
        told = "may not have more than one field specified at a time"
        out.append(invalid(path, "", told))


def check_field_ref(
    ref: ObjectFieldSelector, allowed: tuple[str, ...], path: Path, out: list[Problem]
) -> None:
    """A field of the pod; some have keys, as in `metadata.labels['app']`."""
    if not ref.apiVersion:
        out.append(required(path / "apiVersion"))
        return
    if not ref.fieldPath:
        out.append(required(path / "fieldPath"))
        return
    subscript = _SUBSCRIPT(ref.fieldPath)
    field = subscript[1] if subscript else ref.fieldPath
    if problem := _conversion(ref, field, subscripted=subscript is not None):
        told = f"error converting fieldPath: {problem}"
        out.append(invalid(path / "fieldPath", ref.fieldPath, told))
    elif subscript:
        key = subscript[2]
        checked = key.lower() if field == "metadata.annotations" else key
        if messages := names.qualified_name(checked):
            out += all_invalid(path, checked, messages)
    elif field not in allowed:
        out.append(not_supported(path / "fieldPath", field, allowed))


def _conversion(ref: ObjectFieldSelector, field: str, *, subscripted: bool) -> str:
    if ref.apiVersion != "v1":
        return f"unsupported pod version: {ref.apiVersion}"
    if subscripted:
        if field in ("metadata.annotations", "metadata.labels"):
            return ""
        return f"field label does not support subscript: {ref.fieldPath}"
    return "" if field in KNOWN_FIELDS else f"field label not supported: {field}"


def check_resource_ref(
    ref: ResourceFieldSelector, path: Path, out: list[Problem], *, named: bool
) -> None:
    """A request or limit of a container; in volumes the container must be named."""
    if named and not ref.containerName:
        out.append(required(path / "containerName"))
    elif not ref.resource:
        out.append(required(path / "resource"))
    elif ref.resource not in RESOURCE_FIELDS and not ref.resource.startswith(HUGE_PAGES):
        out.append(not_supported(path / "resource", ref.resource, RESOURCE_FIELDS))
    _check_divisor(ref, path, out)


_DIVISOR_NOUNS: Final = {
    "memory": "memory",
    "ephemeral-storage": "local ephemeral storage",
}


def _check_divisor(ref: ResourceFieldSelector, path: Path, out: list[Problem]) -> None:
    divisor = canonical(ref.divisor or "0")
    if divisor == "0":
        return
    what = ref.resource.partition(".")[2]
    if what == "cpu":
        if divisor not in ("1m", "1"):
            told = "only divisor's values 1m and 1 are supported with the cpu resource"
            out.append(invalid(path / "divisor", ref.resource, told))
        return
    noun = "hugepages" if what.startswith("hugepages-") else _DIVISOR_NOUNS.get(what)
    if noun is not None and divisor not in BYTE_DIVISORS:
        listed = "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei"
        told = f"only divisor's values {listed} are supported with the {noun} resource"
        out.append(invalid(path / "divisor", ref.resource, told))


def _check_key_ref(
    ref: ConfigMapKeySelector | SecretKeySelector, path: Path, out: list[Problem]
) -> None:
    if messages := names.dns1123_subdomain(ref.name or ""):
        out += all_invalid(path / "name", ref.name or "", messages)
    if not ref.key:
        out.append(required(path / "key"))
    elif messages := names.config_key(ref.key):
        out += all_invalid(path / "key", ref.key, messages)


def _check_file_ref(
    ref: FileKeySelector, path: Path, volumes: Volumes, out: list[Problem]
) -> None:
    if not ref.key:
        out.append(required(path / "key"))
    elif messages := names.env_name(ref.key):
        out += all_invalid(path / "key", ref.key, messages)
    volume = volumes.get(ref.volumeName)
    if not ref.volumeName:
        out.append(required(path / "volumeName"))
    elif volume is None or volume.emptyDir is None:
        told = "referenced volume must be of type emptyDir"
        out.append(invalid(path / "volumeName", ref.volumeName, told))
    if not ref.path:
        out.append(required(path / "path"))
    else:
        check_local(ref.path, path / "path", out)


def check_env_from(sources: list[EnvFromSource], path: Path, out: list[Problem]) -> None:
    """Whole ConfigMaps and Secrets as variables."""
    for index, source in enumerate(sources):
        if source.prefix and (messages := names.env_name(source.prefix)):
            out += all_invalid(path[index] / "prefix", source.prefix, messages)
        for field in ("configMapRef", "secretRef"):
            ref = getattr(source, field)
            if ref is None:
                continue
            place = path[index] / field / "name"
            if not ref.name:
                out.append(required(place))
            elif messages := names.dns1123_subdomain(names.mask_trailing_dash(ref.name)):
                out += all_invalid(place, ref.name, messages)
        if source.configMapRef is None and source.secretRef is None:
            told = "must specify one of: `configMapRef` or `secretRef`"
            out.append(invalid(path, "", told))
        elif source.configMapRef is not None and source.secretRef is not None:
            told = "may not have more than one field specified at a time"
            out.append(invalid(path, "", told))
