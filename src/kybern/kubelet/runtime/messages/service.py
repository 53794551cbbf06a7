"""Requests and answers of the CRI services, and of containerd's event service."""

import enum
from typing import Annotated

from msgspec import Struct, field

from kybern.kubelet.runtime.messages.container import (
    Container,
    ContainerConfig,
    ContainerStats,
    ContainerStatus,
)
from kybern.kubelet.runtime.messages.image import AuthConfig, FilesystemUsage, Image, ImageSpec
from kybern.kubelet.runtime.messages.sandbox import (
    LinuxContainerResources,
    PodSandbox,
    PodSandboxConfig,
    PodSandboxStatus,
)
from kybern.lib.protobuf import PbField as N


class Empty(Struct):
    """A message without fields."""


class VersionRequest(Struct):
    """Which CRI version the kubelet speaks."""

    version: Annotated[str, N(1)] = ""


class VersionResponse(Struct):
    """Who the runtime is."""

    version: Annotated[str, N(1)] = ""
    runtime_name: Annotated[str, N(2)] = ""
    runtime_version: Annotated[str, N(3)] = ""
    runtime_api_version: Annotated[str, N(4)] = ""


class RuntimeCondition(Struct):
    """RuntimeReady or NetworkReady, and why not."""

    type: Annotated[str, N(1)] = ""
    status: Annotated[bool, N(2)] = False
    reason: Annotated[str, N(3)] = ""
    message: Annotated[str, N(4)] = ""


class RuntimeStatus(Struct):
    """The runtime's conditions."""

    conditions: Annotated[list[RuntimeCondition], N(1)] = field(default_factory=list)


class StatusRequest(Struct):
    """Ask for the conditions."""

    verbose: Annotated[bool, N(1)] = False


class RuntimeHandler(Struct):
    """A named way to run pods."""

    name: Annotated[str, N(1)] = ""


class StatusResponse(Struct):
    """The conditions and the runtime handlers."""

    status: Annotated[RuntimeStatus | None, N(1)] = None
    info: Annotated[dict[str, str], N(2)] = field(default_factory=dict)
    runtime_handlers: Annotated[list[RuntimeHandler], N(3)] = field(default_factory=list)


class RunPodSandboxRequest(Struct):
    """Make and start a sandbox."""

    config: Annotated[PodSandboxConfig | None, N(1)] = None
    runtime_handler: Annotated[str, N(2)] = ""


class SandboxId(Struct):
    """A sandbox: the request of stop and remove, the answer of run."""

    pod_sandbox_id: Annotated[str, N(1)] = ""


class PodSandboxStatusRequest(Struct):
    """Ask for one sandbox."""

    pod_sandbox_id: Annotated[str, N(1)] = ""
    verbose: Annotated[bool, N(2)] = False


class PodSandboxStatusResponse(Struct):
    """One sandbox; newer runtimes add its containers."""

    status: Annotated[PodSandboxStatus | None, N(1)] = None
    info: Annotated[dict[str, str], N(2)] = field(default_factory=dict)


class StateValue(Struct):
    """A state which can be absent, in a filter."""

    state: Annotated[int, N(1)] = 0


class PodSandboxFilter(Struct):
    """Which sandboxes to list."""

    id: Annotated[str, N(1)] = ""
    state: Annotated[StateValue | None, N(2)] = None
    label_selector: Annotated[dict[str, str], N(3)] = field(default_factory=dict)


class ListPodSandboxRequest(Struct):
    """List sandboxes."""

    filter: Annotated[PodSandboxFilter | None, N(1)] = None


class ListPodSandboxResponse(Struct):
    """The sandboxes."""

    items: Annotated[list[PodSandbox], N(1)] = field(default_factory=list)


class CreateContainerRequest(Struct):
    """Make a container in a sandbox."""

    pod_sandbox_id: Annotated[str, N(1)] = ""
    config: Annotated[ContainerConfig | None, N(2)] = None
    sandbox_config: Annotated[PodSandboxConfig | None, N(3)] = None


class ContainerId(Struct):
    """A container: the request of start and remove, the answer of create."""

    container_id: Annotated[str, N(1)] = ""


class StopContainerRequest(Struct):
    """Stop a container, killing it after some seconds."""

    container_id: Annotated[str, N(1)] = ""
    timeout: Annotated[int, N(2)] = 0


class ContainerFilter(Struct):
    """Which containers to list."""

    id: Annotated[str, N(1)] = ""
    state: Annotated[StateValue | None, N(2)] = None
    pod_sandbox_id: Annotated[str, N(3)] = ""
    label_selector: Annotated[dict[str, str], N(4)] = field(default_factory=dict)


class ListContainersRequest(Struct):
    """List containers."""

    filter: Annotated[ContainerFilter | None, N(1)] = None


class ListContainersResponse(Struct):
    """The containers."""

    containers: Annotated[list[Container], N(1)] = field(default_factory=list)


class ContainerStatusRequest(Struct):
    """Ask for one container."""

    container_id: Annotated[str, N(1)] = ""
    verbose: Annotated[bool, N(2)] = False


