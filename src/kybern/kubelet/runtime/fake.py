"""A runtime in memory, for tests of everything above it.

In:   calls of the `Runtime` protocol; from tests also `exit`, `crash_sandbox` and switches.
Out:  what a real runtime would answer, at once, in the caller's time.
By:   tests. It passes tests/contracts/test_runtime.py, as the real one does.

A container runs until it is stopped or `exit` is called; one whose command is `exit N` ends at
once. The address of the n-th sandbox is 10.88.0.n.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kybern.kubelet.runtime.interface import Happened, RuntimeEvent, RuntimeFailure
from kybern.kubelet.runtime.messages import container as c
from kybern.kubelet.runtime.messages import image as i
from kybern.kubelet.runtime.messages import sandbox as s
from kybern.kubelet.runtime.messages import service as v
from kybern.lib.channels import Broadcaster, Overflow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from kybern.lib.clock import Clock

NANO = 1_000_000_000
EVENTS_MAX = 1000
KILLED, ENDED = 137, 143


@dataclass(slots=True)
class FakeSandbox:
    """A sandbox and what it was made with."""

    config: s.PodSandboxConfig
    status: s.PodSandboxStatus


@dataclass(slots=True)
class FakeContainer:
    """A container and what it was made with."""

    sandbox_id: str
    config: c.ContainerConfig
    status: c.ContainerStatus
    heeds_stop: bool = True


@dataclass(slots=True)
class FakeRuntime:
    """Sandboxes, containers and images in memory.

    Attributes:
        clock: stamps everything.
        stored: images by name.
        pullable: images which can be pulled, by name.
        failures: what a method is to raise, by its name; taken off the list one at a time.
        calls: the names of the methods called, in order.
        exec_answer: what commands run by `exec_sync` answer.
        network_ready: the NetworkReady condition.
    """

    clock: Clock
    stored: dict[str, i.Image] = field(default_factory=dict)
    pullable: dict[str, i.Image] = field(default_factory=dict)
    failures: dict[str, list[RuntimeFailure]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    exec_answer: Callable[[str, Sequence[str]], v.ExecSyncResponse] | None = None
    network_ready: bool = True
    _sandboxes: dict[str, FakeSandbox] = field(default_factory=dict)
    _containers: dict[str, FakeContainer] = field(default_factory=dict)
    _events: Broadcaster[RuntimeEvent] = field(default_factory=Broadcaster)
    _count: int = 0

    # --- for tests

    def add_image(self, name: str, *, pullable: bool = False, uid: int | None = None) -> None:
        """Put an image on the node, or where it can be pulled from."""
        image = i.Image(
            id=f"sha256:{len(self.stored) + len(self.pullable) + 1:064x}",
            repo_tags=[name],
            size=1000,
            uid=s.Int64Value(uid) if uid is not None else None,
        )
        (self.pullable if pullable else self.stored)[name] = image

    def exit(self, container_id: str, code: int, reason: str = "") -> None:
        """Let a running container end."""
        container = self._containers[container_id]
        status = container.status
        if status.state != c.ContainerState.RUNNING:
            return
        status.state = int(c.ContainerState.EXITED)
        status.finished_at = self._now()
        status.exit_code = code
        status.reason = reason or ("Completed" if code == 0 else "Error")
        self._events.send(RuntimeEvent(Happened.STOPPED, container_id))

    def crash_sandbox(self, sandbox_id: str) -> None:
        """Let the process which holds a sandbox's namespaces die."""
        self._sandboxes[sandbox_id].status.state = int(s.SandboxState.NOTREADY)
        self._events.send(RuntimeEvent(Happened.STOPPED, sandbox_id))

    def ignore_stop(self, container_id: str) -> None:
        """Let a container end only when it is killed."""
        self._containers[container_id].heeds_stop = False

    def lose_events(self) -> None:
        """Break every subscription off, as a restarting runtime does."""
        self._events.send(RuntimeEvent(Happened.RESYNC))

    def running(self, name: str) -> list[str]:
        """Return the ids of the running containers of this name."""
        return [
            id_
            for id_, container in self._containers.items()
            if container.status.state == c.ContainerState.RUNNING
            and container.config.metadata is not None
            and container.config.metadata.name == name
        ]

    def config_of(self, container_id: str) -> c.ContainerConfig:
        """Return what a container was made with."""
        return self._containers[container_id].config

    def sandbox_config_of(self, sandbox_id: str) -> s.PodSandboxConfig:
        """Return what a sandbox was made with."""
        return self._sandboxes[sandbox_id].config

    # --- the runtime itself

    async def version(self) -> v.VersionResponse:
        """Return who the runtime is."""
        self._begin("version")
        return v.VersionResponse("0.1.0", "fake", "1.0", "v1")

    async def status(self) -> v.RuntimeStatus:
        """Return the conditions RuntimeReady and NetworkReady."""
        self._begin("status")
        network = v.RuntimeCondition("NetworkReady", self.network_ready)
        if not self.network_ready:
            network.reason, network.message = "NetworkPluginNotReady", "no network config found"
        return v.RuntimeStatus([v.RuntimeCondition("RuntimeReady", True), network])

    # --- sandboxes

    async def run_sandbox(self, config: s.PodSandboxConfig, handler: str = "") -> str:
        """Make and start a sandbox; return its id."""
        self._begin("run_sandbox")
        for sandbox in self._sandboxes.values():
            if sandbox.config.metadata == config.metadata:
                raise RuntimeFailure("name is reserved by another sandbox", "UNKNOWN")
        id_ = self._new_id()
        host = _network_mode(config) == s.NamespaceMode.NODE
        network = s.PodSandboxNetworkStatus("" if host else f"10.88.0.{self._count}")
        status = s.PodSandboxStatus(
            id_, config.metadata, int(s.SandboxState.READY), self._now(), network,
            labels=dict(config.labels), annotations=dict(config.annotations),
            runtime_handler=handler,
        )  # fmt: skip
        self._sandboxes[id_] = FakeSandbox(config, status)
        self._events.send(RuntimeEvent(Happened.STARTED, id_))
        return id_

    async def stop_sandbox(self, sandbox_id: str) -> None:
        """Kill what runs in the sandbox."""
        self._begin("stop_sandbox")
        sandbox = self._sandboxes.get(sandbox_id)
        if sandbox is None:
            return
        for id_, container in self._containers.items():
            if container.sandbox_id == sandbox_id:
                self.exit(id_, KILLED)
        sandbox.status.state = int(s.SandboxState.NOTREADY)
        sandbox.status.network = s.PodSandboxNetworkStatus()

    async def remove_sandbox(self, sandbox_id: str) -> None:
        """Remove a sandbox and its containers."""
        self._begin("remove_sandbox")
        await self.stop_sandbox(sandbox_id)
        for id_ in [k for k, c_ in self._containers.items() if c_.sandbox_id == sandbox_id]:
            del self._containers[id_]
        self._sandboxes.pop(sandbox_id, None)

    async def sandbox_status(self, sandbox_id: str) -> s.PodSandboxStatus:
        """Return a sandbox with its addresses."""
        self._begin("sandbox_status")
        if sandbox_id not in self._sandboxes:
            raise RuntimeFailure(f"sandbox {sandbox_id} not found", "NOT_FOUND")
        return self._sandboxes[sandbox_id].status

    async def sandboxes(self, labels: Mapping[str, str] | None = None) -> list[s.PodSandbox]:
        """Return the sandboxes with all these labels."""
        self._begin("sandboxes")
        return [
            s.PodSandbox(
                status.id, status.metadata, status.state, status.created_at, status.labels,
                status.annotations,
            )
            for status in (sandbox.status for sandbox in self._sandboxes.values())
            if _has(status.labels, labels)
        ]  # fmt: skip

    # --- containers

    async def create_container(
        self, sandbox_id: str, config: c.ContainerConfig, sandbox: s.PodSandboxConfig
    ) -> str:
        """Make a container and return its id."""
        self._begin("create_container")
        place = self._sandboxes.get(sandbox_id)
        if place is None or place.status.state != s.SandboxState.READY:
            raise RuntimeFailure(f"sandbox {sandbox_id} is not running", "UNKNOWN")
        image = await self._find_image(config.image.image if config.image else "")
        if image is None:
            raise RuntimeFailure("image not found", "NOT_FOUND")
        id_ = self._new_id()
        log_path = f"{sandbox.log_directory}/{config.log_path}" if config.log_path else ""
        status = c.ContainerStatus(
            id_, config.metadata, int(c.ContainerState.CREATED), self._now(),
            image=i.ImageSpec(image.repo_tags[0]), image_ref=image.id,
            labels=dict(config.labels), annotations=dict(config.annotations),
            mounts=list(config.mounts), log_path=log_path,
        )  # fmt: skip
        self._containers[id_] = FakeContainer(sandbox_id, config, status)
        return id_

    async def start_container(self, container_id: str) -> None:
        """Start the container's process."""
        self._begin("start_container")
        container = self._container(container_id)
        if container.status.state != c.ContainerState.CREATED:
            raise RuntimeFailure(f"container {container_id} is not in created state", "UNKNOWN")
        container.status.state = int(c.ContainerState.RUNNING)
        container.status.started_at = self._now()
        self._events.send(RuntimeEvent(Happened.STARTED, container_id))
        words = [*container.config.command, *container.config.args]
        if words and words[-1].startswith("exit "):
            self.exit(container_id, int(words[-1].split()[1]))

    async def stop_container(self, container_id: str, seconds: int) -> None:
        """Let the container end."""
        self._begin("stop_container")
        container = self._containers.get(container_id)
        if container is None:
            return
        if container.status.state == c.ContainerState.CREATED:
            container.status.state = int(c.ContainerState.EXITED)
            container.status.finished_at = self._now()
            return
        if not container.heeds_stop and seconds:
            await self.clock.sleep(seconds)
        self.exit(container_id, ENDED if container.heeds_stop and seconds else KILLED)

    async def remove_container(self, container_id: str) -> None:
        """Remove a container."""
        self._begin("remove_container")
        if container_id in self._containers:
            self.exit(container_id, KILLED)
            del self._containers[container_id]

    async def containers(self, labels: Mapping[str, str] | None = None) -> list[c.Container]:
        """Return the containers with all these labels."""
        self._begin("containers")
        found = []
        for container in self._containers.values():
            status = container.status
            if _has(status.labels, labels):
                found.append(
                    c.Container(
                        status.id, container.sandbox_id, status.metadata, status.image,
                        status.image_ref, status.state, status.created_at, status.labels,
                        status.annotations,
                    )
                )  # fmt: skip
        return found

    async def container_status(self, container_id: str) -> c.ContainerStatus:
        """Return a container."""
        self._begin("container_status")
        return self._container(container_id).status

    async def update_resources(
        self, container_id: str, resources: s.LinuxContainerResources
    ) -> None:
        """Change the resources of a container."""
        self._begin("update_resources")
        self._container(container_id).status.resources = c.ContainerResources(resources)

    async def reopen_log(self, container_id: str) -> None:
        """Write to a new log file."""
        self._begin("reopen_log")
        self._container(container_id)

    # --- processes and streams

    async def exec_sync(
        self, container_id: str, command: Sequence[str], seconds: int
    ) -> v.ExecSyncResponse:
        """Answer as `exec_answer` says; without it every command succeeds."""
        self._begin("exec_sync")
        container = self._container(container_id)
        if container.status.state != c.ContainerState.RUNNING:
            raise RuntimeFailure(f"container {container_id} is not running", "UNKNOWN")
        if self.exec_answer is None:
            return v.ExecSyncResponse()
        return self.exec_answer(container_id, command)

    async def exec_url(self, request: v.ExecRequest) -> str:
        """Return a URL nobody listens on."""
        self._begin("exec_url")
        self._container(request.container_id)
        return f"http://127.0.0.1:1/exec/{request.container_id}"

    async def attach_url(self, request: v.AttachRequest) -> str:
        """Return a URL nobody listens on."""
        self._begin("attach_url")
        self._container(request.container_id)
        return f"http://127.0.0.1:1/attach/{request.container_id}"

    async def port_forward_url(self, sandbox_id: str) -> str:
        """Return a URL nobody listens on."""
        self._begin("port_forward_url")
        await self.sandbox_status(sandbox_id)
        return f"http://127.0.0.1:1/portforward/{sandbox_id}"

    async def container_stats(self) -> list[c.ContainerStats]:
        """Measure every running container."""
        self._begin("container_stats")
        return [
            c.ContainerStats(
                c.ContainerAttributes(id_, container.status.metadata, container.status.labels),
                c.CpuUsage(self._now(), s.UInt64Value(1)),
                c.MemoryUsage(self._now(), s.UInt64Value(1)),
            )
            for id_, container in self._containers.items()
            if container.status.state == c.ContainerState.RUNNING
        ]

    # --- images

    async def images(self) -> list[i.Image]:
        """Return the images on the node."""
        self._begin("images")
        return list(self.stored.values())

    async def image_status(self, image: str) -> i.Image | None:
        """Return an image by name or id."""
        self._begin("image_status")
        return await self._find_image(image)

    async def pull_image(
        self, image: str, auth: i.AuthConfig | None, sandbox: s.PodSandboxConfig | None
    ) -> str:
        """Pull an image."""
        self._begin("pull_image")
        if image not in self.pullable:
            raise RuntimeFailure(f'failed to pull and unpack image "{image}"', "NOT_FOUND")
        self.stored[image] = self.pullable[image]
        return self.stored[image].id

    async def remove_image(self, image: str) -> None:
        """Remove an image with all its names."""
        self._begin("remove_image")
        found = await self._find_image(image)
        self.stored = {name: other for name, other in self.stored.items() if other is not found}

    async def image_filesystem(self) -> i.FilesystemUsage | None:
        """Return how full the images' file system is."""
        self._begin("image_filesystem")
        used = sum(image.size for image in self.stored.values())
        return i.FilesystemUsage(self._now(), used_bytes=s.UInt64Value(used))

    # --- events

    async def events(self) -> AsyncIterator[RuntimeEvent]:
        """Yield what happens from now on; the first event is RESYNC."""
        channel = self._events.subscribe(EVENTS_MAX, Overflow.CLOSE)
        yield RuntimeEvent(Happened.RESYNC)
        async for event in channel:
            yield event

    # --- inside

    def _begin(self, method: str) -> None:
        self.calls.append(method)
        if waiting := self.failures.get(method):
            raise waiting.pop(0)

    def _now(self) -> int:
        return int(self.clock.now() * NANO)

    def _new_id(self) -> str:
        self._count += 1
        return f"{self._count:064x}"

    def _container(self, container_id: str) -> FakeContainer:
        if container_id not in self._containers:
            raise RuntimeFailure(f"container {container_id} not found", "NOT_FOUND")
        return self._containers[container_id]

    async def _find_image(self, name: str) -> i.Image | None:
        for image in self.stored.values():
            if name == image.id or name in image.repo_tags:
                return image
        return None


def _network_mode(config: s.PodSandboxConfig) -> int:
    context = config.linux.security_context if config.linux is not None else None
    options = context.namespace_options if context is not None else None
    return options.network if options is not None else int(s.NamespaceMode.POD)


def _has(labels: Mapping[str, str], wanted: Mapping[str, str] | None) -> bool:
    return all(labels.get(key) == value for key, value in (wanted or {}).items())
