"""The messages of CSI v1 (csi.proto of the Container Storage Interface, release 1.12).

In:   nothing.
Out:  Structs, encoded by kybern.lib.protobuf. Names and numbers are the specification's.
By:   client.py, its callers, and drivers written in Python.

Group snapshots and snapshot metadata are left out. Secrets are in the fields named so: never log.
"""

import enum
from typing import Annotated

from msgspec import Struct, field

from kybern.lib.protobuf import PbField as N

Strings = dict[str, str]


class Empty(Struct):
    """A request or answer without content."""


class BoolValue(Struct):
    """A bool which can be absent."""

    value: Annotated[bool, N(1)] = False


class Int64Value(Struct):
    """An int64 which can be absent."""

    value: Annotated[int, N(1)] = 0


class Timestamp(Struct):
    """A moment: seconds since 1970, and nanoseconds more."""

    seconds: Annotated[int, N(1)] = 0
    nanos: Annotated[int, N(2, "int32")] = 0


# --- who the driver is


class PluginService(enum.IntEnum):
    """What a driver has besides the node service."""

    UNKNOWN = 0
    CONTROLLER_SERVICE = 1
    VOLUME_ACCESSIBILITY_CONSTRAINTS = 2
    GROUP_CONTROLLER_SERVICE = 3
    SNAPSHOT_METADATA_SERVICE = 4


class Expansion(enum.IntEnum):
    """When volumes can grow."""

    UNKNOWN = 0
    ONLINE = 1
    OFFLINE = 2


class ServiceType(Struct):
    """One service of a driver; `type` is a PluginService."""

    type: Annotated[int, N(1)] = 0


class ExpansionType(Struct):
    """One way volumes can grow; `type` is an Expansion."""

    type: Annotated[int, N(1)] = 0


class PluginCapability(Struct):
    """One of the two is set."""

    service: Annotated[ServiceType | None, N(1)] = None
    volume_expansion: Annotated[ExpansionType | None, N(2)] = None


class GetPluginInfoResponse(Struct):
    """Who the driver is."""

    name: Annotated[str, N(1)] = ""
    vendor_version: Annotated[str, N(2)] = ""
    manifest: Annotated[Strings, N(3)] = field(default_factory=dict)


class GetPluginCapabilitiesResponse(Struct):
    """What the driver has."""

    capabilities: Annotated[list[PluginCapability], N(1)] = field(default_factory=list)


class ProbeResponse(Struct):
    """Whether the driver is ready; it is when it says nothing."""

    ready: Annotated[BoolValue | None, N(1)] = None


# --- volumes


class AccessModeType(enum.IntEnum):
    """On how many nodes a volume is used at a time, and how."""

    UNKNOWN = 0
    SINGLE_NODE_WRITER = 1
    SINGLE_NODE_READER_ONLY = 2
    MULTI_NODE_READER_ONLY = 3
    MULTI_NODE_SINGLE_WRITER = 4
    MULTI_NODE_MULTI_WRITER = 5
    SINGLE_NODE_SINGLE_WRITER = 6
    SINGLE_NODE_MULTI_WRITER = 7


class BlockVolume(Struct):
    """The volume is used as a block device."""


class MountVolume(Struct):
    """The volume is used as a directory."""

    fs_type: Annotated[str, N(1)] = ""
    mount_flags: Annotated[list[str], N(2)] = field(default_factory=list)
    volume_mount_group: Annotated[str, N(3)] = ""


class AccessMode(Struct):
    """`mode` is an AccessModeType."""

    mode: Annotated[int, N(1)] = 0


class VolumeCapability(Struct):
    """How a volume is to be used: one of `block` and `mount` is set."""

    block: Annotated[BlockVolume | None, N(1)] = None
    mount: Annotated[MountVolume | None, N(2)] = None
    access_mode: Annotated[AccessMode | None, N(3)] = None


class CapacityRange(Struct):
    """How large a volume must be at least and at most, in bytes; 0 for no limit."""

    required_bytes: Annotated[int, N(1)] = 0
    limit_bytes: Annotated[int, N(2)] = 0


class Topology(Struct):
    """A place: segments such as zone and rack."""

    segments: Annotated[Strings, N(1)] = field(default_factory=dict)


class TopologyRequirement(Struct):
    """From where a volume has to be reached."""

    requisite: Annotated[list[Topology], N(1)] = field(default_factory=list)
    preferred: Annotated[list[Topology], N(2)] = field(default_factory=list)


class SnapshotSource(Struct):
    """A snapshot a volume begins as."""

    snapshot_id: Annotated[str, N(1)] = ""


