"""The controller which protects volumes in use.

In:   PersistentVolumes.
Out:  their finalizer, put on, and taken off when no claim is bound to the volume any more.
By:   controllers.all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import codec
from kybern.api.core.v1 import PersistentVolume
from kybern.controllers.pvprotection.plan import finalizers
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.reconcile import DONE, Key, Outcome, key_of

if TYPE_CHECKING:
    from kybern.controllers.runtime.host import Context


class PvProtectionController:
    """Keeps volumes for as long as claims are bound to them."""

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        self._volumes = ctx.informers.of(PersistentVolume)
        self._loop: Loop[Key] = Loop("pv-protection", self.reconcile, after=(self._volumes,))
        self._volumes.on(
            add=lambda volume: self._loop.add(key_of(volume)),
            update=lambda _, volume: self._loop.add(key_of(volume)),
        )

    async def run(self) -> None:
        """Work for ever."""
        await self._loop.run()

    def statistics(self) -> dict[str, int]:
        """Return the loop's counters."""
        return self._loop.statistics()

    async def reconcile(self, key: Key) -> Outcome:
        """Put the finalizer on one volume, or take it off."""
        volume = self._volumes.get(*key)
        if volume is None:
            return DONE
        wanted = finalizers(volume)
        if wanted != (volume.metadata.finalizers or []):
            mine = codec.clone(volume)
            mine.metadata.finalizers = wanted or None
            await self._client.update(mine)
        return DONE
