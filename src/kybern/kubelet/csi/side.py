"""The parts of this package, put together.

In:   the kubelet's configuration and clients.
Out:  `CsiSide`: what the agent runs, and its parts for the rest of the kubelet.
By:   agent.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api.errors import ApiError
from kybern.client.transport import Unreachable
from kybern.kubelet.csi.attachments import Attachments
from kybern.kubelet.csi.drivers import Drivers
from kybern.kubelet.csi.forward import Forwarding
from kybern.kubelet.csi.growing import Growing
from kybern.kubelet.csi.mounting import Mounting
from kybern.kubelet.csi.node_info import NodeInfo
from kybern.kubelet.csi.places import Places
from kybern.kubelet.csi.plugins import Plugins
from kybern.kubelet.csi.volumes import CsiVolumes
from kybern.kubelet.volumes import mounts
from kybern.lib import logs
from kybern.lib.backoff import Backoff

if TYPE_CHECKING:
    from kybern.client.events import Recorder
    from kybern.client.rest import Client
    from kybern.kubelet.config import KubeletConfig
    from kybern.kubelet.tokens import Tokens
    from kybern.lib.clock import Clock
    from kybern.lib.tasks import Tasks

log = logs.get("kubelet.csi")
AGAIN = Backoff(initial=0.1, factor=2.0, cap=30.0)


class CsiSide:
    """The node's side of CSI."""

    def __init__(
        self,
        config: KubeletConfig,
        client: Client,
        clock: Clock,
        recorder: Recorder,
        tokens: Tokens,
        tasks: Tasks,
    ) -> None:
        node = config.node_name
        places = Places(config.pods_dir.parent)
        self._clock = clock
        self._places = places
        self.drivers = drivers = Drivers()
        self.attachments = Attachments()
        self._info = NodeInfo(client, clock, node)
        self.plugins = Plugins(places.registry, drivers, self._info, clock, tasks)
        self.forwarding = Forwarding(drivers, places)
        self.volumes = CsiVolumes(
            places,
            drivers,
            self.attachments,
            Mounting(node, places, client, drivers, self.attachments, tokens, clock),
            Growing(node, client, drivers, recorder, clock),
            clock,
        )

    def prepare(self) -> None:
        """Make the kubelet's directory, and take over what an earlier kubelet has left in it."""
        self._places.root.mkdir(parents=True, exist_ok=True)
        try:
            # Drivers in pods mount volumes there (mountPropagation: Bidirectional).
            mounts.share(str(self._places.root))
        except OSError as error:
            log.warning("drivers in pods cannot mount volumes", why=str(error))
        self.volumes.recover()

    async def run(self) -> None:
        """Tell the cluster of this node, and look after drivers for ever."""
        await self._ensure()
        await self.plugins.run()

    async def begin_again(self) -> None:
        """Tell the cluster once more: the Node was deleted, and has been made anew."""
        await self._ensure()
        await self.plugins.tell_again()

    async def _ensure(self) -> None:
        attempt = 0
        while True:
            try:
                await self._info.ensure()
            except (ApiError, Unreachable) as error:
                log.warning("no CSINode, trying again", why=str(error))
                await self._clock.sleep(AGAIN.delay(attempt))
                attempt += 1
            else:
                return
