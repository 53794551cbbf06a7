"""The default storage class of `kybern up`: volumes on the nodes' own disks.

In:   nothing.
Out:  the StorageClass `local-path`, unless there is one of that name.
By:   the control plane.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from kybern.api.errors import AlreadyExists
from kybern.api.meta.v1 import ObjectMeta
from kybern.api.storage.v1 import StorageClass

if TYPE_CHECKING:
    from kybern.client.rest import Client

NAME = "local-path"
PROVISIONER = "kybern.io/local-path"
IS_DEFAULT = "storageclass.kubernetes.io/is-default-class"


async def ensure(client: Client) -> None:
    """Create the class; one that was changed stays as it is."""
    local = StorageClass(
        metadata=ObjectMeta(name=NAME, annotations={IS_DEFAULT: "true"}),
        provisioner=PROVISIONER,
        reclaimPolicy="Delete",
        volumeBindingMode="WaitForFirstConsumer",
        allowVolumeExpansion=True,
    )
    with contextlib.suppress(AlreadyExists):
        await client.create(local)
