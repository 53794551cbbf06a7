"""Everything the kubelet remembers of one pod.

In:   filled by the worker and the steps it takes.
Out:  what plans and statuses are made from.
By:   pods/worker.py owns it; containers.py, sandboxes.py and act.py write to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kybern.kubelet.pods import allotment as sizing
from kybern.kubelet.pods.allotment import Allotment
from kybern.kubelet.pods.plan import Waiting

if TYPE_CHECKING:
    from kybern.api.core.v1 import Pod
    from kybern.kubelet.pods.allotment import Pending
    from kybern.kubelet.pods.held import Held
    from kybern.kubelet.pods.restarts import Waited
    from kybern.kubelet.pods.view import PodView
    from kybern.kubelet.runtime.messages.image import Image
    from kybern.kubelet.runtime.messages.sandbox import PodSandboxConfig


@dataclass(slots=True)
class PodRecord:
    """One pod.

    Attributes:
        pod: as the API server last had it, with the size it was given; borrowed.
        view: what the runtime has of it.
        waits: how long containers wait before they start again.
        held: containers which could not be started, and until when it is not tried again.
        replacing: containers stopped in order to be started again, whatever the restart policy.
        places: where its volumes are on the node, by name.
        refresh_at: when its volumes have to be looked at again.
        sandbox_config: the configuration its sandbox was made with.
        troubles: failures in a row to make volumes or the sandbox.
        stopping: containers whose end has been announced.
        desired: as the API server last had it; borrowed.
        allotment: what it has been given of the node.
        pending: why it does not get what it asks for.
        images: of its volumes which are images, by volume.
        resize_error: why what it was given is not in force.
    """

    pod: Pod
    view: PodView
    waits: dict[str, Waited] = field(default_factory=dict)
    held: dict[str, Waiting] = field(default_factory=dict)
    replacing: set[str] = field(default_factory=set)
    places: dict[str, str] = field(default_factory=dict)
    refresh_at: float = 0.0
    sandbox_config: PodSandboxConfig | None = None
    troubles: int = 0
    stopping: set[str] = field(default_factory=set)
    desired: Pod = field(init=False)
    allotment: Allotment = field(default_factory=Allotment)
    pending: Pending | None = None
    images: dict[str, Image] = field(default_factory=dict)
    resize_error: str = ""

    def __post_init__(self) -> None:
        """Begin with what the API server says."""
        self.take(self.pod)

    def take(self, pod: Pod) -> None:
        """Take the pod as the API server has it now."""
        self.desired = pod
        self.pod = sizing.with_sizes(pod, self.allotment.given)

    def allot(self, allotment: Allotment) -> None:
        """Take what the pod is given."""
        self.allotment = allotment
        self.take(self.desired)

    @property
    def asks_for_another_size(self) -> bool:
        """It asks for something else than it was given."""
        return sizing.asks_for_more_or_less(self.desired, self.allotment)

    @property
    def held_pod(self) -> Pod:
        """The pod with all it holds of the node while its size changes."""
        return sizing.holding(self.pod, self.allotment)

    @property
    def uid(self) -> str:
        """The pod's uid."""
        return self.pod.metadata.uid or ""

    @property
    def namespace(self) -> str:
        """The pod's namespace."""
        return self.pod.metadata.namespace or ""

    @property
    def name(self) -> str:
        """The pod's name."""
        return self.pod.metadata.name or ""

    def hold(self, name: str, held: Held) -> None:
        """Note that a container could not be started."""
        self.held[name] = Waiting(name, held.reason, held.message, held.until)
