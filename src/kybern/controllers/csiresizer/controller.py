"""The resizer of all drivers, which also changes volumes' attributes.

In:   claims that ask for more, or for another class of attributes; their volumes.
Out:  volumes that drivers have changed; claims that say so, or wait for their node.
By:   controllers.all. Stands aside for external-resizer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api import codec, errors
from kybern.api.core.v1 import PersistentVolume, PersistentVolumeClaim
from kybern.api.core.volume_matching import capacity_of
from kybern.api.storage.v1 import VolumeAttributesClass
from kybern.controllers.csi import credentials
from kybern.controllers.csi.capabilities import of_volume
from kybern.controllers.csi.patience import LOOK_AGAIN, Patience
from kybern.controllers.csi.reach import Driver, Drivers
from kybern.controllers.csiresizer import modifying, plan
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.reconcile import DONE, Key, Outcome, key_of
from kybern.csi import messages as m
from kybern.csi.client import CsiError

if TYPE_CHECKING:
    from kybern.controllers.runtime.host import Context

LEASE = "external-resizer-{}"
BY_VOLUME = "volume"
BY_DRIVER = "driver"
HOPELESS = frozenset(("INVALID_ARGUMENT", "OUT_OF_RANGE", "NOT_FOUND"))
NEEDS_NODE = "Require file system resize of volume on node"


class MissingError(Exception):
    """Something that a call needs is not there; the text says what."""


class CsiResizer:
    """Lets volumes grow, and changes them."""

    def __init__(self, ctx: Context) -> None:
        self._client, self._clock, self._recorder = ctx.client, ctx.clock, ctx.recorder
        of = ctx.informers.of
        self._claims = of(PersistentVolumeClaim, indexers={BY_VOLUME: _volume_of})
        self._volumes = of(PersistentVolume, indexers={BY_DRIVER: _driver_of})
        self._classes = of(VolumeAttributesClass)
        self._drivers = Drivers(ctx, LEASE)
        self._patience = Patience(ctx.rng)
        informers: tuple[Any, ...] = (
            self._claims, self._volumes, self._classes, self._drivers.nodes, self._drivers.drivers,
        )  # fmt: skip
        self._loop: Loop[Key] = Loop("csi-resizer", self.reconcile, after=informers)
        self._claims.on(add=self._changed, update=self._updated)
        self._volumes.on(update=self._volume_updated)
        self._classes.on(add=self._class_added)
        self._drivers.on_change(self._driver_changed)

    async def run(self) -> None:
        """Work for ever."""
        await self._loop.run()

    def statistics(self) -> dict[str, int]:
        """Return the loop's counters."""
        return self._loop.statistics()

    async def reconcile(self, key: Key) -> Outcome:
        """Look at one claim."""
        claim = self._claims.get(*key)
        volume = self._volumes.get("", (claim.spec.volumeName or "") if claim is not None else "")
        if claim is None or volume is None or volume.spec.csi is None:
            return DONE
        wish, target = plan.wish(claim, volume), modifying.target(claim)
        if not wish and not target:
            self._patience.forget(key)
            return DONE
        driver = await self._drivers.find(volume.spec.csi.driver)
        if driver is None:
            there = self._drivers.is_there(volume.spec.csi.driver)
            return LOOK_AGAIN if there else DONE
        done = not wish or await self._resize(claim, volume, driver, wish)
        if target:
            claim = await self._client.get(PersistentVolumeClaim, key.name, key.namespace)
            volume = await self._client.get(PersistentVolume, volume.metadata.name or "")
            done = await self._modify(claim, volume, driver, target) and done
        if not done:
            return self._patience.again(key)
        self._patience.forget(key)
        return DONE

    # --- size ---------------------------------------------------------------------------------

    async def _resize(
        self, claim: PersistentVolumeClaim, volume: PersistentVolume, driver: Driver, size: int
    ) -> bool:
        """Let a volume grow as far as the driver is concerned; say whether that worked."""
        can = m.ControllerRpc.EXPAND_VOLUME in driver.rpcs
        if not can and not driver.grows:
            return True  # upstream's resizer would not run for this driver
        mine = plan.begun(claim, size, self._clock.now())
        if mine is not None:
            claim = await self._client.update_status(mine)
            text = f"External resizer is resizing volume {volume.metadata.name}"
            self._recorder.event(claim, "Normal", "Resizing", text)
        needs_node = True
        if can:
            try:
                answer = await self._expand(volume, driver, size)
            except (CsiError, MissingError) as error:
                await self._not_resized(claim, volume, driver, error)
                return False
            size, needs_node = max(answer.capacity_bytes, size), answer.node_expansion_required
        if size > capacity_of(volume).value:
            volume = await self._client.update(plan.grown(volume, size))
        if needs_node and size > plan.capacity_in_use(claim).value:
            await self._client.update_status(plan.handed_over(claim, self._clock.now()))
            self._recorder.event(claim, "Normal", "FileSystemResizeRequired", NEEDS_NODE)
        else:
            await self._client.update_status(plan.finished(claim, volume))
            text = "Resize volume succeeded"
            self._recorder.event(claim, "Normal", "VolumeResizeSuccessful", text)
        return True

    async def _expand(
        self, volume: PersistentVolume, driver: Driver, size: int
    ) -> m.ControllerExpandVolumeResponse:
        source = volume.spec.csi
        assert source is not None
        return await driver.csi.controller_expand_volume(
            m.ControllerExpandVolumeRequest(
                volume_id=source.volumeHandle,
                capacity_range=m.CapacityRange(required_bytes=size),
                secrets=await self._secrets(volume),
                volume_capability=of_volume(volume.spec, driver.rpcs),
            )
        )

    async def _not_resized(
        self,
        claim: PersistentVolumeClaim,
        volume: PersistentVolume,
        driver: Driver,
        error: CsiError | MissingError,
    ) -> None:
        text = f'resize volume "{volume.metadata.name}" by resizer "{driver.name}" failed: {error}'
        self._recorder.event(claim, "Warning", "VolumeResizeFailed", text)
        hopeless = False
        if isinstance(error, CsiError):
            self._drivers.lost(driver.name, error)
            hopeless = error.code in HOPELESS
        mine = plan.failed(claim, str(error), self._clock.now(), hopeless=hopeless)
        if not codec.equal(mine.status, claim.status):
            await self._client.update_status(mine)

    async def _secrets(self, volume: PersistentVolume) -> dict[str, str]:
        assert volume.spec.csi is not None
        try:
            reference = volume.spec.csi.controllerExpandSecretRef
            return await credentials.read(self._client, reference)
        except errors.NotFound as error:
            raise MissingError(error.message) from None

    # --- attributes ---------------------------------------------------------------------------

    async def _modify(
        self, claim: PersistentVolumeClaim, volume: PersistentVolume, driver: Driver, name: str
    ) -> bool:
        """Change a volume to a class of attributes; say whether that worked."""
        found = self._classes.get("", name)
        if found is None or found.driverName != driver.name:
            why = f"VAC {name} does not exist." if found is None else (
                f"VAC driver name {found.driverName} does not match {driver.name}"
            )  # fmt: skip
            await self._say(claim, name, modifying.PENDING, why)
            return True  # until there is one
        if m.ControllerRpc.MODIFY_VOLUME not in driver.rpcs:
            return True  # upstream's controller would not run for this driver
        claim = await self._say(claim, name, modifying.IN_PROGRESS, "")
        assert volume.spec.csi is not None
        try:
            await driver.csi.controller_modify_volume(
                m.ControllerModifyVolumeRequest(
                    volume_id=volume.spec.csi.volumeHandle,
                    secrets=await self._secrets(volume),
                    mutable_parameters=dict(found.parameters or {}),
                )
            )
        except (CsiError, MissingError) as error:
            hopeless = isinstance(error, CsiError) and error.code in HOPELESS
            if isinstance(error, CsiError):
                self._drivers.lost(driver.name, error)
            state = modifying.INFEASIBLE if hopeless else modifying.IN_PROGRESS
            await self._say(claim, name, state, str(error))
            return False
        if volume.spec.volumeAttributesClassName != name:
            await self._client.update(modifying.changed_volume(volume, name))
        await self._client.update_status(modifying.finished(claim, name))
        text = (
            f"external resizer modified volume {claim.metadata.name} with vac {name} successfully"
        )
        self._recorder.event(claim, "Normal", "VolumeModifySuccessful", text)
        return True

    async def _say(
        self, claim: PersistentVolumeClaim, name: str, state: str, why: str
    ) -> PersistentVolumeClaim:
        mine = modifying.in_state(claim, name, state, why, self._clock.now())
        if why:
            self._recorder.event(claim, "Warning", "VolumeModifyFailed", why)
        elif modifying.state_of(claim) != (name, state):
            text = f"external resizer is modifying volume {claim.metadata.name} with vac {name}"
            self._recorder.event(claim, "Normal", "VolumeModify", text)
        return claim if mine is None else await self._client.update_status(mine)

    # --- from events to work ------------------------------------------------------------------

    def _changed(self, claim: PersistentVolumeClaim) -> None:
        if claim.spec.volumeName:
            self._loop.add(key_of(claim))

    def _updated(self, old: PersistentVolumeClaim, new: PersistentVolumeClaim) -> None:
        # What we wrote ourselves is no reason to ask the driver again at once.
        before, after = old.status, new.status
        if old.spec != new.spec or (before.phase, before.capacity) != (after.phase, after.capacity):
            self._changed(new)

    def _volume_updated(self, old: PersistentVolume, new: PersistentVolume) -> None:
        if old.spec.capacity != new.spec.capacity:
            for claim in self._claims.by_index(BY_VOLUME, new.metadata.name or ""):
                self._changed(claim)

    def _class_added(self, found: VolumeAttributesClass) -> None:
        for claim in self._claims.list():
            if claim.spec.volumeAttributesClassName == found.metadata.name:
                self._changed(claim)

    def _driver_changed(self, name: str) -> None:
        for volume in self._volumes.by_index(BY_DRIVER, name):
            for claim in self._claims.by_index(BY_VOLUME, volume.metadata.name or ""):
                self._changed(claim)


def _volume_of(claim: PersistentVolumeClaim) -> list[str]:
    return [claim.spec.volumeName] if claim.spec.volumeName else []


def _driver_of(volume: PersistentVolume) -> list[str]:
    return [volume.spec.csi.driver] if volume.spec.csi is not None else []
