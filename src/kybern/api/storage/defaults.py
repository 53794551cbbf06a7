"""What the storage kinds get that their author did not say.

In:   an object as decoded.
Out:  the same object with defaults filled in, in place.
By:   `api.defaults`. Facts: upstream's `pkg/apis/storage/v1/defaults.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.api.storage.v1 import CSIDriver, StorageClass


def default_storage_class(obj: StorageClass) -> None:
    """Volumes go with their claims and are made at once."""
    obj.reclaimPolicy = obj.reclaimPolicy or "Delete"
    obj.volumeBindingMode = obj.volumeBindingMode or "Immediate"


def default_csi_driver(obj: CSIDriver) -> None:
    """Volumes are attached; nothing else is asked for."""
    spec = obj.spec
    if spec.attachRequired is None:
        spec.attachRequired = True
    if spec.podInfoOnMount is None:
        spec.podInfoOnMount = False
    if spec.storageCapacity is None:
        spec.storageCapacity = False
    spec.fsGroupPolicy = spec.fsGroupPolicy or "ReadWriteOnceWithFSType"
    spec.volumeLifecycleModes = spec.volumeLifecycleModes or ["Persistent"]
    if spec.requiresRepublish is None:
        spec.requiresRepublish = False
    if spec.seLinuxMount is None:
        spec.seLinuxMount = False


DEFAULTERS: Final[dict[str, Callable[[Any], None]]] = {
    "CSIDriver": default_csi_driver,
    "StorageClass": default_storage_class,
}
