"""The ephemeral volume controller.

In:   pods with `ephemeral` volumes.
Out:  a claim for each, owned by its pod.
By:   controllers.all. Source: KEP-1698.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import errors
from kybern.api.core import pods as ask
from kybern.api.core.v1 import PersistentVolumeClaim, Pod
from kybern.controllers.ephemeralvolume.plan import conflict, missing
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.reconcile import DONE, Key, Outcome, Terminal, key_of

if TYPE_CHECKING:
    from kybern.controllers.runtime.host import Context


class EphemeralVolumeController:
    """Makes claims of pods."""

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        self._recorder = ctx.recorder
        self._pods = ctx.informers.of(Pod)
        self._claims = ctx.informers.of(PersistentVolumeClaim)
        self._loop: Loop[Key] = Loop(
            "ephemeral-volume", self.reconcile, after=(self._pods, self._claims)
        )
        self._pods.on(add=self._seen)
        self._claims.on(delete=self._claim_gone)

    async def run(self) -> None:
        """Work for ever."""
        await self._loop.run()

    def statistics(self) -> dict[str, int]:
        """Return the loop's counters."""
        return self._loop.statistics()

    async def reconcile(self, key: Key) -> Outcome:
        """Make the claims that a pod lacks.

        Raises:
            Terminal: somebody else's claim has the name of one.
        """
        pod = self._pods.get(*key)
        if pod is None or pod.metadata.deletionTimestamp is not None or ask.is_terminal(pod):
            return DONE
        for claim in missing(pod):
            found = self._claims.get(key.namespace, claim.metadata.name or "")
            if found is None:
                await self._create(pod, claim)
            elif problem := conflict(pod, found):
                raise Terminal(problem)
        return DONE

    async def _create(self, pod: Pod, claim: PersistentVolumeClaim) -> None:
        try:
            await self._client.create(claim)
        except errors.AlreadyExists:
            raise
        except errors.ApiError as error:
            text = f"ephemeral volume: create PVC {claim.metadata.name}: {error}"
            self._recorder.event(pod, "Warning", "FailedBinding", text)
            raise

    def _seen(self, pod: Pod) -> None:
        if any(volume.ephemeral is not None for volume in pod.spec.volumes or ()):
            self._loop.add(key_of(pod))

    def _claim_gone(self, claim: PersistentVolumeClaim) -> None:
        for owner in claim.metadata.ownerReferences or ():
            if owner.controller and owner.kind == "Pod":
                self._loop.add(Key(claim.metadata.namespace or "", owner.name))
