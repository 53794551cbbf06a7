"""Drivers announce themselves with a socket in a directory: they are asked who they are.

In:   sockets that come and go below `plugins_registry`.
Out:  drivers in `Drivers`, the cluster told of them; and every plugin told whether it was taken.
By:   agent.py runs it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from kybern.api.errors import ApiError
from kybern.client.transport import Unreachable
from kybern.csi.client import CsiError
from kybern.kubelet.csi import registration
from kybern.kubelet.csi.drivers import Driver
from kybern.kubelet.server.inotify import IN_CREATE, IN_DELETE, IN_MOVED_TO, Notifier
from kybern.kubelet.volumes.content import VolumeProblem
from kybern.lib import logs
from kybern.lib.backoff import Backoff
from kybern.lib.protobuf import ProtobufError

if TYPE_CHECKING:
    from pathlib import Path

    from kybern.csi.transport import Transport
    from kybern.kubelet.csi.drivers import Drivers
    from kybern.kubelet.csi.node_info import NodeInfo
    from kybern.kubelet.csi.registration import PluginInfo
    from kybern.lib.clock import Clock
    from kybern.lib.tasks import Tasks

log = logs.get("kubelet.csi")
KIND = "CSIPlugin"
AGAIN = Backoff(initial=0.5, factor=2.0, cap=122.0)
UNASKED = 300.0  # seconds until it is looked again whether a driver wants to be asked


class Refused(Exception):
    """A plugin is not taken; the text is for the plugin."""


class _Socket(NamedTuple):
    """A socket; another one at the same path is another one."""

    path: str
    inode: int
    born: int


class Plugins:
    """Looks after the sockets."""

    def __init__(
        self, directory: Path, drivers: Drivers, info: NodeInfo, clock: Clock, tasks: Tasks
    ) -> None:
        self._directory = directory
        self._drivers = drivers
        self._info = info
        self._clock = clock
        self._tasks = tasks
        self._talks: dict[_Socket, asyncio.Task[None]] = {}
        self._asked: dict[_Socket, asyncio.Event] = {}
        self._registered: dict[_Socket, Driver] = {}

    async def run(self) -> None:
        """Go on for ever."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o750)
        try:
            with Notifier() as notifier:
                notifier.watch(str(self._directory), IN_CREATE | IN_MOVED_TO | IN_DELETE)
                await self._scan()
                for asked in list(self._asked.values()):
                    await asked.wait()
                self._drivers.settled.set()
                while True:
                    await notifier.wait()
                    await self._scan()
        finally:
            for task in self._talks.values():
                task.cancel()
            self._talks.clear()

    async def tell_again(self) -> None:
        """Tell the cluster of all drivers: its Node is another one now."""
        for driver in list(self._registered.values()):
            try:
                await self._info.install(driver.name, await driver.csi.node_get_info())
            except (CsiError, VolumeProblem, ApiError, Unreachable) as error:
                log.warning("the cluster was not told", driver=driver.name, why=str(error))

    async def _scan(self) -> None:
        found = set(self._sockets())
        for gone in [known for known in self._talks if known not in found]:
            task = self._talks.pop(gone)
            self._asked.pop(gone).set()
            task.cancel()
            await asyncio.wait([task])
            if (driver := self._registered.pop(gone, None)) is not None:
                await self._unregister(driver)
        for new in found - self._talks.keys():
            self._asked[new] = asyncio.Event()
            self._talks[new] = self._tasks.spawn(self._talk(new), name=f"plugin {new.path}")

    def _sockets(self) -> list[_Socket]:
        found = []
        for entry in os.scandir(self._directory):
            with contextlib.suppress(FileNotFoundError):
                about = entry.stat()
                if stat.S_ISSOCK(about.st_mode):
                    found.append(_Socket(entry.path, about.st_ino, about.st_ctime_ns))
        return found

    async def _talk(self, socket: _Socket) -> None:
        """Register what is behind a socket, at last; then ask it now and then for its limit."""
        transport = self._drivers.connect(socket.path)
        asked = self._asked[socket]
        try:
            attempt = 0
            while not await self._try(socket, transport):
                asked.set()
                await self._clock.sleep(AGAIN.delay(attempt))
                attempt += 1
        finally:
            asked.set()
            await transport.close()
        await self._keep_up(self._registered[socket])

    async def _keep_up(self, driver: Driver) -> None:
        """Tell the cluster how many volumes a driver says the node can have, if that changes."""
        while True:
            try:
                period = await self._info.period(driver.name)
                await self._clock.sleep(period or UNASKED)
                if period:
                    await self._info.install(driver.name, await driver.csi.node_get_info())
            except (CsiError, VolumeProblem, ApiError, Unreachable) as error:
                log.warning("limit not known", driver=driver.name, why=str(error))
                await self._clock.sleep(UNASKED)

    async def _try(self, socket: _Socket, transport: Transport) -> bool:
        refusal = ""
        try:
            plugin = await registration.get_info(transport)
        except (CsiError, ProtobufError) as error:
            log.warning("plugin does not answer", socket=socket.path, why=str(error))
            return False
        try:
            self._registered[socket] = await self._register(plugin, socket.path)
        except (Refused, CsiError, VolumeProblem, ApiError, Unreachable) as error:
            refusal = str(error)
            log.warning("plugin not registered", socket=socket.path, why=refusal)
        try:
            await registration.notify(transport, refusal)
        except CsiError as error:
            log.warning("plugin not told", socket=socket.path, why=str(error))
        return not refusal

    async def _register(self, plugin: PluginInfo, path: str) -> Driver:
        check(plugin)
        # Without an endpoint the driver is behind the socket it has registered with.
        endpoint = plugin.endpoint.removeprefix("unix://") or path
        driver = Driver(plugin.name, endpoint, self._drivers.connect(endpoint))
        try:
            await self._info.install(plugin.name, await driver.csi.node_get_info())
        except BaseException:
            await driver.csi.close()
            raise
        await self._drivers.add(driver)
        log.info("driver registered", driver=driver.name, endpoint=endpoint)
        return driver

    async def _unregister(self, driver: Driver) -> None:
        if not await self._drivers.remove(driver):
            return  # another one has taken its place
        log.info("driver gone", driver=driver.name)
        try:
            await self._info.uninstall(driver.name)
        except (ApiError, Unreachable) as error:
            log.warning("the cluster was not told", driver=driver.name, why=str(error))


def check(plugin: PluginInfo) -> None:
    """Refuse what is no driver we can speak to.

    Raises:
        Refused: with upstream's words.
    """
    if plugin.type != KIND:
        raise Refused(
            "RegisterPlugin error -- no handler registered for plugin type: "
            f"{plugin.type} at socket {plugin.endpoint}"
        )
    prefix = (
        f'RegisterPlugin error -- plugin validation failed with err: CSI driver "{plugin.name}"'
    )
    if not plugin.supported_versions:
        raise Refused(f"{prefix}: Plugin returned an empty list for supported versions")
    if not any(version.lstrip("v").startswith("1.") for version in plugin.supported_versions):
        versions = " ".join(plugin.supported_versions)
        raise Refused(f"{prefix}: None of the versions specified [{versions}] are supported")
