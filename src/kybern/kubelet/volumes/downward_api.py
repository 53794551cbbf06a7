"""The files of a downwardAPI volume: what a pod can read about itself. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.kubelet.pods import specs
from kybern.kubelet.pods.field_values import Facts, UnknownField, field_value, resource_value
from kybern.kubelet.volumes.content import DEFAULT_MODE, Entry, Payload, VolumeProblem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.api.core.v1 import DownwardAPIVolumeFile, Pod


def downward_files(
    pod: Pod,
    items: Iterable[DownwardAPIVolumeFile] | None,
    facts: Facts,
    mode: int = DEFAULT_MODE,
) -> Payload:
    """Return the files.

    Raises:
        VolumeProblem: an item names no field or container there is.
    """
    payload: Payload = {}
    for item in items or ():
        chosen = item.mode if item.mode is not None else mode
        payload[item.path] = Entry(_value(pod, item, facts).encode(), chosen)
    return payload


def _value(pod: Pod, item: DownwardAPIVolumeFile, facts: Facts) -> str:
    try:
        if item.fieldRef is not None:
            return field_value(pod, item.fieldRef.fieldPath, facts)
        if item.resourceFieldRef is not None:
            name = item.resourceFieldRef.containerName or ""
            wanted = specs.find(pod, name)
            if wanted is None:
                raise VolumeProblem(f"container {name} not found")
            return resource_value(wanted.spec, item.resourceFieldRef, facts)
    except UnknownField as unknown:
        raise VolumeProblem(str(unknown)) from None
    return ""
