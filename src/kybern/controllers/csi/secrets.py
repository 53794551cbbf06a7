"""Which Secrets a driver is given with a call.

In:   the parameters of a class, a claim and the name of its volume.
Out:  references to Secrets, templates filled in; parameters without what is meant for us.
By:   the controllers of storage drivers. Pure.

Source: external-provisioner's `pkg/controller/controller.go` (`getSecretReference`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kybern.api.core.v1 import PersistentVolumeClaim

PREFIX: Final = "csi.storage.k8s.io/"
FS_TYPE: Final = f"{PREFIX}fstype"
OLD_FS_TYPE: Final = "fstype"
PROVISIONER: Final = "provisioner"
CONTROLLER_PUBLISH: Final = "controller-publish"
CONTROLLER_EXPAND: Final = "controller-expand"
NODE_STAGE: Final = "node-stage"
NODE_PUBLISH: Final = "node-publish"
NODE_EXPAND: Final = "node-expand"
SNAPSHOTTER: Final = "snapshotter"
_ANNOTATION: Final = "pvc.annotations['"
_TOKEN: Final = re.compile(r"\$\{([^}]*)\}|\$(\w+)")


class Reference(NamedTuple):
    """One Secret."""

    namespace: str
    name: str


class BadTemplateError(Exception):
    """A Secret that cannot be named."""


def reference(
    purpose: str,
    parameters: Mapping[str, str],
    values: Mapping[str, str],
    annotations: Mapping[str, str],
) -> Reference | None:
    """Return the Secret for one purpose, or None where the class names none.

    Args:
        purpose: one of this module's constants.
        parameters: the class's.
        values: what templates may refer to: `pv.name`, `pvc.name`, `pvc.namespace`.
        annotations: of the claim; only names may refer to them.

    Raises:
        BadTemplateError: half of it is missing, or it refers to something unknown.
    """
    name = parameters.get(f"{PREFIX}{purpose}-secret-name", "")
    namespace = parameters.get(f"{PREFIX}{purpose}-secret-namespace", "")
    if not name and not namespace:
        return None
    if not name or not namespace:
        raise BadTemplateError(
            f"either name and namespace for {purpose} secrets specified, Both must be specified"
        )
    scoped = {key: text for key, text in values.items() if key != "pvc.name"}
    return Reference(_fill(namespace, scoped, {}), _fill(name, values, annotations))


def values_of(claim: PersistentVolumeClaim, volume: str) -> dict[str, str]:
    """Return what templates of a storage class may refer to."""
    meta = claim.metadata
    return {
        "pv.name": volume, "pvc.name": meta.name or "", "pvc.namespace": meta.namespace or "",
    }  # fmt: skip


def _fill(template: str, values: Mapping[str, str], annotations: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        token = match.group(1) if match.group(1) is not None else match.group(2)
        if token in values:
            return values[token]
        if token.startswith(_ANNOTATION) and token.endswith("']"):
            key = token[len(_ANNOTATION) : -2]
            if key in annotations:
                return annotations[key]
        raise BadTemplateError(f'invalid tokens: ["{token}"] in secret template "{template}"')

    return _TOKEN.sub(value, template)


def for_driver(parameters: Mapping[str, str] | None) -> dict[str, str]:
    """Return a class's parameters without those that are meant for us."""
    return {
        key: text for key, text in (parameters or {}).items()
        if not key.startswith(PREFIX) and key != OLD_FS_TYPE
    }  # fmt: skip


def file_system(parameters: Mapping[str, str] | None) -> str:
    """Return the file system a class wants; "" leaves it to the driver."""
    found = parameters or {}
    return found.get(FS_TYPE) or found.get(OLD_FS_TYPE) or ""
