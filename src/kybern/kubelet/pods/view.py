"""What the runtime has of one pod, in the kubelet's own words.

In:   CRI's lists and statuses, with the labels and annotations `runtime/translate.py` put on.
Out:  a PodView: sandboxes and containers, newest first; times in seconds.
By:   plan, status, the worker. Pure.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kybern.kubelet.runtime import labels
from kybern.kubelet.runtime.messages.container import ContainerState
from kybern.kubelet.runtime.messages.sandbox import SandboxState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kybern.kubelet.runtime.messages import container as c
    from kybern.kubelet.runtime.messages import sandbox as s

NANO = 1_000_000_000


class State(enum.Enum):
    """Where a container is."""

    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"
    UNKNOWN = "unknown"


STATES = {
    ContainerState.CREATED: State.CREATED,
    ContainerState.RUNNING: State.RUNNING,
    ContainerState.EXITED: State.EXITED,
}


@dataclass(slots=True)
class ContainerView:
    """One try of one container. `restarts` is its restart count at its creation."""

    id: str
    name: str
    sandbox_id: str = ""
    restarts: int = 0
    state: State = State.CREATED
    created_at: float = 0.0
    started_at: float = 0.0
    finished_at: float = 0.0
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    image: str = ""
    image_id: str = ""
    hash: str = ""
    uid: int | None = None
    gid: int | None = None
    groups: tuple[int, ...] = ()

    @property
    def failed(self) -> bool:
        """It ended, and not well."""
        return self.state is State.UNKNOWN or (self.state is State.EXITED and self.exit_code != 0)


@dataclass(slots=True)
class SandboxView:
    """One sandbox; `ips` is empty with host networking, and until it is known.

    One that died by itself is not `ready`, but still to be `stopped`: it holds its network.
    """

    id: str
    attempt: int = 0
    ready: bool = True
    stopped: bool = False
    created_at: float = 0.0
    ips: tuple[str, ...] = ()
    host_network: bool = False


@dataclass(slots=True)
class PodView:
    """What exists of a pod. Mutable: its worker keeps it up to date."""

    uid: str
    name: str = ""
    namespace: str = ""
    sandboxes: list[SandboxView] = field(default_factory=list)
    containers: list[ContainerView] = field(default_factory=list)

    @property
    def sandbox(self) -> SandboxView | None:
        """The newest sandbox."""
        return self.sandboxes[0] if self.sandboxes else None

    def latest(self, name: str) -> ContainerView | None:
        """Return the newest try of a container."""
        return next((c for c in self.containers if c.name == name), None)

    def previous(self, current: ContainerView) -> ContainerView | None:
        """Return the newest ended try of the same container before this one."""
        for container in self.containers:
            if (
                container.name == current.name
                and container.id != current.id
                and container.state in (State.EXITED, State.UNKNOWN)
            ):
                return container
        return None

    def running(self) -> list[ContainerView]:
        """Return the containers with a process, or about to have one."""
        return [c for c in self.containers if c.state in (State.RUNNING, State.CREATED)]

    def put(self, container: ContainerView) -> None:
        """Add a container, or replace what was known of it."""
        for index, known in enumerate(self.containers):
            if known.id == container.id:
                self.containers[index] = container
                return
        self.containers.append(container)
        self.containers.sort(key=lambda c: (c.created_at, c.restarts), reverse=True)

    def drop(self, container_id: str) -> None:
        """Forget a removed container."""
        self.containers = [c for c in self.containers if c.id != container_id]

    def put_sandbox(self, sandbox: SandboxView) -> None:
        """Add a sandbox, or replace what was known of it."""
        self.sandboxes = [s for s in self.sandboxes if s.id != sandbox.id]
        self.sandboxes.append(sandbox)
        self.sandboxes.sort(key=lambda s: (s.attempt, s.created_at), reverse=True)


def container_view(status: c.ContainerStatus, sandbox_id: str, message: str = "") -> ContainerView:
    """Return the view of a container from its full status; `message` is what it left behind."""
    notes = status.annotations
    user = status.user.linux if status.user else None
    ended = status.state not in (ContainerState.CREATED, ContainerState.RUNNING)
    return ContainerView(
        id=status.id,
        name=_name(status.labels, status.metadata),
        sandbox_id=sandbox_id,
        restarts=_restarts(notes, status.metadata),
        state=STATES.get(status.state, State.UNKNOWN),  # type: ignore[call-overload]
        created_at=status.created_at / NANO,
        started_at=status.started_at / NANO,
        finished_at=status.finished_at / NANO,
        exit_code=status.exit_code if ended else 0,
        reason=status.reason,
        message=message or status.message,
        image=status.image.image if status.image else "",
        image_id=status.image_ref,
        hash=notes.get(labels.HASH, ""),
        uid=user.uid if user else None,
        gid=user.gid if user else None,
        groups=tuple(user.supplemental_groups) if user else (),
    )


def sandbox_view(sandbox: s.PodSandbox) -> SandboxView:
    """Return the view of a listed sandbox; its addresses are not in a list."""
    return SandboxView(
        id=sandbox.id,
        attempt=sandbox.metadata.attempt if sandbox.metadata else 0,
        ready=sandbox.state == SandboxState.READY,
        created_at=sandbox.created_at / NANO,
    )


def sandbox_ips(status: s.PodSandboxStatus) -> tuple[str, ...]:
    """Return a sandbox's addresses, the main one first."""
    if status.network is None or not status.network.ip:
        return ()
    return (status.network.ip, *(more.ip for more in status.network.additional_ips))


def pod_identity(found: Mapping[str, str]) -> tuple[str, str, str] | None:
    """Return uid, namespace and name from a sandbox's or container's labels; None if not ours."""
    uid = found.get(labels.POD_UID)
    if not uid:
        return None
    return uid, found.get(labels.POD_NAMESPACE, ""), found.get(labels.POD_NAME, "")


def _name(found: Mapping[str, str], metadata: c.ContainerMetadata | None) -> str:
    return found.get(labels.CONTAINER_NAME) or (metadata.name if metadata else "")


def _restarts(notes: Mapping[str, str], metadata: c.ContainerMetadata | None) -> int:
    text = notes.get(labels.RESTART_COUNT, "")
    if text.isdigit():
        return int(text)
    return metadata.attempt if metadata else 0