class VolumeSource(Struct):
    """A volume another one begins as a copy of."""

    volume_id: Annotated[str, N(1)] = ""


class VolumeContentSource(Struct):
    """What is in a volume from the beginning: one is set."""

    snapshot: Annotated[SnapshotSource | None, N(1)] = None
    volume: Annotated[VolumeSource | None, N(2)] = None


class Volume(Struct):
    """A volume the driver has."""

    capacity_bytes: Annotated[int, N(1)] = 0
    volume_id: Annotated[str, N(2)] = ""
    volume_context: Annotated[Strings, N(3)] = field(default_factory=dict)
    content_source: Annotated[VolumeContentSource | None, N(4)] = None
    accessible_topology: Annotated[list[Topology], N(5)] = field(default_factory=list)


class VolumeCondition(Struct):
    """Whether something is wrong with a volume."""

    abnormal: Annotated[bool, N(1)] = False
    message: Annotated[str, N(2)] = ""


# --- the controller service: volumes


class CreateVolumeRequest(Struct):
    """Make a volume; asked twice by the same name, the driver makes one."""

    name: Annotated[str, N(1)] = ""
    capacity_range: Annotated[CapacityRange | None, N(2)] = None
    volume_capabilities: Annotated[list[VolumeCapability], N(3)] = field(default_factory=list)
    parameters: Annotated[Strings, N(4)] = field(default_factory=dict)
    secrets: Annotated[Strings, N(5)] = field(default_factory=dict)
    volume_content_source: Annotated[VolumeContentSource | None, N(6)] = None
    accessibility_requirements: Annotated[TopologyRequirement | None, N(7)] = None
    mutable_parameters: Annotated[Strings, N(8)] = field(default_factory=dict)


class CreateVolumeResponse(Struct):
    """The volume."""

    volume: Annotated[Volume | None, N(1)] = None


class DeleteVolumeRequest(Struct):
    """Remove a volume; one that is gone is no error."""

    volume_id: Annotated[str, N(1)] = ""
    secrets: Annotated[Strings, N(2)] = field(default_factory=dict)


class ControllerPublishVolumeRequest(Struct):
    """Attach a volume to a node, which has the id its driver gave in NodeGetInfo."""

    volume_id: Annotated[str, N(1)] = ""
    node_id: Annotated[str, N(2)] = ""
    volume_capability: Annotated[VolumeCapability | None, N(3)] = None
    readonly: Annotated[bool, N(4)] = False
    secrets: Annotated[Strings, N(5)] = field(default_factory=dict)
    volume_context: Annotated[Strings, N(6)] = field(default_factory=dict)


class ControllerPublishVolumeResponse(Struct):
    """What the node service has to be told."""

    publish_context: Annotated[Strings, N(1)] = field(default_factory=dict)


class ControllerUnpublishVolumeRequest(Struct):
    """Detach a volume from a node; from all when there is no id."""

    volume_id: Annotated[str, N(1)] = ""
    node_id: Annotated[str, N(2)] = ""
    secrets: Annotated[Strings, N(3)] = field(default_factory=dict)


class ValidateVolumeCapabilitiesRequest(Struct):
    """Can a volume be used like this?"""

    volume_id: Annotated[str, N(1)] = ""
    volume_context: Annotated[Strings, N(2)] = field(default_factory=dict)
    volume_capabilities: Annotated[list[VolumeCapability], N(3)] = field(default_factory=list)
    parameters: Annotated[Strings, N(4)] = field(default_factory=dict)
    secrets: Annotated[Strings, N(5)] = field(default_factory=dict)
    mutable_parameters: Annotated[Strings, N(6)] = field(default_factory=dict)


class Confirmed(Struct):
    """The part of the question to which the answer is yes."""

    volume_context: Annotated[Strings, N(1)] = field(default_factory=dict)
    volume_capabilities: Annotated[list[VolumeCapability], N(2)] = field(default_factory=list)
    parameters: Annotated[Strings, N(3)] = field(default_factory=dict)
    mutable_parameters: Annotated[Strings, N(4)] = field(default_factory=dict)


class ValidateVolumeCapabilitiesResponse(Struct):
    """Yes when confirmed; else a message why not."""

    confirmed: Annotated[Confirmed | None, N(1)] = None
    message: Annotated[str, N(2)] = ""


class ListVolumesRequest(Struct):
    """A page of all volumes."""

    max_entries: Annotated[int, N(1, "int32")] = 0
    starting_token: Annotated[str, N(2)] = ""


class VolumeStatus(Struct):
    """Where a volume is attached, and how it is."""

    published_node_ids: Annotated[list[str], N(1)] = field(default_factory=list)
    volume_condition: Annotated[VolumeCondition | None, N(2)] = None


