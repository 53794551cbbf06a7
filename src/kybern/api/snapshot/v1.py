"""Types of snapshot.storage.k8s.io/v1, as the wire has them.

In:   nothing. Read off the custom resources of external-snapshotter 8: upstream has no generated
      types for them in its own tree.
Out:  VolumeSnapshot, VolumeSnapshotContent, VolumeSnapshotClass.
By:   scheme, the snapshot controllers.

They never travel as protobuf; the numbers only order the fields.
"""

from typing import Annotated

from msgspec import Struct, field

from kybern.api._factories import always, empty_list
from kybern.api.core import v1 as core
from kybern.api.fields import Field
from kybern.api.meta import v1 as meta
from kybern.api.scalars import Quantity, Time

GROUP_VERSION = "snapshot.storage.k8s.io/v1"


class VolumeSnapshotError(
    Struct, kw_only=True, omit_defaults=True, gc=False, forbid_unknown_fields=True
):
    """What went wrong last."""

    time: Annotated[Time | None, Field(1, "Time")] = None
    message: Annotated[str | None, Field(2, "string")] = None


class VolumeSnapshotSource(
    Struct, kw_only=True, omit_defaults=True, gc=False, forbid_unknown_fields=True
):
    """Of which claim a snapshot is taken, or which content there is already."""

    persistentVolumeClaimName: Annotated[str | None, Field(1, "string")] = None
    volumeSnapshotContentName: Annotated[str | None, Field(2, "string")] = None


class VolumeSnapshotSpec(
    Struct, kw_only=True, omit_defaults=True, gc=False, forbid_unknown_fields=True
):
    """What is wanted."""

    source: Annotated[VolumeSnapshotSource, Field(1, "message")] = field(
        default_factory=VolumeSnapshotSource
    )
    volumeSnapshotClassName: Annotated[str | None, Field(2, "string")] = None


class VolumeSnapshotStatus(
    Struct, kw_only=True, omit_defaults=True, gc=False, forbid_unknown_fields=True
):
    """What there is."""

    boundVolumeSnapshotContentName: Annotated[str | None, Field(1, "string")] = None
    creationTime: Annotated[Time | None, Field(2, "Time")] = None
    readyToUse: Annotated[bool | None, Field(3, "bool")] = None
    restoreSize: Annotated[Quantity | None, Field(4, "Quantity")] = None
    error: Annotated[VolumeSnapshotError | None, Field(5, "message")] = None
    volumeGroupSnapshotName: Annotated[str | None, Field(6, "string")] = None


class VolumeSnapshot(
    Struct, kw_only=True, omit_defaults=True, gc=False, forbid_unknown_fields=True
):
    """A snapshot, as a user asks for it."""

    kind: str = field(default_factory=always("VolumeSnapshot"))
    apiVersion: str = field(default_factory=always(GROUP_VERSION))
    metadata: Annotated[meta.ObjectMeta, Field(1, "message")] = field(
        default_factory=meta.ObjectMeta
    )
    spec: Annotated[VolumeSnapshotSpec, Field(2, "message")] = field(
        default_factory=VolumeSnapshotSpec
    )
    status: Annotated[VolumeSnapshotStatus, Field(3, "message")] = field(
        default_factory=VolumeSnapshotStatus
    )


class VolumeSnapshotList(
    Struct, kw_only=True, omit_defaults=True, gc=False, forbid_unknown_fields=True
):
    """Several."""

    kind: str = field(default_factory=always("VolumeSnapshotList"))
    apiVersion: str = field(default_factory=always(GROUP_VERSION))
    metadata: Annotated[meta.ListMeta, Field(1, "message")] = field(default_factory=meta.ListMeta)
    items: Annotated[list[VolumeSnapshot], Field(2, "message")] = field(default_factory=empty_list)


class VolumeSnapshotContentSource(
    Struct, kw_only=True, omit_defaults=True, gc=False, forbid_unknown_fields=True
):
    """Of which volume it is taken, or what the driver calls a snapshot that there is already."""

    snapshotHandle: Annotated[str | None, Field(1, "string")] = None
    volumeHandle: Annotated[str | None, Field(2, "string")] = None


