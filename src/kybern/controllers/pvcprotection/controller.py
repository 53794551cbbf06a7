"""The controller which protects claims in use.

In:   PersistentVolumeClaims, Pods.
Out:  the claims' finalizer, put on, and taken off when no pod needs the claim any more.
By:   controllers.all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import codec
from kybern.api.core.v1 import PersistentVolumeClaim, Pod
from kybern.controllers.pvcprotection.plan import claims_of, finalizers
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.reconcile import DONE, Key, Outcome, key_of

if TYPE_CHECKING:
    from kybern.controllers.runtime.host import Context

BY_CLAIM = "claim"


class PvcProtectionController:
    """Keeps claims for as long as pods use them."""

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        self._claims = ctx.informers.of(PersistentVolumeClaim)
        self._pods = ctx.informers.of(Pod, indexers={BY_CLAIM: _claims_of})
        self._loop: Loop[Key] = Loop(
            "pvc-protection", self.reconcile, after=(self._claims, self._pods)
        )
        self._claims.on(
            add=lambda claim: self._loop.add(key_of(claim)),
            update=lambda _, claim: self._loop.add(key_of(claim)),
        )
        self._pods.on(delete=self._gone)

    async def run(self) -> None:
        """Work for ever."""
        await self._loop.run()

    def statistics(self) -> dict[str, int]:
        """Return the loop's counters."""
        return self._loop.statistics()

    async def reconcile(self, key: Key) -> Outcome:
        """Put the finalizer on one claim, or take it off."""
        claim = self._claims.get(*key)
        if claim is None:
            return DONE
        users = self._pods.by_index(BY_CLAIM, f"{key.namespace}/{key.name}")
        wanted = finalizers(claim, users)
        if wanted != (claim.metadata.finalizers or []):
            mine = codec.clone(claim)
            mine.metadata.finalizers = wanted or None
            await self._client.update(mine)
        return DONE

    def _gone(self, pod: Pod) -> None:
        for name in claims_of(pod):
            self._loop.add(Key(pod.metadata.namespace or "", name))


def _claims_of(pod: Pod) -> list[str]:
    return [f"{pod.metadata.namespace}/{name}" for name in claims_of(pod)]
