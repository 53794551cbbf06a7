"""Objects of any kind, reduced to what all of them have.

In:   the JSON of any object.
Out:  `Partial`: who it is, whose it is, whether it is going away.
By:   controllers that work on every kind there is: garbage collection, namespace deletion.

Fields not named here are skipped while decoding, so that a copy of the whole cluster stays small.
"""

# msgspec resolves the annotations of Structs: they are not postponed in this file.

import msgspec

ACCEPT = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
ACCEPT_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"


class Owner(msgspec.Struct, gc=False, frozen=True):
    """An ownerReference."""

    apiVersion: str = ""  # noqa: N815
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None
    blockOwnerDeletion: bool | None = None  # noqa: N815


class PartialMetadata(msgspec.Struct, gc=False):
    """The part of ObjectMeta that matters to every kind."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resourceVersion: str = ""  # noqa: N815
    creationTimestamp: str | None = None  # noqa: N815
    deletionTimestamp: str | None = None  # noqa: N815
    deletionGracePeriodSeconds: int | None = None  # noqa: N815
    finalizers: list[str] | None = None
    ownerReferences: list[Owner] | None = None  # noqa: N815
    annotations: dict[str, str] | None = None


class Partial(msgspec.Struct, gc=False):
    """Any object."""

    kind: str = ""
    apiVersion: str = ""  # noqa: N815
    metadata: PartialMetadata = msgspec.field(default_factory=PartialMetadata)
