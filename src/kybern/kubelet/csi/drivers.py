"""The drivers that have registered with this node.

In:   what registration found.
Out:  a Driver by name.
By:   plugins.py fills it in; mounting, unmounting and forward look drivers up.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kybern.csi.client import Csi, SocketTransport
from kybern.csi.messages import NodeRpc
from kybern.kubelet.volumes.content import VolumeProblem

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.csi.transport import Transport


class Driver:
    """One driver."""

    def __init__(self, name: str, endpoint: str, transport: Transport) -> None:
        self.name = name
        self.endpoint = endpoint
        self.csi = Csi(transport)
        self._rpcs: frozenset[int] | None = None

    async def rpcs(self) -> frozenset[int]:
        """Return what its node service can do: NodeRpc values.

        Raises:
            CsiError: it does not answer.
        """
        if self._rpcs is None:
            self._rpcs = await self.csi.node_get_capabilities()
        return self._rpcs

    async def stages(self) -> bool:
        """Say whether it stages volumes."""
        return NodeRpc.STAGE_UNSTAGE_VOLUME in await self.rpcs()


class Drivers:
    """Drivers by name."""

    def __init__(self, connect: Callable[[str], Transport] = SocketTransport) -> None:
        """`connect` returns what carries calls to a socket."""
        self.connect = connect
        self.settled = asyncio.Event()
        """Whoever was there when the node started has been asked."""
        self._drivers: dict[str, Driver] = {}
        self._listeners: list[Callable[[], None]] = []

    def find(self, name: str) -> Driver | None:
        """Return a driver."""
        return self._drivers.get(name)

    def names(self) -> list[str]:
        """Return who has registered."""
        return sorted(self._drivers)

    async def get(self, name: str) -> Driver:
        """Return a driver; just after a start, wait until all have had a chance to register.

        Raises:
            VolumeProblem: it has not registered.
        """
        await self.settled.wait()
        driver = self._drivers.get(name)
        if driver is None:
            raise VolumeProblem(
                f"driver name {name} not found in the list of registered CSI drivers"
            )
        return driver

    async def add(self, driver: Driver) -> None:
        """Take a driver in, in place of an older one of its name."""
        older = self._drivers.get(driver.name)
        self._drivers[driver.name] = driver
        if older is not None:
            await older.csi.close()
        for listener in self._listeners:
            listener()

    async def remove(self, driver: Driver) -> bool:
        """Forget a driver; False when another one has taken its place."""
        if self._drivers.get(driver.name) is not driver:
            return False
        del self._drivers[driver.name]
        await driver.csi.close()
        return True

    def on_added(self, listener: Callable[[], None]) -> None:
        """Have a function called whenever a driver has registered."""
        self._listeners.append(listener)
