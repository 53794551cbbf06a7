"""What `kube-root-ca.crt` has to look like in a namespace.

In:   the namespace, the ConfigMap it has, the certificate authority.
Out:  the ConfigMap to create or to write, or None.
By:   root_ca.controller. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import codec
from kybern.api.core.v1 import ConfigMap
from kybern.api.meta.v1 import ObjectMeta

if TYPE_CHECKING:
    from kybern.api.core.v1 import Namespace

NAME = "kube-root-ca.crt"
FILE = "ca.crt"
DESCRIPTION = "kubernetes.io/description"
TEXT = (
    "The certificate authority to trust when talking to this cluster's API server by one of its "
    "internal names or addresses. It is good for nothing else."
)


def plan(namespace: Namespace, existing: ConfigMap | None, root_ca: str) -> ConfigMap | None:
    """Return the ConfigMap as it must be written, or None when nothing is to be done."""
    if namespace.status.phase == "Terminating" or namespace.metadata.deletionTimestamp is not None:
        return None
    data = {FILE: root_ca}
    if existing is None:
        metadata = ObjectMeta(
            name=NAME, namespace=namespace.metadata.name, annotations={DESCRIPTION: TEXT}
        )
        return ConfigMap(metadata=metadata, data=data)
    described = (existing.metadata.annotations or {}).get(DESCRIPTION)
    if existing.data == data and not existing.binaryData and described:
        return None
    mine = codec.clone(existing)
    mine.data = data
    mine.binaryData = None
    mine.metadata.annotations = {**(mine.metadata.annotations or {}), DESCRIPTION: TEXT}
    return mine
