"""A real runtime: CRI v1 over gRPC on a Unix socket.

In:   calls of the `Runtime` protocol.
Out:  gRPC calls; messages are encoded by kybern.lib.protobuf, so there is no generated code.
By:   the agent. `grpc` is imported here only, and only when a channel is opened: it is large.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from kybern.kubelet.runtime import events
from kybern.kubelet.runtime.interface import RuntimeEvent, RuntimeFailure
from kybern.kubelet.runtime.messages import image as i
from kybern.kubelet.runtime.messages import service as v
from kybern.lib.protobuf import Codec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    import grpc.aio

    from kybern.kubelet.runtime.messages import container as c
    from kybern.kubelet.runtime.messages import sandbox as s
    from kybern.lib.clock import Clock

T = TypeVar("T", bound=msgspec.Struct)

# Read when grpc is imported: its threads are no business of our short-lived children (nft, ctr).
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

RUNTIME = "/runtime.v1.RuntimeService/"
IMAGES = "/runtime.v1.ImageService/"
MESSAGE_LIMIT = 16 << 20
SHORT = 120.0  # seconds; for calls which should be quick, and are hung when they are not
EXEC_SLACK = 5.0
OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_LIMIT),
    ("grpc.max_send_message_length", MESSAGE_LIMIT),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.enable_retries", 0),
    # containerd refuses an authority with the socket's path in it.
    ("grpc.default_authority", "localhost"),
)


class CriRuntime:
    """A `Runtime` on the other side of a socket.

    Made outside an event loop; the channel opens at the first call.
    """

    def __init__(self, endpoint: str, clock: Clock) -> None:
        """Take an endpoint such as `unix:///run/containerd/containerd.sock`."""
        self.endpoint = endpoint if "://" in endpoint else f"unix://{endpoint}"
        self._clock = clock
        self._channel: grpc.aio.Channel | None = None
        self._calls: dict[str, Any] = {}

    async def close(self) -> None:
        """Close the channel; calls under way fail."""
        if self._channel is not None:
            await self._channel.close()
            self._channel = None
            self._calls.clear()

    # --- the runtime itself

    async def version(self) -> v.VersionResponse:
        """Return who the runtime is; waits for a runtime which is just starting."""
        return await self._call(
            RUNTIME + "Version", v.VersionRequest(version="v1"), v.VersionResponse, wait=True
        )

    async def status(self) -> v.RuntimeStatus:
        """Return the conditions RuntimeReady and NetworkReady."""
        answer = await self._call(RUNTIME + "Status", v.StatusRequest(), v.StatusResponse)
        return answer.status or v.RuntimeStatus()

    # --- sandboxes

    async def run_sandbox(self, config: s.PodSandboxConfig, handler: str = "") -> str:
        """Make and start a sandbox with its network; return its id."""
        request = v.RunPodSandboxRequest(config=config, runtime_handler=handler)
        answer = await self._call(RUNTIME + "RunPodSandbox", request, v.SandboxId, seconds=240)
        return answer.pod_sandbox_id

    async def stop_sandbox(self, sandbox_id: str) -> None:
        """Kill what runs in the sandbox and give its network addresses back."""
        await self._idempotent(RUNTIME + "StopPodSandbox", v.SandboxId(pod_sandbox_id=sandbox_id))

    async def remove_sandbox(self, sandbox_id: str) -> None:
        """Remove a sandbox and its containers."""
        await self._idempotent(RUNTIME + "RemovePodSandbox", v.SandboxId(pod_sandbox_id=sandbox_id))

    async def sandbox_status(self, sandbox_id: str) -> s.PodSandboxStatus:
        """Return a sandbox with its addresses; NOT_FOUND when there is none."""
        request = v.PodSandboxStatusRequest(pod_sandbox_id=sandbox_id)
        answer = await self._call(RUNTIME + "PodSandboxStatus", request, v.PodSandboxStatusResponse)
        if answer.status is None:
            raise RuntimeFailure(f"no status of sandbox {sandbox_id}")
        return answer.status

    async def sandboxes(self, labels: Mapping[str, str] | None = None) -> list[s.PodSandbox]:
        """Return the sandboxes with all these labels."""
        chosen = v.PodSandboxFilter(label_selector=dict(labels or {}))
        request = v.ListPodSandboxRequest(filter=chosen)
        answer = await self._call(RUNTIME + "ListPodSandbox", request, v.ListPodSandboxResponse)
        return answer.items

    # --- containers

    async def create_container(
        self, sandbox_id: str, config: c.ContainerConfig, sandbox: s.PodSandboxConfig
    ) -> str:
        """Make a container and return its id."""
        request = v.CreateContainerRequest(
            pod_sandbox_id=sandbox_id, config=config, sandbox_config=sandbox
        )
        answer = await self._call(RUNTIME + "CreateContainer", request, v.ContainerId)
        return answer.container_id

    async def start_container(self, container_id: str) -> None:
        """Start the container's process."""
        await self._call(
            RUNTIME + "StartContainer", v.ContainerId(container_id=container_id), v.Empty
        )

    async def stop_container(self, container_id: str, seconds: int) -> None:
        """Send the stop signal, kill after `seconds`, and return when the container has ended."""
        request = v.StopContainerRequest(container_id=container_id, timeout=seconds)
        await self._idempotent(RUNTIME + "StopContainer", request, seconds + SHORT)

    async def remove_container(self, container_id: str) -> None:
        """Remove a container, killing it when it runs. Its log stays."""
        await self._idempotent(
            RUNTIME + "RemoveContainer", v.ContainerId(container_id=container_id)
        )

    async def containers(self, labels: Mapping[str, str] | None = None) -> list[c.Container]:
        """Return the containers with all these labels, in every state."""
        chosen = v.ContainerFilter(label_selector=dict(labels or {}))
        request = v.ListContainersRequest(filter=chosen)
        answer = await self._call(RUNTIME + "ListContainers", request, v.ListContainersResponse)
        return answer.containers

    async def container_status(self, container_id: str) -> c.ContainerStatus:
        """Return a container; NOT_FOUND when there is none."""
        request = v.ContainerStatusRequest(container_id=container_id)
        answer = await self._call(RUNTIME + "ContainerStatus", request, v.ContainerStatusResponse)
        if answer.status is None:
            raise RuntimeFailure(f"no status of container {container_id}")
        return answer.status

    async def update_resources(
        self, container_id: str, resources: s.LinuxContainerResources
    ) -> None:
        """Change the resources of a running container."""
        request = v.UpdateContainerResourcesRequest(container_id=container_id, linux=resources)
        await self._call(RUNTIME + "UpdateContainerResources", request, v.Empty)

    async def reopen_log(self, container_id: str) -> None:
        """Make the runtime write to a new log file, after the old one was renamed."""
        await self._call(
            RUNTIME + "ReopenContainerLog", v.ContainerId(container_id=container_id), v.Empty
        )

    # --- processes and streams

    async def exec_sync(
        self, container_id: str, command: Sequence[str], seconds: int
    ) -> v.ExecSyncResponse:
        """Run a command; DEADLINE_EXCEEDED when it takes longer than `seconds` (0: no limit)."""
        request = v.ExecSyncRequest(container_id=container_id, cmd=list(command), timeout=seconds)
        limit = seconds + EXEC_SLACK if seconds else None
        return await self._call(RUNTIME + "ExecSync", request, v.ExecSyncResponse, seconds=limit)

    async def exec_url(self, request: v.ExecRequest) -> str:
        """Prepare a command with streams and return where they are; use it once, soon."""
        return (await self._call(RUNTIME + "Exec", request, v.StreamingUrl)).url

    async def attach_url(self, request: v.AttachRequest) -> str:
        """Prepare the streams of a container's own process and return where they are."""
        return (await self._call(RUNTIME + "Attach", request, v.StreamingUrl)).url

    async def port_forward_url(self, sandbox_id: str) -> str:
        """Prepare connections into a sandbox and return where to make them."""
        request = v.PortForwardRequest(pod_sandbox_id=sandbox_id)
        return (await self._call(RUNTIME + "PortForward", request, v.StreamingUrl)).url

    async def container_stats(self) -> list[c.ContainerStats]:
        """Measure every running container."""
        answer = await self._call(
            RUNTIME + "ListContainerStats",
            v.ListContainerStatsRequest(),
            v.ListContainerStatsResponse,
        )
        return answer.stats

    # --- images

    async def images(self) -> list[i.Image]:
        """Return the images on the node."""
        answer = await self._call(
            IMAGES + "ListImages", v.ListImagesRequest(), v.ListImagesResponse
        )
        return answer.images

    async def image_status(self, image: str) -> i.Image | None:
        """Return an image by name, digest or id; None when it is not on the node."""
        request = v.ImageRequest(image=i.ImageSpec(image=image))
        return (await self._call(IMAGES + "ImageStatus", request, v.ImageStatusResponse)).image

    async def pull_image(
        self, image: str, auth: i.AuthConfig | None, sandbox: s.PodSandboxConfig | None
    ) -> str:
        """Pull an image and return its reference."""
        request = v.PullImageRequest(
            image=i.ImageSpec(image=image), auth=auth, sandbox_config=sandbox
        )
        answer = await self._call(IMAGES + "PullImage", request, v.PullImageResponse, seconds=None)
        return answer.image_ref

    async def remove_image(self, image: str) -> None:
        """Remove an image with all its names."""
        await self._idempotent(
            IMAGES + "RemoveImage", v.ImageRequest(image=i.ImageSpec(image=image))
        )

    async def image_filesystem(self) -> i.FilesystemUsage | None:
        """Return how full the images' file system is."""
        answer = await self._call(IMAGES + "ImageFsInfo", v.Empty(), v.ImageFsInfoResponse)
        return answer.image_filesystems[0] if answer.image_filesystems else None

    # --- events

    def events(self) -> AsyncIterator[RuntimeEvent]:
        """Yield what happens from now on, never ending; the first event is RESYNC."""
        return events.follow(self, self._clock)

    async def stream(
        self, method: str, request: msgspec.Struct, answer: type[T]
    ) -> AsyncIterator[T]:
        """Call a method which answers with a stream of messages.

        Raises:
            RuntimeFailure: the stream broke, or the runtime does not have the method.
        """
        import grpc

        call = self._open().unary_stream(
            method, request_serializer=_encode, response_deserializer=Codec(answer).decode
        )(request, wait_for_ready=True)
        try:
            async for message in call:
                yield message
        except grpc.aio.AioRpcError as error:
            raise RuntimeFailure(error.details() or "", error.code().name) from None
        finally:
            call.cancel()

    # --- calls

    async def _call(
        self,
        method: str,
        request: msgspec.Struct,
        answer: type[T],
        *,
        seconds: float | None = SHORT,
        wait: bool = False,
    ) -> T:
        import grpc

        call = self._calls.get(method)
        if call is None:
            call = self._calls[method] = self._open().unary_unary(
                method, request_serializer=_encode, response_deserializer=Codec(answer).decode
            )
        try:
            reply: T = await call(request, timeout=seconds, wait_for_ready=wait)
            return reply
        except grpc.aio.AioRpcError as error:
            raise RuntimeFailure(error.details() or "", error.code().name) from None

    async def _idempotent(
        self, method: str, request: msgspec.Struct, seconds: float = SHORT
    ) -> None:
        try:
            await self._call(method, request, v.Empty, seconds=seconds)
        except RuntimeFailure as failure:
            if not failure.missing:
                raise

    def _open(self) -> grpc.aio.Channel:
        if self._channel is None:
            import grpc.aio

            target = self.endpoint.replace("unix://", "unix:", 1)
            self._channel = grpc.aio.insecure_channel(target, options=OPTIONS)
        return self._channel


def _encode(message: msgspec.Struct) -> bytes:
    return Codec(type(message)).encode(message)
