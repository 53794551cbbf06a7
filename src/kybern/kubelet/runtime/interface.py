"""What the kubelet asks of a container runtime, and what it may rely on.

In:   CRI v1 messages.
Out:  CRI v1 messages, or a RuntimeFailure.
By:   everything in the kubelet that touches containers. Implementations: `cri.py` (containerd,
      CRI-O, anything that speaks CRI v1), `fake.py` (in memory). Both pass
      `tests/contracts/test_runtime.py`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from kybern.kubelet.runtime.messages import container as c
    from kybern.kubelet.runtime.messages import image as i
    from kybern.kubelet.runtime.messages import sandbox as s
    from kybern.kubelet.runtime.messages import service as v


class RuntimeFailure(Exception):
    """The runtime could not do what was asked; `str()` is its own explanation.

    `code` is the gRPC status code's name, such as `NOT_FOUND`; `OK` is never seen here.
    """

    def __init__(self, message: str, code: str = "UNKNOWN") -> None:
        super().__init__(message)
        self.message = message
        self.code = code

    @property
    def missing(self) -> bool:
        """The sandbox, container or image does not exist."""
        return self.code == "NOT_FOUND"

    @property
    def unavailable(self) -> bool:
        """The runtime itself does not answer."""
        return self.code == "UNAVAILABLE"

    @property
    def described(self) -> str:
        """The failure as gRPC clients print it, which is what users know from upstream."""
        name = "".join(part.title() for part in self.code.split("_"))
        return f"rpc error: code = {name} desc = {self.message}"


class Happened(enum.Enum):
    """What a RuntimeEvent tells."""

    STARTED = "started"
    STOPPED = "stopped"
    RESYNC = "resync"  # events may have been missed: look at everything


@dataclass(frozen=True, slots=True)
class RuntimeEvent:
    """Something happened to a container or sandbox; the id is empty for RESYNC."""

    happened: Happened
    id: str = ""


class Runtime(Protocol):
    """A container runtime.

    Every method may raise `RuntimeFailure`. Stopping and removing are idempotent: doing it to
    something already stopped, or gone, is no failure. What a method returns belongs to the caller.
    """

    async def version(self) -> v.VersionResponse:
        """Return who the runtime is; waits for a runtime which is just starting."""

    async def status(self) -> v.RuntimeStatus:
        """Return the conditions RuntimeReady and NetworkReady."""

    async def run_sandbox(self, config: s.PodSandboxConfig, handler: str = "") -> str:
        """Make and start a sandbox with its network; return its id."""

    async def stop_sandbox(self, sandbox_id: str) -> None:
        """Kill what runs in the sandbox and give its network addresses back."""

    async def remove_sandbox(self, sandbox_id: str) -> None:
        """Remove a sandbox and its containers."""

    async def sandbox_status(self, sandbox_id: str) -> s.PodSandboxStatus:
        """Return a sandbox with its addresses; NOT_FOUND when there is none."""

    async def sandboxes(self, labels: Mapping[str, str] | None = None) -> list[s.PodSandbox]:
        """Return the sandboxes with all these labels."""

    async def create_container(
        self, sandbox_id: str, config: c.ContainerConfig, sandbox: s.PodSandboxConfig
    ) -> str:
        """Make a container and return its id. A reader of STOPPED sees it only once started."""

    async def start_container(self, container_id: str) -> None:
        """Start the container's process."""

    async def stop_container(self, container_id: str, seconds: int) -> None:
        """Send the stop signal, kill after `seconds`, and return when the container has ended."""

    async def remove_container(self, container_id: str) -> None:
        """Remove a container, killing it when it runs. Its log stays."""

    async def containers(self, labels: Mapping[str, str] | None = None) -> list[c.Container]:
        """Return the containers with all these labels, in every state."""

    async def container_status(self, container_id: str) -> c.ContainerStatus:
        """Return a container; NOT_FOUND when there is none."""

    async def update_resources(
        self, container_id: str, resources: s.LinuxContainerResources
    ) -> None:
        """Change the resources of a running container."""

    async def reopen_log(self, container_id: str) -> None:
        """Make the runtime write to a new log file, after the old one was renamed."""

    async def exec_sync(
        self, container_id: str, command: Sequence[str], seconds: int
    ) -> v.ExecSyncResponse:
        """Run a command; DEADLINE_EXCEEDED when it takes longer than `seconds` (0: no limit)."""

    async def exec_url(self, request: v.ExecRequest) -> str:
        """Prepare a command with streams and return where they are; use it once, soon."""

    async def attach_url(self, request: v.AttachRequest) -> str:
        """Prepare the streams of a container's own process and return where they are."""

    async def port_forward_url(self, sandbox_id: str) -> str:
        """Prepare connections into a sandbox and return where to make them."""

    async def container_stats(self) -> list[c.ContainerStats]:
        """Measure every running container."""

    async def images(self) -> list[i.Image]:
        """Return the images on the node."""

    async def image_status(self, image: str) -> i.Image | None:
        """Return an image by name, digest or id; None when it is not on the node."""

    async def pull_image(
        self, image: str, auth: i.AuthConfig | None, sandbox: s.PodSandboxConfig | None
    ) -> str:
        """Pull an image and return its reference."""

    async def remove_image(self, image: str) -> None:
        """Remove an image with all its names."""

    async def image_filesystem(self) -> i.FilesystemUsage | None:
        """Return how full the images' file system is."""

    def events(self) -> AsyncIterator[RuntimeEvent]:
        """Yield what happens from now on, never ending; the first event is RESYNC.

        A RESYNC follows whenever events may have been lost (the runtime restarted, or the reader
        was too slow). An event can come a few milliseconds before `container_status` agrees.
        """
