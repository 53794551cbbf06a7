"""The snapshot controller.

In:   VolumeSnapshots, their contents and classes; claims and volumes.
Out:  contents for drivers to work on; snapshots that say how far that is; events.
By:   controllers.all.

It has nothing to do with drivers: `csisnapshotter`, or a driver's own csi-snapshotter, asks those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from kybern.api import errors
from kybern.api.core.v1 import PersistentVolume, PersistentVolumeClaim
from kybern.api.snapshot import words
from kybern.api.snapshot.v1 import VolumeSnapshot, VolumeSnapshotClass, VolumeSnapshotContent
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.reconcile import DONE, Key, Outcome, key_of
from kybern.controllers.volumesnapshot.plan import (
    Around,
    Step,
    for_claim,
    for_content,
    for_snapshot,
    is_lost,
)

if TYPE_CHECKING:
    from kybern.controllers.runtime.host import Context

BY_CLAIM = "claim"
BY_CONTENT = "content"
BY_SNAPSHOT = "snapshot"
GROUP = "snapshot.storage.k8s.io"


class Work(NamedTuple):
    """A snapshot, a content or a claim."""

    kind: type[Any]
    key: Key


class VolumeSnapshotController:
    """Binds snapshots and contents."""

    def __init__(self, ctx: Context) -> None:
        self._client, self._clock, self._recorder = ctx.client, ctx.clock, ctx.recorder
        of = ctx.informers.of
        self._snapshots = of(
            VolumeSnapshot, indexers={BY_CLAIM: _claim_of, BY_CONTENT: _content_of}
        )
        self._contents = of(VolumeSnapshotContent)
        self._classes = of(VolumeSnapshotClass)
        self._claims = of(PersistentVolumeClaim, indexers={BY_SNAPSHOT: _snapshot_of})
        self._volumes = of(PersistentVolume)
        informers: tuple[Any, ...] = (
            self._snapshots, self._contents, self._classes, self._claims, self._volumes,
        )  # fmt: skip
        self._loop: Loop[Work] = Loop("volume-snapshot", self.reconcile, after=informers)
        self._snapshots.on_change(self._snapshot_changed)
        self._contents.on_change(self._content_changed)
        self._claims.on_change(self._claim_changed)
        self._classes.on(add=self._class_added)

    async def run(self) -> None:
        """Work for ever."""
        await self._loop.run()

    def statistics(self) -> dict[str, int]:
        """Return the loop's counters."""
        return self._loop.statistics()

    async def reconcile(self, work: Work) -> Outcome:
        """Take the next step for an object."""
        if work.kind is VolumeSnapshot:
            snapshot = self._snapshots.get(*work.key)
            if snapshot is not None:
                await self._take(snapshot, for_snapshot(snapshot, self._around(snapshot)))
        elif work.kind is VolumeSnapshotContent:
            content = self._contents.get("", work.key.name)
            if content is not None:
                reference = content.spec.volumeSnapshotRef
                its = self._snapshots.get(reference.namespace or "", reference.name or "")
                if is_lost(content, its):
                    its = await self._asked(reference.namespace or "", reference.name or "")
                await self._take(content, for_content(content, its))
        else:
            claim = self._claims.get(*work.key)
            if claim is not None:
                of_it = self._snapshots.by_index(BY_CLAIM, str(work.key))
                await self._take(claim, for_claim(claim, of_it))
        return DONE

    async def _take(self, about: Any, step: Step) -> None:
        if step.write is not None:
            await self._client.update(step.write)
        elif step.status is not None:
            await self._client.update_status(step.status)
        elif step.create is not None:
            await self._client.create(step.create)
        elif step.delete is not None:
            meta = step.delete.metadata
            await self._client.delete(type(step.delete), meta.name, uid=meta.uid)
        for told in step.told:
            self._recorder.event(about, *told)

    async def _asked(self, namespace: str, name: str) -> VolumeSnapshot | None:
        """Ask the API server itself: the cache may be behind, and data is at stake."""
        try:
            return await self._client.get(VolumeSnapshot, name, namespace)
        except errors.NotFound:
            return None

    def _around(self, snapshot: VolumeSnapshot) -> Around:
        namespace = snapshot.metadata.namespace or ""
        claim = self._claims.get(namespace, snapshot.spec.source.persistentVolumeClaimName or "")
        volume = self._volumes.get("", (claim.spec.volumeName or "") if claim else "")
        waiting = self._claims.by_index(BY_SNAPSHOT, str(key_of(snapshot)))
        return Around(
            self._contents.get("", words.content_name(snapshot)),
            claim,
            volume,
            self._classes.list(),
            any(not each.spec.volumeName for each in waiting),
            self._clock.now(),
        )

    # --- from events to work ------------------------------------------------------------------

    def _add(self, kind: type[Any], namespace: str | None, name: str | None) -> None:
        self._loop.add(Work(kind, Key(namespace or "", name or "")))

    def _snapshot_changed(self, snapshot: VolumeSnapshot) -> None:
        meta, source = snapshot.metadata, snapshot.spec.source
        self._add(VolumeSnapshot, meta.namespace, meta.name)
        self._add(VolumeSnapshotContent, "", words.content_name(snapshot))
        if source.persistentVolumeClaimName:
            self._add(PersistentVolumeClaim, meta.namespace, source.persistentVolumeClaimName)

    def _content_changed(self, content: VolumeSnapshotContent) -> None:
        self._add(VolumeSnapshotContent, "", content.metadata.name)
        reference = content.spec.volumeSnapshotRef
        self._add(VolumeSnapshot, reference.namespace, reference.name)
        for snapshot in self._snapshots.by_index(BY_CONTENT, content.metadata.name or ""):
            self._add(VolumeSnapshot, snapshot.metadata.namespace, snapshot.metadata.name)

    def _claim_changed(self, claim: PersistentVolumeClaim) -> None:
        meta = claim.metadata
        self._add(PersistentVolumeClaim, meta.namespace, meta.name)
        for snapshot in self._snapshots.by_index(BY_CLAIM, f"{meta.namespace}/{meta.name}"):
            self._add(VolumeSnapshot, meta.namespace, snapshot.metadata.name)
        for key in _snapshot_of(claim):
            self._add(VolumeSnapshot, *key.split("/", 1))

    def _class_added(self, found: VolumeSnapshotClass) -> None:
        del found
        for snapshot in self._snapshots.list():
            if not snapshot.status.boundVolumeSnapshotContentName:
                self._add(VolumeSnapshot, snapshot.metadata.namespace, snapshot.metadata.name)


def _claim_of(snapshot: VolumeSnapshot) -> list[str]:
    name = snapshot.spec.source.persistentVolumeClaimName
    return [f"{snapshot.metadata.namespace}/{name}"] if name else []


def _content_of(snapshot: VolumeSnapshot) -> list[str]:
    return [words.content_name(snapshot)]


def _snapshot_of(claim: PersistentVolumeClaim) -> list[str]:
    source = claim.spec.dataSourceRef or claim.spec.dataSource
    if source is None or (source.apiGroup, source.kind) != (GROUP, "VolumeSnapshot"):
        return []
    return [f"{claim.metadata.namespace}/{source.name}"]
