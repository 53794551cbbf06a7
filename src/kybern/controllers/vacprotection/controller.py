"""The controller which protects classes of attributes in use.

In:   VolumeAttributesClasses, claims and volumes.
Out:  the classes' finalizer, put on, and taken off when nobody uses a class any more.
By:   controllers.all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import codec
from kybern.api.core.v1 import PersistentVolume, PersistentVolumeClaim
from kybern.api.storage.v1 import VolumeAttributesClass
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.reconcile import DONE, Key, Outcome, key_of
from kybern.controllers.vacprotection.plan import finalizers, named_by_claim, named_by_volume

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.controllers.runtime.host import Context

BY_ATTRIBUTES = "volume attributes class"


class VacProtectionController:
    """Keeps classes for as long as volumes have, or are to get, them."""

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        of = ctx.informers.of
        self._classes = of(VolumeAttributesClass)
        self._claims = of(PersistentVolumeClaim, indexers={BY_ATTRIBUTES: named_by_claim})
        self._volumes = of(PersistentVolume, indexers={BY_ATTRIBUTES: named_by_volume})
        self._loop: Loop[Key] = Loop(
            "vac-protection", self.reconcile, after=(self._classes, self._claims, self._volumes)
        )
        self._classes.on_change(lambda found: self._loop.add(key_of(found)))
        self._claims.on(
            update=lambda old, _: self._left(named_by_claim(old)),
            delete=lambda claim: self._left(named_by_claim(claim)),
        )
        self._volumes.on(
            update=lambda old, _: self._left(named_by_volume(old)),
            delete=lambda volume: self._left(named_by_volume(volume)),
        )

    async def run(self) -> None:
        """Work for ever."""
        await self._loop.run()

    def statistics(self) -> dict[str, int]:
        """Return the loop's counters."""
        return self._loop.statistics()

    async def reconcile(self, key: Key) -> Outcome:
        """Put the finalizer on one class, or take it off."""
        found = self._classes.get(*key)
        if found is None:
            return DONE
        used = bool(
            self._claims.by_index(BY_ATTRIBUTES, key.name)
            or self._volumes.by_index(BY_ATTRIBUTES, key.name)
        )
        wanted = finalizers(found, used=used)
        if wanted != (found.metadata.finalizers or []):
            mine = codec.clone(found)
            mine.metadata.finalizers = wanted or None
            await self._client.update(mine)
        return DONE

    def _left(self, names: Iterable[str]) -> None:
        for name in names:
            self._loop.add(Key("", name))
