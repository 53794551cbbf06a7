"""The provisioner of all drivers.

In:   claims for which the binder chose a driver, their classes and sources; volumes, nodes.
Out:  volumes made and removed by drivers, and the PersistentVolumes that stand for them.
By:   controllers.all. Stands aside for external-provisioner.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, NamedTuple

from kybern.api import errors
from kybern.api.core.v1 import Node, PersistentVolume, PersistentVolumeClaim
from kybern.api.core.volume_matching import PROVISIONED_BY, class_of
from kybern.api.snapshot.v1 import VolumeSnapshot, VolumeSnapshotContent
from kybern.api.storage.v1 import StorageClass, VolumeAttachment, VolumeAttributesClass
from kybern.controllers.csi import credentials, topology
from kybern.controllers.csi.capabilities import UnsupportedModesError
from kybern.controllers.csi.patience import LOOK_AGAIN, Patience
from kybern.controllers.csi.reach import Driver, Drivers
from kybern.controllers.csi.secrets import BadTemplateError
from kybern.controllers.csiprovisioner import plan, sources
from kybern.controllers.csiprovisioner.plan import Deed
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.reconcile import DONE, Key, Outcome, key_of
from kybern.csi import messages as m
from kybern.csi.client import CsiError

if TYPE_CHECKING:
    from kybern.controllers.runtime.host import Context

LEASE = "{}"
BY_PROVISIONER = "provisioner"
BY_SOURCE = "source"
BY_VOLUME = "volume"
SECONDS = 120.0  # for making a volume; a driver may go on with it, and is asked again
NO_KEYS = "error generating accessibility requirements: no topology key found on CSINode {}"
NOT_YET = (
    sources.UnusableSourceError,
    topology.NoTopologyError,
    UnsupportedModesError,
    BadTemplateError,
)


class CannotAskError(Exception):
    """Something the driver needs to know is missing; the text says what."""


class Work(NamedTuple):
    """A claim or a volume."""

    is_claim: bool
    key: Key


class CsiProvisioner:
    """Makes and removes volumes."""

    def __init__(self, ctx: Context) -> None:
        self._client, self._recorder = ctx.client, ctx.recorder
        of = ctx.informers.of
        indexers = {BY_PROVISIONER: _provisioners, BY_SOURCE: _source_claims}
        self._claims = of(PersistentVolumeClaim, indexers=indexers)
        self._volumes = of(PersistentVolume)
        self._classes = of(StorageClass)
        self._attachments = of(VolumeAttachment, indexers={BY_VOLUME: _attached})
        self._nodes = of(Node)
        self._drivers = Drivers(ctx, LEASE)
        self._patience = Patience(ctx.rng)
        self._identity = f"{int(ctx.clock.now() * 1000)}-{ctx.rng.randrange(10000)}-"
        informers: tuple[Any, ...] = (
            self._claims, self._volumes, self._classes, self._attachments, self._nodes,
            self._drivers.nodes, self._drivers.drivers,
        )  # fmt: skip
        self._loop: Loop[Work] = Loop(
            "csi-provisioner", self.reconcile, after=informers, workers=ctx.config.workers
        )
        self._claims.on(
            add=self._claim_changed, update=self._claim_updated, delete=self._claim_changed
        )
        self._volumes.on_change(self._volume_changed)
        self._attachments.on(delete=self._detached)
        self._classes.on(add=self._class_added)
        self._drivers.on_change(self._driver_changed)

    async def run(self) -> None:
        """Work for ever."""
        await self._loop.run()

    def statistics(self) -> dict[str, int]:
        """Return the loop's counters."""
        return self._loop.statistics()

    async def reconcile(self, work: Work) -> Outcome:
        """Look at one claim or volume."""
        if work.is_claim:
            claim = self._claims.get(*work.key)
            if claim is not None:
                return await self._claim(work, claim)
        else:
            volume = self._volumes.get("", work.key.name)
            if volume is not None:
                return await self._volume(work, volume)
        self._patience.forget(work)
        return DONE

    # --- claims -------------------------------------------------------------------------------

    async def _claim(self, work: Work, claim: PersistentVolumeClaim) -> Outcome:
        if sources.CLONING in (claim.metadata.finalizers or ()):
            await self._release_source(claim)
        found = self._classes.get("", class_of(claim))
        there = self._volumes.get("", plan.volume_name(claim)) is not None
        deed = plan.deed(claim, found, volume_is_there=there)
        if deed is Deed.NOTHING:
            self._patience.forget(work)
            return DONE
        if deed is Deed.SETTLE:
            await self._client.update(plan.settled(claim))
            return DONE
        name = plan.provisioner_of(claim)
        driver = await self._drivers.find(name)
        if driver is None or m.ControllerRpc.CREATE_DELETE_VOLUME not in driver.rpcs:
            return LOOK_AGAIN if self._drivers.is_there(name) else DONE
        try:
            if found is None:
                missing = f'storageclass.storage.k8s.io "{class_of(claim)}" not found'
                raise CannotAskError(missing)
            if await self._make(claim, found, driver, keep=deed is Deed.MAKE):
                self._patience.forget(work)
                return DONE
        except CsiError as error:
            self._drivers.lost(name, error)
            self._failed(claim, str(error))
            await self._after_failure(claim, driver, error)
        except (*NOT_YET, CannotAskError) as error:
            self._failed(claim, str(error))
        return self._patience.again(work)

    async def _make(
        self, claim: PersistentVolumeClaim, found: StorageClass, driver: Driver, *, keep: bool
    ) -> bool:
        """Have a volume made; or, of one that may have been begun, have it removed again."""
        if _other_source(claim):
            return True  # somebody else fills it
        selected = plan.selected_node(claim)
        if keep and selected and self._nodes.get("", selected) is None:
            await self._client.update(plan.elsewhere(claim))
            return True
        ask = plan.Ask(
            driver.rpcs,
            await self._secret(plan.own_secret(claim, found)),
            await self._content(claim, driver),
            self._where(claim, found, driver),
            await self._mutable(claim, driver),
        )
        request = plan.request(claim, found, ask)
        if plan.MAKING not in (claim.metadata.finalizers or ()):
            text = f'External provisioner is provisioning volume for claim "{key_of(claim)}"'
            self._recorder.event(claim, "Normal", "Provisioning", text)
            claim = await self._client.update(plan.begun(claim))
        made = (await driver.csi.create_volume(request, SECONDS)).volume
        if made is None:
            raise CsiError("INTERNAL", "CreateVolume answered without a volume")
        wrong = plan.problem(claim, made)
        if wrong or not keep:
            await driver.csi.delete_volume(m.DeleteVolumeRequest(made.volume_id, dict(ask.secrets)))
            await self._client.update(plan.settled(claim))
            if wrong:
                self._failed(claim, wrong)
            return not wrong
        volume = plan.new_volume(claim, found, made, self._identity + driver.name)
        with contextlib.suppress(errors.AlreadyExists):  # made by us, before our cache showed it
            await self._client.create(volume)
        text = f"Successfully provisioned volume {volume.metadata.name}"
        self._recorder.event(claim, "Normal", "ProvisioningSucceeded", text)
        await self._client.update(plan.settled(claim))
        return True

    async def _after_failure(
        self, claim: PersistentVolumeClaim, driver: Driver, error: CsiError
    ) -> None:
        """Let a claim go, or have another node chosen, where nothing was made."""
        claim = await self._client.get(
            PersistentVolumeClaim, claim.metadata.name or "", claim.metadata.namespace or ""
        )
        full = error.code == "RESOURCE_EXHAUSTED" and driver.has_topology
        if full and plan.selected_node(claim):
            await self._client.update(plan.elsewhere(claim))
        elif error.final and plan.MAKING in (claim.metadata.finalizers or ()):
            await self._client.update(plan.settled(claim))

    def _where(
        self, claim: PersistentVolumeClaim, found: StorageClass, driver: Driver
    ) -> m.TopologyRequirement | None:
        """Return from where the volume has to be reached."""
        if not driver.has_topology:
            return None
        chosen, selected = None, plan.selected_node(claim)
        node = self._nodes.get("", selected)
        if node is not None:
            keys = topology.keys_of(driver.name, self._drivers.nodes.get("", selected))
            chosen = topology.segment(node, keys) if keys else None
            if chosen is None:
                raise topology.NoTopologyError(NO_KEYS.format(selected))
        places = topology.segments(
            driver.name, self._drivers.nodes.list(), lambda name: self._nodes.get("", name)
        )
        return topology.requirement(claim.metadata.name or "", places, found, chosen)

    async def _content(
        self, claim: PersistentVolumeClaim, driver: Driver
    ) -> m.VolumeContentSource | None:
        wanted, namespace = sources.wanted(claim), claim.metadata.namespace or ""
        if wanted is None:
            return None
        if wanted.is_snapshot:
            snapshot = await self._found(VolumeSnapshot, wanted.name, namespace)
            bound = snapshot.status.boundVolumeSnapshotContentName if snapshot is not None else ""
            content = await self._found(VolumeSnapshotContent, bound, "") if bound else None
            return sources.from_snapshot(claim, driver.name, snapshot, content)
        source = self._claims.get(namespace, wanted.name)
        volume = self._volumes.get("", (source.spec.volumeName or "") if source else "")
        result = sources.from_claim(claim, driver.name, driver.rpcs, source, volume)
        if source is not None and sources.CLONING not in (source.metadata.finalizers or ()):
            await self._client.update(plan.with_finalizer(source, sources.CLONING))
        return result

    async def _found(self, type_: Any, name: str, namespace: str) -> Any:
        try:
            return await self._client.get(type_, name, namespace)
        except errors.NotFound:
            return None

    async def _mutable(self, claim: PersistentVolumeClaim, driver: Driver) -> dict[str, str]:
        name = claim.spec.volumeAttributesClassName
        if not name:
            return {}
        if m.ControllerRpc.MODIFY_VOLUME not in driver.rpcs:
            raise CannotAskError("volume attributes class is not supported by the driver")
        found: VolumeAttributesClass | None = await self._found(VolumeAttributesClass, name, "")
        if found is None:
            raise CannotAskError(f'volumeattributesclass.storage.k8s.io "{name}" not found')
        if found.driverName != driver.name:
            raise CannotAskError(
                f'VAC "{name}" is for driver {found.driverName}, not for {driver.name}'
            )
        return dict(found.parameters or {})

    async def _secret(self, reference: Any) -> dict[str, str]:
        try:
            return await credentials.read(self._client, reference)
        except errors.NotFound as error:
            raise CannotAskError(error.message) from None

    async def _release_source(self, claim: PersistentVolumeClaim) -> None:
        """Let a claim go that nobody is cloned from any more."""
        meta = claim.metadata
        users = self._claims.by_index(BY_SOURCE, f"{meta.namespace}/{meta.name}")
        if all(each.spec.volumeName for each in users):
            await self._client.update(plan.without(claim, sources.CLONING))

    def _failed(self, claim: PersistentVolumeClaim, why: str) -> None:
        text = f'failed to provision volume with StorageClass "{class_of(claim)}": {why}'
        self._recorder.event(claim, "Warning", "ProvisioningFailed", text)

    # --- volumes ------------------------------------------------------------------------------

    async def _volume(self, work: Work, volume: PersistentVolume) -> Outcome:
        source = volume.spec.csi
        if source is None:
            return DONE
        if not plan.is_to_delete(volume):
            mine = plan.guarded_as_wanted(volume)
            if mine is not None and await self._drivers.find(source.driver) is not None:
                await self._client.update(mine)
            return DONE
        if self._attachments.by_index(BY_VOLUME, volume.metadata.name or ""):
            return DONE  # until it is detached
        driver = await self._drivers.find(source.driver)
        if driver is None:
            return LOOK_AGAIN if self._drivers.is_there(source.driver) else DONE
        try:
            given = {}
            with contextlib.suppress(CannotAskError):  # the Secret may be gone: do without
                given = await self._secret(plan.deletion_secret(volume))
            request = m.DeleteVolumeRequest(source.volumeHandle, given)
            await driver.csi.delete_volume(request)
        except CsiError as error:
            self._drivers.lost(source.driver, error)
            self._recorder.event(volume, "Warning", "VolumeFailedDelete", str(error))
            return self._patience.again(work)
        self._patience.forget(work)
        if volume.metadata.deletionTimestamp is None:
            uid = volume.metadata.uid
            await self._client.delete(PersistentVolume, volume.metadata.name or "", uid=uid)
            volume = await self._client.get(PersistentVolume, volume.metadata.name or "")
        await self._client.update(plan.without(volume, plan.FINALIZER))
        return DONE

    # --- from events to work ------------------------------------------------------------------

    def _claim_changed(self, claim: PersistentVolumeClaim) -> None:
        if plan.provisioner_of(claim) or sources.CLONING in (claim.metadata.finalizers or ()):
            self._loop.add(Work(True, key_of(claim)))
        for key in _source_claims(claim):
            self._loop.add(Work(True, Key(*key.split("/", 1))))

    def _claim_updated(self, old: PersistentVolumeClaim, new: PersistentVolumeClaim) -> None:
        # What we wrote ourselves is no reason to ask the driver again at once.
        if (old.spec, _facts(old)) != (new.spec, _facts(new)):
            self._claim_changed(new)

    def _volume_changed(self, volume: PersistentVolume) -> None:
        made_by = (volume.metadata.annotations or {}).get(PROVISIONED_BY)
        if volume.spec.csi is not None and made_by == volume.spec.csi.driver:
            self._loop.add(Work(False, key_of(volume)))
            reference = volume.spec.claimRef
            if reference is not None:
                key = Key(reference.namespace or "", reference.name or "")
                self._loop.add(Work(True, key))

    def _detached(self, attachment: VolumeAttachment) -> None:
        for name in _attached(attachment):
            volume = self._volumes.get("", name)
            if volume is not None:
                self._volume_changed(volume)

    def _class_added(self, found: StorageClass) -> None:
        for claim in self._claims.by_index(BY_PROVISIONER, found.provisioner):
            if class_of(claim) == found.metadata.name:
                self._loop.add(Work(True, key_of(claim)))

    def _driver_changed(self, name: str) -> None:
        for claim in self._claims.by_index(BY_PROVISIONER, name):
            self._loop.add(Work(True, key_of(claim)))
        for volume in self._volumes.list():
            if volume.spec.csi is not None and volume.spec.csi.driver == name:
                self._volume_changed(volume)


def _other_source(claim: PersistentVolumeClaim) -> bool:
    """Say whether a claim is filled from something that only its own controller knows."""
    wanted = sources.wanted(claim)
    return wanted is not None and not (wanted.is_snapshot or wanted.is_claim)


def _facts(claim: PersistentVolumeClaim) -> tuple[Any, ...]:
    meta = claim.metadata
    return meta.deletionTimestamp, meta.annotations, claim.status.phase


def _provisioners(claim: PersistentVolumeClaim) -> list[str]:
    name = plan.provisioner_of(claim)
    return [name] if name else []


def _source_claims(claim: PersistentVolumeClaim) -> list[str]:
    wanted = sources.wanted(claim)
    if wanted is None or not wanted.is_claim:
        return []
    return [f"{claim.metadata.namespace}/{wanted.name}"]


def _attached(attachment: VolumeAttachment) -> list[str]:
    name = attachment.spec.source.persistentVolumeName
    return [name] if name else []
