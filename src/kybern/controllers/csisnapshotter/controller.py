"""The snapshotter of all drivers.

In:   VolumeSnapshotContents, their classes, which drivers are where.
Out:  snapshots taken and removed by drivers; the contents say how it went.
By:   controllers.all. Stands aside for csi-snapshotter.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from kybern.api import errors
from kybern.api.snapshot import words
from kybern.api.snapshot.v1 import VolumeSnapshotClass, VolumeSnapshotContent
from kybern.controllers.csi import credentials
from kybern.controllers.csi.patience import LOOK_AGAIN, Patience
from kybern.controllers.csi.reach import Driver, Drivers
from kybern.controllers.csisnapshotter import plan
from kybern.controllers.csisnapshotter.plan import Deed
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.reconcile import DONE, After, Key, Outcome, key_of
from kybern.csi import messages as m
from kybern.csi.client import CsiError

if TYPE_CHECKING:
    from kybern.controllers.runtime.host import Context

LEASE = "external-snapshotter-leader-{}"
BY_DRIVER = "driver"
AT_ONCE = After(0.0)  # what was made for a content that is being deleted has to go
NOT_READY = After(5.0)  # while the driver still copies
FAILED = "Failed to check and update snapshot content: failed to take snapshot of the volume {}: {}"


class NotFoundError(Exception):
    """Something that a call needs is not there; the text says what."""


class CsiSnapshotter:
    """Takes and removes snapshots."""

    def __init__(self, ctx: Context) -> None:
        self._client, self._clock, self._recorder = ctx.client, ctx.clock, ctx.recorder
        self._contents = ctx.informers.of(VolumeSnapshotContent, indexers={BY_DRIVER: _driver_of})
        self._classes = ctx.informers.of(VolumeSnapshotClass)
        self._drivers = Drivers(ctx, LEASE)
        self._patience = Patience(ctx.rng)
        informers: tuple[Any, ...] = (
            self._contents, self._classes, self._drivers.nodes, self._drivers.drivers,
        )  # fmt: skip
        self._loop: Loop[Key] = Loop("csi-snapshotter", self.reconcile, after=informers)
        self._contents.on(add=self._changed, update=self._updated, delete=self._changed)
        self._drivers.on_change(self._driver_changed)

    async def run(self) -> None:
        """Work for ever."""
        await self._loop.run()

    def statistics(self) -> dict[str, int]:
        """Return the loop's counters."""
        return self._loop.statistics()

    async def reconcile(self, key: Key) -> Outcome:
        """Look at one content."""
        content = self._contents.get("", key.name)
        deed = Deed.NOTHING if content is None else plan.deed(content)
        if content is None or deed is Deed.NOTHING:
            self._patience.forget(key)
            return DONE
        name = content.spec.driver
        driver = await self._drivers.find(name)
        if driver is None or m.ControllerRpc.CREATE_DELETE_SNAPSHOT not in driver.rpcs:
            return LOOK_AGAIN if self._drivers.is_there(name) else DONE
        try:
            outcome = await self._do(content, deed, driver)
        except (CsiError, NotFoundError) as error:
            if isinstance(error, CsiError):
                self._drivers.lost(name, error)
            await self._failed(key, deed, error)
            return self._patience.again(key)
        self._patience.forget(key)
        return outcome

    async def _do(self, content: VolumeSnapshotContent, deed: Deed, driver: Driver) -> Outcome:
        if deed is Deed.TAKE:
            return await self._take(content, driver)
        if deed is Deed.LOOK:
            return await self._look(content, driver)
        if deed is Deed.REMOVE:
            given = {}
            with contextlib.suppress(NotFoundError):  # the Secret may be gone: do without
                given = await self._secrets(content)
            request = m.DeleteSnapshotRequest(plan.handle_of(content), given)
            await driver.csi.delete_snapshot(request)
            content = await self._client.update_status(plan.removed(content))
        await self._client.update(plan.released(content))
        return DONE

    async def _take(self, content: VolumeSnapshotContent, driver: Driver) -> Outcome:
        given = await self._secrets(content)
        mine = plan.marked(content)
        if mine is not None:
            content = await self._client.update(mine)
        found = self._classes.get("", content.spec.volumeSnapshotClassName or "")
        answer = await driver.csi.create_snapshot(plan.request(content, found, given))
        if answer.snapshot is None:
            raise CsiError("INTERNAL", "CreateSnapshot answered without a snapshot")
        now = self._clock.now()
        content = await self._client.update_status(plan.taken(content, answer.snapshot, now))
        await self._client.update(plan.unmarked(content))
        if content.metadata.deletionTimestamp is not None:
            return AT_ONCE
        return DONE if answer.snapshot.ready_to_use else NOT_READY

    async def _look(self, content: VolumeSnapshotContent, driver: Driver) -> Outcome:
        found = None
        if m.ControllerRpc.LIST_SNAPSHOTS in driver.rpcs:
            handle, given = plan.handle_of(content), await self._secrets(content)
            wanted = m.ListSnapshotsRequest(snapshot_id=handle, secrets=given)
            entries = (await driver.csi.list_snapshots(wanted)).entries
            found = entries[0].snapshot if entries else None
            if found is None:
                raise NotFoundError(f"can not find snapshot for snapshotID {handle}")
        mine = plan.found_there(content, found, self._clock.now())
        await self._client.update_status(mine)
        return DONE if mine.status.readyToUse else NOT_READY

    async def _secrets(self, content: VolumeSnapshotContent) -> dict[str, str]:
        try:
            return await credentials.read(self._client, plan.secret_of(content))
        except errors.NotFound as error:
            raise NotFoundError(error.message) from None

    async def _failed(self, key: Key, deed: Deed, error: Exception) -> None:
        content = await self._client.get(VolumeSnapshotContent, key.name)
        volume, text = content.spec.source.volumeHandle, str(error)
        if deed is Deed.REMOVE:
            said = f"Failed to delete snapshot: {text}"
            self._recorder.event(content, "Warning", "SnapshotDeleteError", said)
            return
        said = FAILED.format(volume, text) if volume else text
        self._recorder.event(content, "Warning", "SnapshotCreationFailed", said)
        mine = plan.failed(content, said, self._clock.now())
        if mine is not None:
            content = await self._client.update_status(mine)
        if isinstance(error, CsiError) and error.final and deed is Deed.TAKE:
            await self._client.update(plan.unmarked(content))

    # --- from events to work ------------------------------------------------------------------

    def _changed(self, content: VolumeSnapshotContent) -> None:
        self._loop.add(key_of(content))

    def _updated(self, old: VolumeSnapshotContent, new: VolumeSnapshotContent) -> None:
        # What we wrote ourselves is no reason to ask the driver again at once.
        if _facts(old) != _facts(new):
            self._changed(new)

    def _driver_changed(self, name: str) -> None:
        for content in self._contents.by_index(BY_DRIVER, name):
            self._changed(content)


def _facts(content: VolumeSnapshotContent) -> tuple[Any, ...]:
    meta = content.metadata
    marked = words.is_marked(content, words.BEING_DELETED)
    return meta.deletionTimestamp, marked, content.spec.volumeSnapshotRef.uid


def _driver_of(content: VolumeSnapshotContent) -> list[str]:
    return [content.spec.driver]
