"""CRI messages about containers."""

import enum
from typing import Annotated

from msgspec import Struct, field

from kybern.kubelet.runtime.messages.image import FilesystemUsage, ImageSpec
from kybern.kubelet.runtime.messages.sandbox import (
    Int64Value,
    LinuxContainerResources,
    NamespaceOption,
    SecurityProfile,
    SELinuxOption,
    UInt64Value,
)
from kybern.lib.protobuf import PbField as N


class ContainerState(enum.IntEnum):
    """Where a container is in its life."""

    CREATED = 0
    RUNNING = 1
    EXITED = 2
    UNKNOWN = 3


class MountPropagation(enum.IntEnum):
    """Whether later mounts show on the other side."""

    PRIVATE = 0
    HOST_TO_CONTAINER = 1
    BIDIRECTIONAL = 2


class ContainerMetadata(Struct):
    """Name and restart count of a container in its pod."""

    name: Annotated[str, N(1)] = ""
    attempt: Annotated[int, N(2, "uint32")] = 0


class KeyValue(Struct):
    """One environment variable."""

    key: Annotated[str, N(1)] = ""
    value: Annotated[str, N(2)] = ""


class Mount(Struct):
    """A path of the node inside the container."""

    container_path: Annotated[str, N(1)] = ""
    host_path: Annotated[str, N(2)] = ""
    readonly: Annotated[bool, N(3)] = False
    selinux_relabel: Annotated[bool, N(4)] = False
    propagation: Annotated[int, N(5)] = 0
    recursive_read_only: Annotated[bool, N(8)] = False
    image: Annotated[ImageSpec | None, N(9)] = None
    image_sub_path: Annotated[str, N(10)] = ""


class Device(Struct):
    """A device of the node inside the container."""

    container_path: Annotated[str, N(1)] = ""
    host_path: Annotated[str, N(2)] = ""
    permissions: Annotated[str, N(3)] = ""


class Capability(Struct):
    """Linux capabilities to add to, or take from, the runtime's default set."""

    add_capabilities: Annotated[list[str], N(1)] = field(default_factory=list)
    drop_capabilities: Annotated[list[str], N(2)] = field(default_factory=list)
    add_ambient_capabilities: Annotated[list[str], N(3)] = field(default_factory=list)


class LinuxContainerSecurityContext(Struct):
    """Who the container's processes are and what they may do."""

    capabilities: Annotated[Capability | None, N(1)] = None
    privileged: Annotated[bool, N(2)] = False
    namespace_options: Annotated[NamespaceOption | None, N(3)] = None
    selinux_options: Annotated[SELinuxOption | None, N(4)] = None
    run_as_user: Annotated[Int64Value | None, N(5)] = None
    run_as_username: Annotated[str, N(6)] = ""
    readonly_rootfs: Annotated[bool, N(7)] = False
    supplemental_groups: Annotated[list[int], N(8)] = field(default_factory=list)
    no_new_privs: Annotated[bool, N(11)] = False
    run_as_group: Annotated[Int64Value | None, N(12)] = None
    masked_paths: Annotated[list[str], N(13)] = field(default_factory=list)
    readonly_paths: Annotated[list[str], N(14)] = field(default_factory=list)
    seccomp: Annotated[SecurityProfile | None, N(15)] = None
    apparmor: Annotated[SecurityProfile | None, N(16)] = None
    supplemental_groups_policy: Annotated[int, N(17)] = 0


class LinuxContainerConfig(Struct):
    """The Linux part of a container."""

    resources: Annotated[LinuxContainerResources | None, N(1)] = None
    security_context: Annotated[LinuxContainerSecurityContext | None, N(2)] = None


class ContainerConfig(Struct):
    """All that is needed to make a container."""

    metadata: Annotated[ContainerMetadata | None, N(1)] = None
    image: Annotated[ImageSpec | None, N(2)] = None
    command: Annotated[list[str], N(3)] = field(default_factory=list)
    args: Annotated[list[str], N(4)] = field(default_factory=list)
    working_dir: Annotated[str, N(5)] = ""
    envs: Annotated[list[KeyValue], N(6)] = field(default_factory=list)
    mounts: Annotated[list[Mount], N(7)] = field(default_factory=list)
    devices: Annotated[list[Device], N(8)] = field(default_factory=list)
    labels: Annotated[dict[str, str], N(9)] = field(default_factory=dict)
    annotations: Annotated[dict[str, str], N(10)] = field(default_factory=dict)
    log_path: Annotated[str, N(11)] = ""
    stdin: Annotated[bool, N(12)] = False
    stdin_once: Annotated[bool, N(13)] = False
    tty: Annotated[bool, N(14)] = False
    linux: Annotated[LinuxContainerConfig | None, N(15)] = None
    stop_signal: Annotated[int, N(18)] = 0


