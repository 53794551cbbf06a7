"""The files of a volume, before they are written.

In:   keys and items as ConfigMaps, Secrets and the like have them.
Out:  a payload: path → Entry.
By:   the kinds which hold text; atomic.py writes payloads. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kybern.api.core.v1 import KeyToPath

DEFAULT_MODE = 0o644


class Entry(NamedTuple):
    """One file. `owner` is None for the kubelet's own user."""

    data: bytes
    mode: int
    owner: int | None = None


Payload = dict[str, Entry]


class VolumeProblem(Exception):
    """A volume cannot be made as asked (yet); `str()` is for the pod's events."""


class MountFailed(Exception):
    """A volume could not be made; `str()` is the event's text."""

    reason = "FailedMount"

    def __init__(self, volume: str, why: str, step: str = "MountVolume.SetUp") -> None:
        super().__init__(f'{step} failed for volume "{volume}" : {why}')


def pick(
    available: Mapping[str, bytes],
    items: Iterable[KeyToPath] | None,
    mode: int,
    *,
    optional: bool,
    missing: str,
) -> Payload:
    """Return all keys as files of their names, or the chosen ones at the chosen paths.

    Raises:
        VolumeProblem: a chosen key does not exist and is not optional.
    """
    if not items:
        return {key: Entry(value, mode) for key, value in available.items()}
    payload: Payload = {}
    for item in items:
        if item.key not in available:
            if optional:
                continue
            raise VolumeProblem(missing)
        chosen = item.mode if item.mode is not None else mode
        payload[item.path] = Entry(available[item.key], chosen)
    return payload
