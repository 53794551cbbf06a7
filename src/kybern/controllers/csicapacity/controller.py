"""Asks drivers how much room they have, where their CSIDriver says that they tell.

In:   CSIDrivers with `storageCapacity`, their classes, where they are.
Out:  CSIStorageCapacities, looked after every minute and when a volume came or went.
By:   controllers.all. Stands aside for external-provisioner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api.core.v1 import Node, PersistentVolume
from kybern.api.storage.v1 import CSIDriver, CSIStorageCapacity, StorageClass
from kybern.controllers.csi import topology
from kybern.controllers.csi.reach import Driver, Drivers
from kybern.controllers.csicapacity import plan
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.reconcile import DONE, After, Outcome
from kybern.csi.client import CsiError
from kybern.csi.messages import ControllerRpc

if TYPE_CHECKING:
    from kybern.controllers.runtime.host import Context

LEASE = "{}"
BY_DRIVER = "driver"
ASK_AGAIN = After(60.0)
SOON = 1.0  # after a volume came or went: of several at once, one question is enough


class CsiCapacity:
    """Publishes capacities."""

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        of = ctx.informers.of
        self._capacities = of(CSIStorageCapacity, indexers={BY_DRIVER: _ours_of})
        self._classes = of(StorageClass)
        self._nodes = of(Node)
        self._volumes = of(PersistentVolume)
        self._drivers = Drivers(ctx, LEASE)
        informers: tuple[Any, ...] = (
            self._capacities, self._classes, self._nodes, self._drivers.nodes,
            self._drivers.drivers,
        )  # fmt: skip
        self._loop: Loop[str] = Loop("csi-capacity", self.reconcile, after=informers, workers=1)
        self._drivers.on_change(self._loop.add)
        self._classes.on_change(lambda found: self._soon(found.provisioner))
        self._volumes.on(add=self._volume_changed, delete=self._volume_changed)

    async def run(self) -> None:
        """Work for ever."""
        await self._loop.run()

    def statistics(self) -> dict[str, int]:
        """Return the loop's counters."""
        return self._loop.statistics()

    async def reconcile(self, name: str) -> Outcome:
        """Ask one driver about all of its classes and places."""
        there = self._capacities.by_index(BY_DRIVER, name)
        if not self._tells(name):
            await self._write(plan.changes({}, there))
            return DONE
        driver = await self._drivers.find(name)
        if driver is None:
            # While it is away its numbers stay; where somebody else tells, ours would be wrong.
            if self._drivers.is_there(name):
                await self._write(plan.changes({}, there))
                return ASK_AGAIN
            return DONE
        if ControllerRpc.GET_CAPACITY in driver.rpcs:
            await self._write(plan.changes(await self._ask(driver), there))
        return ASK_AGAIN

    async def _ask(self, driver: Driver) -> dict[str, CSIStorageCapacity | None]:
        """Return the answers by name; None where there was none."""
        places: list[topology.Segment] = [()]
        if driver.has_topology:
            nodes = self._drivers.nodes.list()
            places = topology.segments(driver.name, nodes, lambda name: self._nodes.get("", name))
        found: dict[str, CSIStorageCapacity | None] = {}
        for question, storage_class in plan.questions(driver.name, self._classes.list(), places):
            try:
                answer = await driver.csi.get_capacity(plan.request(question, storage_class))
            except CsiError as error:
                self._drivers.lost(driver.name, error)
                found[plan.name_of(question)] = None
            else:
                found[plan.name_of(question)] = plan.answered(question, answer)
        return found

    async def _write(self, changes: plan.Changes) -> None:
        for each in changes.create:
            await self._client.create(each)
        for each in changes.update:
            await self._client.update(each)
        for each in changes.delete:
            meta = each.metadata
            await self._client.delete(
                CSIStorageCapacity, meta.name or "", meta.namespace or "", uid=meta.uid
            )

    def _tells(self, name: str) -> bool:
        driver: CSIDriver | None = self._drivers.drivers.get("", name)
        return driver is not None and bool(driver.spec.storageCapacity)

    def _soon(self, name: str) -> None:
        if self._tells(name):
            self._loop.queue.add_after(name, SOON)

    def _volume_changed(self, volume: PersistentVolume) -> None:
        if volume.spec.csi is not None:
            self._soon(volume.spec.csi.driver)


def _ours_of(capacity: CSIStorageCapacity) -> list[str]:
    labels = capacity.metadata.labels or {}
    return [labels.get(plan.DRIVER, "")] if labels.get(plan.MANAGED) == plan.BY_US else []