class Container(Struct):
    """A container in a list."""

    id: Annotated[str, N(1)] = ""
    pod_sandbox_id: Annotated[str, N(2)] = ""
    metadata: Annotated[ContainerMetadata | None, N(3)] = None
    image: Annotated[ImageSpec | None, N(4)] = None
    image_ref: Annotated[str, N(5)] = ""
    state: Annotated[int, N(6)] = 0
    created_at: Annotated[int, N(7)] = 0
    labels: Annotated[dict[str, str], N(8)] = field(default_factory=dict)
    annotations: Annotated[dict[str, str], N(9)] = field(default_factory=dict)
    image_id: Annotated[str, N(10)] = ""


class LinuxContainerUser(Struct):
    """Who the first process started as."""

    uid: Annotated[int, N(1)] = 0
    gid: Annotated[int, N(2)] = 0
    supplemental_groups: Annotated[list[int], N(3)] = field(default_factory=list)


class ContainerUser(Struct):
    """Who the first process started as, per operating system."""

    linux: Annotated[LinuxContainerUser | None, N(1)] = None


class ContainerResources(Struct):
    """The resources in force, per operating system."""

    linux: Annotated[LinuxContainerResources | None, N(1)] = None


class ContainerStatus(Struct):
    """A container as it is."""

    id: Annotated[str, N(1)] = ""
    metadata: Annotated[ContainerMetadata | None, N(2)] = None
    state: Annotated[int, N(3)] = 0
    created_at: Annotated[int, N(4)] = 0
    started_at: Annotated[int, N(5)] = 0
    finished_at: Annotated[int, N(6)] = 0
    exit_code: Annotated[int, N(7)] = 0
    image: Annotated[ImageSpec | None, N(8)] = None
    image_ref: Annotated[str, N(9)] = ""
    reason: Annotated[str, N(10)] = ""
    message: Annotated[str, N(11)] = ""
    labels: Annotated[dict[str, str], N(12)] = field(default_factory=dict)
    annotations: Annotated[dict[str, str], N(13)] = field(default_factory=dict)
    mounts: Annotated[list[Mount], N(14)] = field(default_factory=list)
    log_path: Annotated[str, N(15)] = ""
    resources: Annotated[ContainerResources | None, N(16)] = None
    image_id: Annotated[str, N(17)] = ""
    user: Annotated[ContainerUser | None, N(18)] = None


class ContainerAttributes(Struct):
    """Which container a measurement is of."""

    id: Annotated[str, N(1)] = ""
    metadata: Annotated[ContainerMetadata | None, N(2)] = None
    labels: Annotated[dict[str, str], N(3)] = field(default_factory=dict)
    annotations: Annotated[dict[str, str], N(4)] = field(default_factory=dict)


class CpuUsage(Struct):
    """CPU time used."""

    timestamp: Annotated[int, N(1)] = 0
    usage_core_nano_seconds: Annotated[UInt64Value | None, N(2)] = None
    usage_nano_cores: Annotated[UInt64Value | None, N(3)] = None


class MemoryUsage(Struct):
    """Memory used."""

    timestamp: Annotated[int, N(1)] = 0
    working_set_bytes: Annotated[UInt64Value | None, N(2)] = None
    available_bytes: Annotated[UInt64Value | None, N(3)] = None
    usage_bytes: Annotated[UInt64Value | None, N(4)] = None
    rss_bytes: Annotated[UInt64Value | None, N(5)] = None
    page_faults: Annotated[UInt64Value | None, N(6)] = None
    major_page_faults: Annotated[UInt64Value | None, N(7)] = None


class ContainerStats(Struct):
    """What a container uses."""

    attributes: Annotated[ContainerAttributes | None, N(1)] = None
    cpu: Annotated[CpuUsage | None, N(2)] = None
    memory: Annotated[MemoryUsage | None, N(3)] = None
    writable_layer: Annotated[FilesystemUsage | None, N(4)] = None
