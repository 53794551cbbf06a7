"""The attacher of all drivers.

In:   VolumeAttachments, volumes, which drivers are where.
Out:  volumes attached and detached by their drivers; the attachments say how it went.
By:   controllers.all. Stands aside for external-attacher.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kybern.api import codec, errors
from kybern.api.core.v1 import PersistentVolume, PersistentVolumeSpec
from kybern.api.storage.v1 import VolumeAttachment
from kybern.controllers.csi import credentials
from kybern.controllers.csi.capabilities import UnsupportedModesError, of_volume
from kybern.controllers.csi.patience import LOOK_AGAIN, Patience
from kybern.controllers.csi.reach import Driver, Drivers
from kybern.controllers.csiattacher.plan import (
    Deed,
    attached,
    deed,
    detached,
    failed,
    guarded,
    guarded_volume,
    known_node_id,
    released,
    released_volume,
)
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.reconcile import DONE, Outcome
from kybern.csi import messages as m
from kybern.csi.client import CsiError

if TYPE_CHECKING:
    from kybern.controllers.runtime.host import Context

LEASE = "external-attacher-leader-{}"
BY_VOLUME = "volume"
BY_ATTACHER = "attacher"


class NotReadyError(Exception):
    """Something that a call needs is not there; the text says what."""


class Work(NamedTuple):
    """An attachment or a volume."""

    is_attachment: bool
    name: str


class CsiAttacher:
    """Attaches and detaches."""

    def __init__(self, ctx: Context) -> None:
        self._client, self._clock = ctx.client, ctx.clock
        self._attachments = ctx.informers.of(
            VolumeAttachment, indexers={BY_VOLUME: _source_of, BY_ATTACHER: _attacher_of}
        )
        self._volumes = ctx.informers.of(PersistentVolume)
        self._drivers = Drivers(ctx, LEASE)
        self._patience = Patience(ctx.rng)
        informers = (self._attachments, self._volumes, self._drivers.nodes, self._drivers.drivers)
        self._loop: Loop[Work] = Loop(
            "csi-attacher", self.reconcile, after=informers, workers=ctx.config.workers
        )
        self._attachments.on(add=self._changed, update=self._updated, delete=self._gone)
        self._volumes.on_change(self._volume_changed)
        self._drivers.on_change(self._driver_changed)

    async def run(self) -> None:
        """Work for ever."""
        await self._loop.run()

    def statistics(self) -> dict[str, int]:
        """Return the loop's counters."""
        return self._loop.statistics()

    async def reconcile(self, work: Work) -> Outcome:
        """Look at one attachment or volume."""
        if not work.is_attachment:
            return await self._volume(work.name)
        attachment = self._attachments.get("", work.name)
        if attachment is None or deed(attachment, attaches=True) is Deed.NOTHING:
            self._patience.forget(work)
            return DONE
        name = attachment.spec.attacher
        driver = await self._drivers.find(name)
        if driver is None:
            return LOOK_AGAIN if self._drivers.is_there(name) else DONE
        try:
            await self._do(attachment, driver)
        except (CsiError, NotReadyError, UnsupportedModesError) as error:
            if isinstance(error, CsiError):
                self._drivers.lost(name, error)
            await self._write_down(work.name, str(error))
            return self._patience.again(work)
        self._patience.forget(work)
        return DONE

    async def _do(self, attachment: VolumeAttachment, driver: Driver) -> None:
        """Take the steps that are left."""
        attaches = m.ControllerRpc.PUBLISH_UNPUBLISH_VOLUME in driver.rpcs
        step = deed(attachment, attaches=attaches)
        if step is Deed.GUARD:
            node_id = self._drivers.node_id(driver.name, attachment.spec.nodeName)
            if not node_id:
                text = f"CSINode {attachment.spec.nodeName} does not contain driver {driver.name}"
                raise NotReadyError(text)
            attachment = await self._client.update(guarded(attachment, node_id))
            step = Deed.ATTACH
        if step is Deed.ATTACH:
            context = await self._attach(attachment, driver)
            await self._client.update_status(attached(attachment, context))
        elif step is Deed.MARK:
            await self._client.update_status(attached(attachment, {}))
        elif step is Deed.DETACH:
            await self._detach(attachment, driver)
            attachment = await self._client.update_status(detached(attachment))
            step = Deed.RELEASE
        if step is Deed.RELEASE:
            await self._client.update(released(attachment))

    async def _attach(self, attachment: VolumeAttachment, driver: Driver) -> dict[str, str]:
        spec = await self._spec(attachment, keep=True)
        source = spec.csi
        assert source is not None
        answer = await driver.csi.controller_publish_volume(
            m.ControllerPublishVolumeRequest(
                volume_id=source.volumeHandle,
                node_id=known_node_id(attachment),
                volume_capability=of_volume(spec, driver.rpcs),
                readonly=bool(source.readOnly) and m.ControllerRpc.PUBLISH_READONLY in driver.rpcs,
                secrets=await self._secrets(spec),
                volume_context=dict(source.volumeAttributes or {}),
            )
        )
        return answer.publish_context

    async def _detach(self, attachment: VolumeAttachment, driver: Driver) -> None:
        spec = await self._spec(attachment, keep=False)
        source = spec.csi
        assert source is not None
        try:
            await driver.csi.controller_unpublish_volume(
                m.ControllerUnpublishVolumeRequest(
                    volume_id=source.volumeHandle,
                    node_id=known_node_id(attachment),
                    secrets=await self._secrets(spec),
                )
            )
        except CsiError as error:
            if error.code != "NOT_FOUND":  # neither the volume nor the node is there any more
                raise

    async def _spec(self, attachment: VolumeAttachment, *, keep: bool) -> PersistentVolumeSpec:
        """Return what is to be attached; with `keep`, it stays as long as it is."""
        inline = attachment.spec.source.inlineVolumeSpec
        if inline is not None and inline.csi is not None:
            return inline
        name = attachment.spec.source.persistentVolumeName or ""
        volume = self._volumes.get("", name)
        if volume is None:
            raise NotReadyError(f'persistentvolume "{name}" not found')
        if volume.spec.csi is None:
            raise NotReadyError(f'PV "{name}" does not have spec.csi')
        if keep and volume.metadata.deletionTimestamp is not None:
            raise NotReadyError(f'PersistentVolume "{name}" is marked for deletion')
        if keep and (mine := guarded_volume(volume)) is not None:
            volume = await self._client.update(mine)
        return volume.spec

    async def _secrets(self, spec: PersistentVolumeSpec) -> dict[str, str]:
        assert spec.csi is not None
        try:
            return await credentials.read(self._client, spec.csi.controllerPublishSecretRef)
        except errors.NotFound as error:
            raise NotReadyError(error.message) from None

    async def _write_down(self, name: str, message: str) -> None:
        attachment = await self._client.get(VolumeAttachment, name)
        mine = failed(attachment, message, self._clock.now())
        if not codec.equal(mine.status, attachment.status):
            await self._client.update_status(mine)

    async def _volume(self, name: str) -> Outcome:
        volume = self._volumes.get("", name)
        if volume is not None:
            mine = released_volume(volume, self._attachments.by_index(BY_VOLUME, name))
            if mine is not None:
                await self._client.update(mine)
        return DONE

    # --- from events to work ------------------------------------------------------------------

    def _changed(self, attachment: VolumeAttachment) -> None:
        self._loop.add(Work(True, attachment.metadata.name or ""))

    def _updated(self, old: VolumeAttachment, new: VolumeAttachment) -> None:
        # What we wrote about a failure is no reason to try again at once.
        if old.metadata.finalizers != new.metadata.finalizers or (
            (old.metadata.deletionTimestamp, old.status.attached)
            != (new.metadata.deletionTimestamp, new.status.attached)
        ):
            self._changed(new)

    def _gone(self, attachment: VolumeAttachment) -> None:
        self._loop.add(Work(True, attachment.metadata.name or ""))
        for name in _source_of(attachment):
            self._loop.add(Work(False, name))

    def _volume_changed(self, volume: PersistentVolume) -> None:
        if volume.metadata.deletionTimestamp is not None and volume.spec.csi is not None:
            self._loop.add(Work(False, volume.metadata.name or ""))

    def _driver_changed(self, name: str) -> None:
        for attachment in self._attachments.by_index(BY_ATTACHER, name):
            self._loop.add(Work(True, attachment.metadata.name or ""))


def _source_of(attachment: VolumeAttachment) -> list[str]:
    name = attachment.spec.source.persistentVolumeName
    return [name] if name else []


def _attacher_of(attachment: VolumeAttachment) -> list[str]:
    return [attachment.spec.attacher]