class VolumeEntry(Struct):
    """One volume of a page."""

    volume: Annotated[Volume | None, N(1)] = None
    status: Annotated[VolumeStatus | None, N(2)] = None


class ListVolumesResponse(Struct):
    """A page, and where the next begins."""

    entries: Annotated[list[VolumeEntry], N(1)] = field(default_factory=list)
    next_token: Annotated[str, N(2)] = ""


class GetCapacityRequest(Struct):
    """How much can still be had of volumes like this?"""

    volume_capabilities: Annotated[list[VolumeCapability], N(1)] = field(default_factory=list)
    parameters: Annotated[Strings, N(2)] = field(default_factory=dict)
    accessible_topology: Annotated[Topology | None, N(3)] = None


class GetCapacityResponse(Struct):
    """How much there is, and how large one volume can be."""

    available_capacity: Annotated[int, N(1)] = 0
    maximum_volume_size: Annotated[Int64Value | None, N(2)] = None
    minimum_volume_size: Annotated[Int64Value | None, N(3)] = None


class ControllerRpc(enum.IntEnum):
    """What a controller service can do."""

    UNKNOWN = 0
    CREATE_DELETE_VOLUME = 1
    PUBLISH_UNPUBLISH_VOLUME = 2
    LIST_VOLUMES = 3
    GET_CAPACITY = 4
    CREATE_DELETE_SNAPSHOT = 5
    LIST_SNAPSHOTS = 6
    CLONE_VOLUME = 7
    PUBLISH_READONLY = 8
    EXPAND_VOLUME = 9
    LIST_VOLUMES_PUBLISHED_NODES = 10
    VOLUME_CONDITION = 11
    GET_VOLUME = 12
    SINGLE_NODE_MULTI_WRITER = 13
    MODIFY_VOLUME = 14
    GET_SNAPSHOT = 15


class RpcType(Struct):
    """`type` is a ControllerRpc or a NodeRpc."""

    type: Annotated[int, N(1)] = 0


class ServiceCapability(Struct):
    """One thing the controller or node service can do."""

    rpc: Annotated[RpcType | None, N(1)] = None


class GetCapabilitiesResponse(Struct):
    """What the controller or node service can do."""

    capabilities: Annotated[list[ServiceCapability], N(1)] = field(default_factory=list)


class ControllerExpandVolumeRequest(Struct):
    """Let a volume grow."""

    volume_id: Annotated[str, N(1)] = ""
    capacity_range: Annotated[CapacityRange | None, N(2)] = None
    secrets: Annotated[Strings, N(3)] = field(default_factory=dict)
    volume_capability: Annotated[VolumeCapability | None, N(4)] = None


class ControllerExpandVolumeResponse(Struct):
    """How large it is now, and whether the node has to do its part."""

    capacity_bytes: Annotated[int, N(1)] = 0
    node_expansion_required: Annotated[bool, N(2)] = False


class ControllerModifyVolumeRequest(Struct):
    """Change what can be changed about a volume."""

    volume_id: Annotated[str, N(1)] = ""
    secrets: Annotated[Strings, N(2)] = field(default_factory=dict)
    mutable_parameters: Annotated[Strings, N(3)] = field(default_factory=dict)


# --- the controller service: snapshots


class Snapshot(Struct):
    """A snapshot the driver has."""

    size_bytes: Annotated[int, N(1)] = 0
    snapshot_id: Annotated[str, N(2)] = ""
    source_volume_id: Annotated[str, N(3)] = ""
    creation_time: Annotated[Timestamp | None, N(4)] = None
    ready_to_use: Annotated[bool, N(5)] = False
    group_snapshot_id: Annotated[str, N(6)] = ""


class CreateSnapshotRequest(Struct):
    """Take a snapshot; asked twice by the same name, the driver takes one."""

    source_volume_id: Annotated[str, N(1)] = ""
    name: Annotated[str, N(2)] = ""
    secrets: Annotated[Strings, N(3)] = field(default_factory=dict)
    parameters: Annotated[Strings, N(4)] = field(default_factory=dict)


class CreateSnapshotResponse(Struct):
    """The snapshot; it may take time until it is ready to use."""

    snapshot: Annotated[Snapshot | None, N(1)] = None


class DeleteSnapshotRequest(Struct):
    """Remove a snapshot; one that is gone is no error."""

    snapshot_id: Annotated[str, N(1)] = ""
    secrets: Annotated[Strings, N(2)] = field(default_factory=dict)


