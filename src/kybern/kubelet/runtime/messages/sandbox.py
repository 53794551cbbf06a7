"""CRI messages about pod sandboxes, and what they share with containers."""

import enum
from typing import Annotated

from msgspec import Struct, field

from kybern.lib.protobuf import PbField as N


class Protocol(enum.IntEnum):
    """Transport protocol of a port mapping."""

    TCP = 0
    UDP = 1
    SCTP = 2


class NamespaceMode(enum.IntEnum):
    """Whose Linux namespace a process joins."""

    POD = 0
    CONTAINER = 1
    NODE = 2
    TARGET = 3


class ProfileType(enum.IntEnum):
    """Which seccomp or AppArmor profile applies."""

    RUNTIME_DEFAULT = 0
    UNCONFINED = 1
    LOCALHOST = 2


class SandboxState(enum.IntEnum):
    """Whether the sandbox can take containers."""

    READY = 0
    NOTREADY = 1


class Int64Value(Struct):
    """An int64 which can be absent."""

    value: Annotated[int, N(1)] = 0


class UInt64Value(Struct):
    """A uint64 which can be absent."""

    value: Annotated[int, N(1, "uint64")] = 0


class DNSConfig(Struct):
    """What goes into a pod's resolv.conf."""

    servers: Annotated[list[str], N(1)] = field(default_factory=list)
    searches: Annotated[list[str], N(2)] = field(default_factory=list)
    options: Annotated[list[str], N(3)] = field(default_factory=list)


class PortMapping(Struct):
    """A port of the node which leads into the pod."""

    protocol: Annotated[int, N(1)] = 0
    container_port: Annotated[int, N(2)] = 0
    host_port: Annotated[int, N(3)] = 0
    host_ip: Annotated[str, N(4)] = ""


class NamespaceOption(Struct):
    """Which namespaces are the pod's own."""

    network: Annotated[int, N(1)] = 0
    pid: Annotated[int, N(2)] = 0
    ipc: Annotated[int, N(3)] = 0
    target_id: Annotated[str, N(4)] = ""


class SecurityProfile(Struct):
    """A seccomp or AppArmor profile."""

    profile_type: Annotated[int, N(1)] = 0
    localhost_ref: Annotated[str, N(2)] = ""


class SELinuxOption(Struct):
    """SELinux labels."""

    user: Annotated[str, N(1)] = ""
    role: Annotated[str, N(2)] = ""
    type: Annotated[str, N(3)] = ""
    level: Annotated[str, N(4)] = ""


class LinuxSandboxSecurityContext(Struct):
    """Security of the sandbox's own process."""

    namespace_options: Annotated[NamespaceOption | None, N(1)] = None
    selinux_options: Annotated[SELinuxOption | None, N(2)] = None
    run_as_user: Annotated[Int64Value | None, N(3)] = None
    readonly_rootfs: Annotated[bool, N(4)] = False
    supplemental_groups: Annotated[list[int], N(5)] = field(default_factory=list)
    privileged: Annotated[bool, N(6)] = False
    run_as_group: Annotated[Int64Value | None, N(8)] = None
    seccomp: Annotated[SecurityProfile | None, N(9)] = None
    apparmor: Annotated[SecurityProfile | None, N(10)] = None
    supplemental_groups_policy: Annotated[int, N(11)] = 0


class HugepageLimit(Struct):
    """A limit of huge pages of one size."""

    page_size: Annotated[str, N(1)] = ""
    limit: Annotated[int, N(2, "uint64")] = 0


class LinuxContainerResources(Struct):
    """What goes into a container's cgroup."""

    cpu_period: Annotated[int, N(1)] = 0
    cpu_quota: Annotated[int, N(2)] = 0
    cpu_shares: Annotated[int, N(3)] = 0
    memory_limit_in_bytes: Annotated[int, N(4)] = 0
    oom_score_adj: Annotated[int, N(5)] = 0
    cpuset_cpus: Annotated[str, N(6)] = ""
    cpuset_mems: Annotated[str, N(7)] = ""
    hugepage_limits: Annotated[list[HugepageLimit], N(8)] = field(default_factory=list)
    unified: Annotated[dict[str, str], N(9)] = field(default_factory=dict)
    memory_swap_limit_in_bytes: Annotated[int, N(10)] = 0


class LinuxPodSandboxConfig(Struct):
    """The Linux part of a sandbox."""

    cgroup_parent: Annotated[str, N(1)] = ""
    security_context: Annotated[LinuxSandboxSecurityContext | None, N(2)] = None
    sysctls: Annotated[dict[str, str], N(3)] = field(default_factory=dict)
    overhead: Annotated[LinuxContainerResources | None, N(4)] = None
    resources: Annotated[LinuxContainerResources | None, N(5)] = None


class PodSandboxMetadata(Struct):
    """Which pod, and which try, a sandbox is for."""

    name: Annotated[str, N(1)] = ""
    uid: Annotated[str, N(2)] = ""
    namespace: Annotated[str, N(3)] = ""
    attempt: Annotated[int, N(4, "uint32")] = 0


class PodSandboxConfig(Struct):
    """All that is needed to make a sandbox."""

    metadata: Annotated[PodSandboxMetadata | None, N(1)] = None
    hostname: Annotated[str, N(2)] = ""
    log_directory: Annotated[str, N(3)] = ""
    dns_config: Annotated[DNSConfig | None, N(4)] = None
    port_mappings: Annotated[list[PortMapping], N(5)] = field(default_factory=list)
    labels: Annotated[dict[str, str], N(6)] = field(default_factory=dict)
    annotations: Annotated[dict[str, str], N(7)] = field(default_factory=dict)
    linux: Annotated[LinuxPodSandboxConfig | None, N(8)] = None


class PodIP(Struct):
    """One more address of a pod."""

    ip: Annotated[str, N(1)] = ""


class PodSandboxNetworkStatus(Struct):
    """A pod's addresses."""

    ip: Annotated[str, N(1)] = ""
    additional_ips: Annotated[list[PodIP], N(2)] = field(default_factory=list)


class Namespace(Struct):
    """The namespaces of a sandbox."""

    options: Annotated[NamespaceOption | None, N(2)] = None


class LinuxPodSandboxStatus(Struct):
    """The Linux part of a sandbox's status."""

    namespaces: Annotated[Namespace | None, N(1)] = None


class PodSandboxStatus(Struct):
    """A sandbox as it is, with its addresses."""

    id: Annotated[str, N(1)] = ""
    metadata: Annotated[PodSandboxMetadata | None, N(2)] = None
    state: Annotated[int, N(3)] = 0
    created_at: Annotated[int, N(4)] = 0
    network: Annotated[PodSandboxNetworkStatus | None, N(5)] = None
    linux: Annotated[LinuxPodSandboxStatus | None, N(6)] = None
    labels: Annotated[dict[str, str], N(7)] = field(default_factory=dict)
    annotations: Annotated[dict[str, str], N(8)] = field(default_factory=dict)
    runtime_handler: Annotated[str, N(9)] = ""


class PodSandbox(Struct):
    """A sandbox in a list."""

    id: Annotated[str, N(1)] = ""
    metadata: Annotated[PodSandboxMetadata | None, N(2)] = None
    state: Annotated[int, N(3)] = 0
    created_at: Annotated[int, N(4)] = 0
    labels: Annotated[dict[str, str], N(5)] = field(default_factory=dict)
    annotations: Annotated[dict[str, str], N(6)] = field(default_factory=dict)
    runtime_handler: Annotated[str, N(7)] = ""