class VolumeSnapshotContentSpec(
    Struct, kw_only=True, omit_defaults=True, gc=False, forbid_unknown_fields=True
):
    """What a driver is to make, or has made."""

    deletionPolicy: Annotated[str, Field(1, "string")] = field(default_factory=str)
    driver: Annotated[str, Field(2, "string")] = field(default_factory=str)
    source: Annotated[VolumeSnapshotContentSource, Field(3, "message")] = field(
        default_factory=VolumeSnapshotContentSource
    )
    sourceVolumeMode: Annotated[str | None, Field(4, "string")] = None
    volumeSnapshotClassName: Annotated[str | None, Field(5, "string")] = None
    volumeSnapshotRef: Annotated[core.ObjectReference, Field(6, "message", map_type="atomic")] = (
        field(default_factory=core.ObjectReference)
    )


class VolumeSnapshotContentStatus(
    Struct, kw_only=True, omit_defaults=True, gc=False, forbid_unknown_fields=True
):
    """What the driver has made; the time is in nanoseconds."""

    creationTime: Annotated[int | None, Field(1, "int64")] = None
    error: Annotated[VolumeSnapshotError | None, Field(2, "message")] = None
    readyToUse: Annotated[bool | None, Field(3, "bool")] = None
    restoreSize: Annotated[int | None, Field(4, "int64")] = None
    snapshotHandle: Annotated[str | None, Field(5, "string")] = None
    volumeGroupSnapshotHandle: Annotated[str | None, Field(6, "string")] = None


class VolumeSnapshotContent(
    Struct, kw_only=True, omit_defaults=True, gc=False, forbid_unknown_fields=True
):
    """A snapshot, as a driver has it."""

    kind: str = field(default_factory=always("VolumeSnapshotContent"))
    apiVersion: str = field(default_factory=always(GROUP_VERSION))
    metadata: Annotated[meta.ObjectMeta, Field(1, "message")] = field(
        default_factory=meta.ObjectMeta
    )
    spec: Annotated[VolumeSnapshotContentSpec, Field(2, "message")] = field(
        default_factory=VolumeSnapshotContentSpec
    )
    status: Annotated[VolumeSnapshotContentStatus, Field(3, "message")] = field(
        default_factory=VolumeSnapshotContentStatus
    )


class VolumeSnapshotContentList(
    Struct, kw_only=True, omit_defaults=True, gc=False, forbid_unknown_fields=True
):
    """Several."""

    kind: str = field(default_factory=always("VolumeSnapshotContentList"))
    apiVersion: str = field(default_factory=always(GROUP_VERSION))
    metadata: Annotated[meta.ListMeta, Field(1, "message")] = field(default_factory=meta.ListMeta)
    items: Annotated[list[VolumeSnapshotContent], Field(2, "message")] = field(
        default_factory=empty_list
    )


class VolumeSnapshotClass(
    Struct, kw_only=True, omit_defaults=True, gc=False, forbid_unknown_fields=True
):
    """How snapshots are taken, and what becomes of them when nobody wants them."""

    kind: str = field(default_factory=always("VolumeSnapshotClass"))
    apiVersion: str = field(default_factory=always(GROUP_VERSION))
    metadata: Annotated[meta.ObjectMeta, Field(1, "message")] = field(
        default_factory=meta.ObjectMeta
    )
    deletionPolicy: Annotated[str, Field(2, "string")] = field(default_factory=str)
    driver: Annotated[str, Field(3, "string")] = field(default_factory=str)
    parameters: Annotated[dict[str, str] | None, Field(4, "string")] = None


class VolumeSnapshotClassList(
    Struct, kw_only=True, omit_defaults=True, gc=False, forbid_unknown_fields=True
):
    """Several."""

    kind: str = field(default_factory=always("VolumeSnapshotClassList"))
    apiVersion: str = field(default_factory=always(GROUP_VERSION))
    metadata: Annotated[meta.ListMeta, Field(1, "message")] = field(default_factory=meta.ListMeta)
    items: Annotated[list[VolumeSnapshotClass], Field(2, "message")] = field(
        default_factory=empty_list
    )
