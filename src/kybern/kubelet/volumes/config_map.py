"""The files of a configMap volume. Pure."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from kybern.kubelet.volumes.content import DEFAULT_MODE, Payload, VolumeProblem, pick

if TYPE_CHECKING:
    from kybern.api.core.v1 import ConfigMap, ConfigMapProjection, ConfigMapVolumeSource

MISSING_KEY = "configmap references non-existent config key: {}"


def config_map_files(
    source: ConfigMapVolumeSource | ConfigMapProjection,
    found: ConfigMap | None,
    mode: int = DEFAULT_MODE,
) -> Payload:
    """Return the files of a ConfigMap.

    Raises:
        VolumeProblem: it, or one of its keys, is missing and not optional.
    """
    optional = bool(source.optional)
    if found is None:
        if optional:
            return {}
        raise VolumeProblem(f'configmap "{source.name}" not found')
    available = {key: value.encode() for key, value in (found.data or {}).items()}
    for key, encoded in (found.binaryData or {}).items():
        available[key] = base64.b64decode(encoded)
    missing = next((i.key for i in source.items or () if i.key not in available), "")
    return pick(
        available, source.items, mode, optional=optional, missing=MISSING_KEY.format(missing)
    )
