"""How a volume is used, in a driver's words.

In:   access modes, volume mode, file system.
Out:  VolumeCapability messages; what is wrong with a combination.
By:   the controllers of storage drivers. Pure.

Source: csi-lib-utils' `accessmodes/access_modes.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kybern.csi.messages import (
    AccessMode,
    AccessModeType,
    BlockVolume,
    ControllerRpc,
    MountVolume,
    VolumeCapability,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from kybern.api.core.v1 import PersistentVolumeSpec

Mode = AccessModeType
# Drivers that tell one pod from one node say so; for others both are one node that writes.
_FINE: Final = {
    "ReadWriteOncePod": Mode.SINGLE_NODE_SINGLE_WRITER,
    "ReadWriteOnce": Mode.SINGLE_NODE_MULTI_WRITER,
}
_COARSE: Final = {
    "ReadWriteOncePod": Mode.SINGLE_NODE_WRITER,
    "ReadWriteOnce": Mode.SINGLE_NODE_WRITER,
}
ALONE: Final = (
    "Kubernetes does not support use of ReadWriteOncePod with other access modes on the same "
    "PersistentVolume"
)
READS_AND_WRITES: Final = (
    "Kubernetes does not support use of ReadOnlyMany and ReadWriteOnce on the same PersistentVolume"
)


class UnsupportedModesError(Exception):
    """Access modes that no driver can be asked for."""


def access_mode(modes: Sequence[str], rpcs: AbstractSet[int]) -> AccessModeType:
    """Return the one mode that stands for all of a volume's.

    Raises:
        UnsupportedModesError: there is none.
    """
    once = _FINE if ControllerRpc.SINGLE_NODE_MULTI_WRITER in rpcs else _COARSE
    found = set(modes)
    if "ReadWriteOncePod" in found:
        if len(found) > 1:
            raise UnsupportedModesError(ALONE)
        return once["ReadWriteOncePod"]
    if "ReadWriteMany" in found:
        return Mode.MULTI_NODE_MULTI_WRITER
    if found >= {"ReadOnlyMany", "ReadWriteOnce"}:
        raise UnsupportedModesError(READS_AND_WRITES)
    if "ReadOnlyMany" in found:
        return Mode.MULTI_NODE_READER_ONLY
    if "ReadWriteOnce" in found:
        return once["ReadWriteOnce"]
    raise UnsupportedModesError(f"unsupported AccessMode combination: {list(modes)}")


def capability(
    mode: AccessModeType, *, block: bool, fs_type: str, mount_options: Sequence[str] = ()
) -> VolumeCapability:
    """Return one way to use a volume."""
    if block:
        return VolumeCapability(block=BlockVolume(), access_mode=AccessMode(mode=mode))
    mount = MountVolume(fs_type=fs_type, mount_flags=list(mount_options))
    return VolumeCapability(mount=mount, access_mode=AccessMode(mode=mode))


def of_volume(spec: PersistentVolumeSpec, rpcs: AbstractSet[int]) -> VolumeCapability:
    """Return how a volume that exists is used.

    Raises:
        UnsupportedModesError: nobody could use it so.
    """
    source = spec.csi
    return capability(
        access_mode(spec.accessModes or (), rpcs),
        block=spec.volumeMode == "Block",
        fs_type=(source.fsType if source is not None else None) or "",
        mount_options=spec.mountOptions or (),
    )
