"""Reporting how the node is doing.

In:   the machine, the runtime, the images on it.
Out:  the Node's status: at once when it changes, and from time to time when it does not.
By:   agent.py runs it; it is woken when images or the runtime's state may have changed.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kybern.api import codec
from kybern.api.core.v1 import ContainerImage, Node, NodeStatus
from kybern.api.errors import ApiError, NotFound
from kybern.client.transport import Unreachable
from kybern.kubelet.node import events, facts
from kybern.kubelet.node.conditions import READY, Measured, node_conditions
from kybern.kubelet.runtime.interface import RuntimeFailure
from kybern.lib import logs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from kybern.api.core.v1 import NodeCondition
    from kybern.client.rest import Client
    from kybern.kubelet.config import KubeletConfig
    from kybern.kubelet.csi.attachments import Attachments
    from kybern.kubelet.runtime.interface import Runtime
    from kybern.kubelet.runtime.messages.image import Image
    from kybern.kubelet.runtime.messages.service import RuntimeCondition
    from kybern.lib.clock import Clock

log = logs.get("kubelet.node")
IMAGES_MAX = 50
NAMES_MAX = 5
CHECK_EVERY = 10.0  # while the runtime or its network is not ready
# A runtime which is being restarted does not answer for a moment; pods go on running meanwhile, and
# must not lose their place in services, which an unready node costs them.
PATIENCE = 30.0


class NodeReporter:
    """Keeps the Node's status up to date."""

    def __init__(
        self,
        config: KubeletConfig,
        client: Client,
        runtime: Runtime,
        clock: Clock,
        base: NodeStatus,
        reregister: Callable[[], Awaitable[Node]],
        tell: Callable[[str], None],
        attachments: Attachments,
    ) -> None:
        """`base` is the part of the status that stays; `reregister` makes the Node again.

        `tell` records an event about the node, whose reason it is given; `attachments` knows which
        volumes are in use, and is told when that was reported.
        """
        self._config = config
        self._client = client
        self._runtime = runtime
        self._clock = clock
        self._base = base
        self._reregister = reregister
        self._tell = tell
        self._attachments = attachments
        attachments.report_with(self.wake)
        self._sent: NodeStatus | None = None
        self._told: Sequence[NodeCondition] = ()
        self._version = 0
        self._wake = asyncio.Event()
        self._conditions: list[RuntimeCondition] | None = None
        self._images: list[ContainerImage] | None = None
        self._answered = clock.monotonic()
        self._silent = False
        self._shutting_down = False
        self.ready = False

    def wake(self) -> None:
        """Report soon: something may have changed."""
        self._wake.set()

    def shuts_down(self, value: bool) -> None:
        """Take note that the machine is about to shut down, or is not after all."""
        self._shutting_down = value
        self.wake()

    def registered(self, node: Node) -> None:
        """Take the Node as the API server has it."""
        self._sent = node.status
        self._version = int(node.metadata.resourceVersion or 0)
        self._attachments.reported(node)

    def saw(self, node: Node) -> None:
        """Contradict soon when somebody judged the node otherwise: it was not heard for a while."""
        if int(node.metadata.resourceVersion or 0) <= self._version:
            return
        conditions = node.status.conditions or ()
        told = {each.type: each.status for each in self._told}
        if any(told.get(each.type, each.status) != each.status for each in conditions):
            self._sent, self._told = node.status, conditions
            self.wake()

    async def current(self) -> NodeStatus:
        """Return the status as it is now."""
        status = codec.clone(self._base)
        measured = Measured(
            facts.memory_available(),
            *facts.disk_available(self._config.data_dir),
            *facts.processes(),
        )
        runtime = await self._ask_runtime()
        status.images = self._images
        status.volumesInUse = self._attachments.in_use() or None
        before = (self._sent.conditions if self._sent else None) or ()
        status.conditions = node_conditions(
            measured, runtime, before, self._clock.now(), shutting_down=self._shutting_down
        )
        for reason in events.of_conditions(self._told, status.conditions):
            self._tell(reason)
        self._told = status.conditions
        self.ready = any(c.type == READY and c.status == "True" for c in status.conditions)
        return status

    async def run(self) -> None:
        """Report for ever."""
        while True:
            self._wake.clear()
            try:
                await self._report(await self.current())
            except (Unreachable, ApiError) as error:
                log.warning("node status not sent", why=str(error))
                self._sent = None
            settled = self.ready and self._sent is not None and not self._silent
            pause = self._config.status_interval if settled else CHECK_EVERY
            try:
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _report(self, status: NodeStatus) -> None:
        tree = codec.to_tree(status)
        # They are merged by type, of which one has several where there are two families.
        tree["addresses"] = [*tree.get("addresses", ()), {"$patch": "replace"}]
        body = {"status": {**tree, "volumesInUse": status.volumesInUse}}  # also that there are none
        name = self._config.node_name
        try:
            node = await self._client.patch(
                Node, name, "", body, type="strategic", subresource="status"
            )
        except NotFound:
            node = await self._reregister()
            self.wake()  # the new one does not say yet which volumes are in use
        self.registered(node)

    async def _ask_runtime(self) -> list[RuntimeCondition] | None:
        """Return the runtime's conditions; None once it has not answered for a while."""
        now = self._clock.monotonic()
        try:
            self._conditions = (await self._runtime.status()).conditions
            self._images = _listed(await self._runtime.images())
        except RuntimeFailure as failure:
            log.warning("the container runtime does not answer", why=failure.described)
            self._silent = True
            return self._conditions if now - self._answered < PATIENCE else None
        self._answered, self._silent = now, False
        return self._conditions


def _listed(images: Iterable[Image]) -> list[ContainerImage]:
    """Return the largest images with their names."""
    largest = sorted(images, key=lambda image: -image.size)
    return [
        ContainerImage(
            names=[*image.repo_digests, *image.repo_tags][:NAMES_MAX], sizeBytes=image.size
        )
        for image in largest[:IMAGES_MAX]
        if image.repo_digests or image.repo_tags
    ]
