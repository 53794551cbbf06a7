"""What every pod's worker works with.

In:   made once by the agent.
Out:  handed to workers.
By:   pods/worker.py and the steps below it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from kybern.client.events import reference
from kybern.kubelet.pods.specs import field_path

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from kybern.api.core.v1 import Pod
    from kybern.client.events import Recorder
    from kybern.kubelet.cgroups import Cgroups
    from kybern.kubelet.config import KubeletConfig
    from kybern.kubelet.image_mounts import ImageMounts
    from kybern.kubelet.objects import WatchedObjects
    from kybern.kubelet.pods.allotments import Allotments
    from kybern.kubelet.pods.dns import Resolver
    from kybern.kubelet.pods.pulling import Puller
    from kybern.kubelet.pods.specs import Wanted
    from kybern.kubelet.runtime.interface import Runtime
    from kybern.kubelet.runtime.translate import NodeFacts
    from kybern.kubelet.volumes.act import Volumes
    from kybern.lib.clock import Clock

# protocol in lower case, port of the node, its address or "", the pod's address, port of the pod
Port = tuple[str, int, str, str, int]
NORMAL, WARNING = "Normal", "Warning"


class HostPorts(Protocol):
    """Whoever lets ports of the node lead into pods."""

    async def open(self, uid: str, ports: Iterable[Port]) -> None:
        """Let exactly these ports lead into a pod; OSError when that cannot be."""

    async def close(self, uid: str) -> None:
        """Close a pod's ports."""


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """The node, as its pods see it.

    Attributes:
        host_name: the name the kernel has.
        ips: its addresses, the main one first.
        allocatable: what pods may use, by resource; filled in as it becomes known.
        facts: what goes into the runtime's configurations.
        resolver: reads the node's resolv.conf.
    """

    host_name: str
    ips: tuple[str, ...]
    allocatable: Mapping[str, str]
    facts: NodeFacts
    resolver: Callable[[], Resolver]


@dataclass(frozen=True, slots=True)
class Tools:
    """The collaborators of pod workers.

    `service_variables` tells what a pod's environment says of services; `runtime_handler` returns
    the handler of a RuntimeClass, or raises LookupError. `image_mounts` is there where the runtime
    does not mount images itself.
    """

    config: KubeletConfig
    clock: Clock
    runtime: Runtime
    runtime_name: str
    node: NodeIdentity
    puller: Puller
    volumes: Volumes
    objects: WatchedObjects
    cgroups: Cgroups
    allotments: Allotments
    recorder: Recorder
    service_variables: Callable[[Pod], dict[str, str]]
    runtime_handler: Callable[[str], Awaitable[str]]
    starts: asyncio.Semaphore
    host_ports: HostPorts | None = None
    image_mounts: ImageMounts | None = None

    def tell(
        self, pod: Pod, kind: str, reason: str, message: str, wanted: Wanted | None = None
    ) -> None:
        """Record an event about a pod, or about one of its containers."""
        about = reference(pod, field_path(wanted) if wanted is not None else None)
        self.recorder.event(about, kind, reason, message)