class ContainerStatusResponse(Struct):
    """One container."""

    status: Annotated[ContainerStatus | None, N(1)] = None
    info: Annotated[dict[str, str], N(2)] = field(default_factory=dict)


class UpdateContainerResourcesRequest(Struct):
    """Change the cgroup of a container."""

    container_id: Annotated[str, N(1)] = ""
    linux: Annotated[LinuxContainerResources | None, N(2)] = None


class ExecSyncRequest(Struct):
    """Run a command and wait for it."""

    container_id: Annotated[str, N(1)] = ""
    cmd: Annotated[list[str], N(2)] = field(default_factory=list)
    timeout: Annotated[int, N(3)] = 0


class ExecSyncResponse(Struct):
    """What the command wrote and how it ended."""

    stdout: Annotated[bytes, N(1)] = b""
    stderr: Annotated[bytes, N(2)] = b""
    exit_code: Annotated[int, N(3)] = 0


class ExecRequest(Struct):
    """Prepare to run a command with streams."""

    container_id: Annotated[str, N(1)] = ""
    cmd: Annotated[list[str], N(2)] = field(default_factory=list)
    tty: Annotated[bool, N(3)] = False
    stdin: Annotated[bool, N(4)] = False
    stdout: Annotated[bool, N(5)] = False
    stderr: Annotated[bool, N(6)] = False


class AttachRequest(Struct):
    """Prepare to join the streams of a container's first process."""

    container_id: Annotated[str, N(1)] = ""
    stdin: Annotated[bool, N(2)] = False
    tty: Annotated[bool, N(3)] = False
    stdout: Annotated[bool, N(4)] = False
    stderr: Annotated[bool, N(5)] = False


class PortForwardRequest(Struct):
    """Prepare to reach ports inside a sandbox."""

    pod_sandbox_id: Annotated[str, N(1)] = ""
    port: Annotated[list[int], N(2)] = field(default_factory=list)


class StreamingUrl(Struct):
    """Where the prepared streams are."""

    url: Annotated[str, N(1)] = ""


class ContainerStatsFilter(Struct):
    """Which containers to measure."""

    id: Annotated[str, N(1)] = ""
    pod_sandbox_id: Annotated[str, N(2)] = ""
    label_selector: Annotated[dict[str, str], N(3)] = field(default_factory=dict)


class ListContainerStatsRequest(Struct):
    """Measure containers."""

    filter: Annotated[ContainerStatsFilter | None, N(1)] = None


class ListContainerStatsResponse(Struct):
    """What they use."""

    stats: Annotated[list[ContainerStats], N(1)] = field(default_factory=list)


class ListImagesRequest(Struct):
    """List images."""


class ListImagesResponse(Struct):
    """The images."""

    images: Annotated[list[Image], N(1)] = field(default_factory=list)


class ImageRequest(Struct):
    """Ask for, or remove, one image."""

    image: Annotated[ImageSpec | None, N(1)] = None


class ImageStatusResponse(Struct):
    """One image; absent when it is not on the node."""

    image: Annotated[Image | None, N(1)] = None


class PullImageRequest(Struct):
    """Pull an image."""

    image: Annotated[ImageSpec | None, N(1)] = None
    auth: Annotated[AuthConfig | None, N(2)] = None
    sandbox_config: Annotated[PodSandboxConfig | None, N(3)] = None


class PullImageResponse(Struct):
    """What was pulled."""

    image_ref: Annotated[str, N(1)] = ""


class ImageFsInfoResponse(Struct):
    """The file systems with images."""

    image_filesystems: Annotated[list[FilesystemUsage], N(1)] = field(default_factory=list)


class ContainerEventType(enum.IntEnum):
    """What happened to a container."""

    CREATED = 0
    STARTED = 1
    STOPPED = 2
    DELETED = 3


class ContainerEventResponse(Struct):
    """CRI's own event; runtimes since 2023 have it."""

    container_id: Annotated[str, N(1)] = ""
    container_event_type: Annotated[int, N(2)] = 0
    created_at: Annotated[int, N(3)] = 0


class SubscribeRequest(Struct):
    """Subscribe to containerd's events."""

    filters: Annotated[list[str], N(1)] = field(default_factory=list)


class AnyMessage(Struct):
    """A message with its type's name: google.protobuf.Any."""

    type_url: Annotated[str, N(1)] = ""
    value: Annotated[bytes, N(2)] = b""


class Envelope(Struct):
    """One event of containerd."""

    namespace: Annotated[str, N(2)] = ""
    topic: Annotated[str, N(3)] = ""
    event: Annotated[AnyMessage | None, N(4)] = None


class TaskEvent(Struct):
    """Which container a task started in, or ran out of memory."""

    container_id: Annotated[str, N(1)] = ""


class TaskExit(Struct):
    """A process ended; `id` differs from `container_id` when it was one started by exec."""

    container_id: Annotated[str, N(1)] = ""
    id: Annotated[str, N(2)] = ""
