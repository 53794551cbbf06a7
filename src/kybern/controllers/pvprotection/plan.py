"""Whether a volume needs its finalizer.

In:   a PersistentVolume.
Out:  the finalizers it should have.
By:   pvprotection.controller. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kybern.api.core.v1 import PersistentVolume

FINALIZER = "kubernetes.io/pv-protection"
BOUND = "Bound"


def finalizers(volume: PersistentVolume) -> list[str]:
    """Return what should keep the volume: ours until it is deleted and not bound."""
    have = list(volume.metadata.finalizers or ())
    if volume.metadata.deletionTimestamp is None:
        return have if FINALIZER in have else [*have, FINALIZER]
    if volume.status.phase == BOUND:
        return have
    return [name for name in have if name != FINALIZER]
