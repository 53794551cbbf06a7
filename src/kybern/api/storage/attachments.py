"""How volumes of storage drivers, and their attachments, are named.

In:   a driver, what it calls a volume, a node.
Out:  names and finalizers, the same ones that upstream's programs compute.
By:   the controllers that attach, and the kubelet, which waits for them. Pure.

Source: upstream's `pkg/volume/csi/csi_attacher.go` and `pkg/volume/util/util.go`.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from kybern.api.core.v1 import CSIPersistentVolumeSource

SHARED: Final = frozenset(("ReadWriteMany", "ReadOnlyMany"))
_NO_NAME: Final = re.compile("[^a-zA-Z0-9-]")


def unique_name(source: CSIPersistentVolumeSource) -> str:
    """Return what a node calls a volume in `status.volumesInUse` and `volumesAttached`."""
    return f"kubernetes.io/csi/{source.driver}^{source.volumeHandle}"


def attachment_name(source: CSIPersistentVolumeSource, node: str) -> str:
    """Return the name of the VolumeAttachment of a volume to a node."""
    digest = sha256(f"{source.volumeHandle}{source.driver}{node}".encode())
    return f"csi-{digest.hexdigest()}"


def attacher_finalizer(driver: str) -> str:
    """Return what keeps an attachment, and its volume, until the driver has let go."""
    return f"external-attacher/{_NO_NAME.sub('-', driver)}"
