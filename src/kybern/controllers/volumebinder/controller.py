"""The persistent volume binder.

In:   claims, volumes, storage classes; pods, to say whom a claim waits for.
Out:  claims and volumes bound to each other; their phases; events.
By:   controllers.all.

One worker takes one step at a time, and waits until what it wrote has come back: of two claims
that want the same volume, the second sees that it is taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from kybern.api.core.v1 import PersistentVolume, PersistentVolumeClaim, Pod
from kybern.api.core.volume_matching import class_of
from kybern.api.storage.v1 import StorageClass
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.expectations import Expectations
from kybern.controllers.runtime.reconcile import DONE, After, Key, Outcome
from kybern.controllers.volumebinder.plan import Around, Step, for_claim, for_volume

if TYPE_CHECKING:
    from kybern.controllers.runtime.host import Context

CAUGHT_UP = After(0.02)  # until what was written has come back
BY_CLAIM = "claim"
REMIND = 15.0  # seconds between two reminders that a claim is waiting


class Work(NamedTuple):
    """A claim or a volume."""

    is_claim: bool
    key: Key


class VolumeBinder:
    """Binds claims and volumes."""

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        self._recorder = ctx.recorder
        self._claims = ctx.informers.of(PersistentVolumeClaim)
        self._volumes = ctx.informers.of(PersistentVolume, indexers={BY_CLAIM: _claim_uid})
        self._classes = ctx.informers.of(StorageClass)
        self._pods = ctx.informers.of(Pod, indexers={BY_CLAIM: _claims_of})
        self._own_claims: Expectations[str] = Expectations(self._claims)
        self._own_volumes: Expectations[str] = Expectations(self._volumes)
        self._loop: Loop[Work] = Loop(
            "persistentvolume-binder",
            self.reconcile,
            after=(self._claims, self._volumes, self._classes, self._pods),
            workers=1,
        )
        self._claims.on(
            add=self._claim_changed,
            update=lambda _, claim: self._claim_changed(claim),
            delete=self._claim_changed,
        )
        self._volumes.on(
            add=self._volume_changed,
            update=lambda _, volume: self._volume_changed(volume),
            delete=self._volume_changed,
        )
        self._classes.on_change(self._class_changed)
        self._pods.on(add=self._pod_seen)

    async def run(self) -> None:
        """Work for ever."""
        await self._loop.run()

    def statistics(self) -> dict[str, int]:
        """Return the loop's counters."""
        return self._loop.statistics()

    async def reconcile(self, work: Work) -> Outcome:
        """Take the next step for a claim or volume."""
        if not (self._own_claims.satisfied("") and self._own_volumes.satisfied("")):
            return CAUGHT_UP
        found: Any
        if work.is_claim:
            found = self._claims.get(*work.key)
            step = for_claim(found, self._around(found)) if found is not None else Step()
        else:
            found = self._volumes.get("", work.key.name)
            step = for_volume(found, self._claim_of(found)) if found is not None else Step()
        if step.told is not None:
            self._recorder.event(found, *step.told)
        await self._take(step)
        # A step of its own comes back as an event; a reminder has to be asked for.
        waiting = step.told is not None and step.write is None and step.status is None
        return After(REMIND) if waiting else DONE

    async def _take(self, step: Step) -> None:
        written = None
        if step.write is not None:
            written = await self._client.update(step.write)
        elif step.status is not None:
            written = await self._client.update_status(step.status)
        if isinstance(written, PersistentVolumeClaim):
            self._own_claims.wrote("", written)
        elif written is not None:
            self._own_volumes.wrote("", written)

    def _around(self, claim: PersistentVolumeClaim) -> Around:
        key = f"{claim.metadata.namespace}/{claim.metadata.name}"
        return Around(
            self._volumes.list(),
            lambda name: self._classes.get("", name),
            lambda name: self._volumes.get("", name),
            self._pods.by_index(BY_CLAIM, key),
        )

    def _claim_of(self, volume: PersistentVolume) -> PersistentVolumeClaim | None:
        reference = volume.spec.claimRef
        if reference is None:
            return None
        return self._claims.get(reference.namespace or "", reference.name or "")

    # --- from events to work ------------------------------------------------------------------

    def _claim_changed(self, claim: PersistentVolumeClaim) -> None:
        meta = claim.metadata
        self._add_claim(meta.namespace or "", meta.name or "")
        if claim.spec.volumeName:
            self._loop.add(Work(False, Key("", claim.spec.volumeName)))
        for volume in self._volumes.by_index(BY_CLAIM, meta.uid or ""):
            self._loop.add(Work(False, Key("", volume.metadata.name or "")))

    def _volume_changed(self, volume: PersistentVolume) -> None:
        self._loop.add(Work(False, Key("", volume.metadata.name or "")))
        reference = volume.spec.claimRef
        if reference is not None:
            self._add_claim(reference.namespace or "", reference.name or "")
            return
        for claim in self._claims.list():
            if claim.spec.volumeName in (None, "", volume.metadata.name):
                self._add_claim(claim.metadata.namespace or "", claim.metadata.name or "")

    def _class_changed(self, storage_class: StorageClass) -> None:
        for claim in self._claims.list():
            if not claim.spec.volumeName and class_of(claim) == storage_class.metadata.name:
                self._add_claim(claim.metadata.namespace or "", claim.metadata.name or "")

    def _pod_seen(self, pod: Pod) -> None:
        for key in _claims_of(pod):
            namespace, _, name = key.partition("/")
            claim = self._claims.get(namespace, name)
            if claim is not None and not claim.spec.volumeName:
                self._add_claim(namespace, name)

    def _add_claim(self, namespace: str, name: str) -> None:
        self._loop.add(Work(True, Key(namespace, name)))


def _claim_uid(volume: PersistentVolume) -> list[str]:
    reference = volume.spec.claimRef
    return [reference.uid] if reference is not None and reference.uid else []


def _claims_of(pod: Pod) -> list[str]:
    found = []
    for volume in pod.spec.volumes or ():
        if volume.persistentVolumeClaim is not None:
            found.append(f"{pod.metadata.namespace}/{volume.persistentVolumeClaim.claimName}")
        elif volume.ephemeral is not None:
            found.append(f"{pod.metadata.namespace}/{pod.metadata.name}-{volume.name}")
    return found