class ListSnapshotsRequest(Struct):
    """A page of all snapshots, of those of a volume, or one snapshot."""

    max_entries: Annotated[int, N(1, "int32")] = 0
    starting_token: Annotated[str, N(2)] = ""
    source_volume_id: Annotated[str, N(3)] = ""
    snapshot_id: Annotated[str, N(4)] = ""
    secrets: Annotated[Strings, N(5)] = field(default_factory=dict)


class SnapshotEntry(Struct):
    """One snapshot of a page."""

    snapshot: Annotated[Snapshot | None, N(1)] = None


class ListSnapshotsResponse(Struct):
    """A page, and where the next begins."""

    entries: Annotated[list[SnapshotEntry], N(1)] = field(default_factory=list)
    next_token: Annotated[str, N(2)] = ""


# --- the node service


class NodeRpc(enum.IntEnum):
    """What a node service can do."""

    UNKNOWN = 0
    STAGE_UNSTAGE_VOLUME = 1
    GET_VOLUME_STATS = 2
    EXPAND_VOLUME = 3
    VOLUME_CONDITION = 4
    SINGLE_NODE_MULTI_WRITER = 5
    VOLUME_MOUNT_GROUP = 6


class NodeStageVolumeRequest(Struct):
    """Make an attached volume usable, once on a node."""

    volume_id: Annotated[str, N(1)] = ""
    publish_context: Annotated[Strings, N(2)] = field(default_factory=dict)
    staging_target_path: Annotated[str, N(3)] = ""
    volume_capability: Annotated[VolumeCapability | None, N(4)] = None
    secrets: Annotated[Strings, N(5)] = field(default_factory=dict)
    volume_context: Annotated[Strings, N(6)] = field(default_factory=dict)


class NodeUnstageVolumeRequest(Struct):
    """Take back what staging did."""

    volume_id: Annotated[str, N(1)] = ""
    staging_target_path: Annotated[str, N(2)] = ""


class NodePublishVolumeRequest(Struct):
    """Bring a volume to the place where a pod will find it."""

    volume_id: Annotated[str, N(1)] = ""
    publish_context: Annotated[Strings, N(2)] = field(default_factory=dict)
    staging_target_path: Annotated[str, N(3)] = ""
    target_path: Annotated[str, N(4)] = ""
    volume_capability: Annotated[VolumeCapability | None, N(5)] = None
    readonly: Annotated[bool, N(6)] = False
    secrets: Annotated[Strings, N(7)] = field(default_factory=dict)
    volume_context: Annotated[Strings, N(8)] = field(default_factory=dict)


class NodeUnpublishVolumeRequest(Struct):
    """Take a volume away from a pod."""

    volume_id: Annotated[str, N(1)] = ""
    target_path: Annotated[str, N(2)] = ""


class UsageUnit(enum.IntEnum):
    """What is counted."""

    UNKNOWN = 0
    BYTES = 1
    INODES = 2


class VolumeUsage(Struct):
    """How full a volume is; `unit` is a UsageUnit."""

    available: Annotated[int, N(1)] = 0
    total: Annotated[int, N(2)] = 0
    used: Annotated[int, N(3)] = 0
    unit: Annotated[int, N(4)] = 0


class NodeGetVolumeStatsRequest(Struct):
    """How full is a volume?"""

    volume_id: Annotated[str, N(1)] = ""
    volume_path: Annotated[str, N(2)] = ""
    staging_target_path: Annotated[str, N(3)] = ""


class NodeGetVolumeStatsResponse(Struct):
    """How full it is, by unit."""

    usage: Annotated[list[VolumeUsage], N(1)] = field(default_factory=list)
    volume_condition: Annotated[VolumeCondition | None, N(2)] = None


class NodeGetInfoResponse(Struct):
    """What the driver calls this node, how many volumes it can have, and where it is."""

    node_id: Annotated[str, N(1)] = ""
    max_volumes_per_node: Annotated[int, N(2)] = 0
    accessible_topology: Annotated[Topology | None, N(3)] = None


class NodeExpandVolumeRequest(Struct):
    """Let the file system grow after its volume."""

    volume_id: Annotated[str, N(1)] = ""
    volume_path: Annotated[str, N(2)] = ""
    capacity_range: Annotated[CapacityRange | None, N(3)] = None
    staging_target_path: Annotated[str, N(4)] = ""
    volume_capability: Annotated[VolumeCapability | None, N(5)] = None
    secrets: Annotated[Strings, N(6)] = field(default_factory=dict)


class NodeExpandVolumeResponse(Struct):
    """How large it is now."""

    capacity_bytes: Annotated[int, N(1)] = 0
