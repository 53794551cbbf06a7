"""The controller that cleans up after Jobs.

In:   Jobs.
Out:  those that finished long enough ago, by their own words, are deleted with their pods.
By:   controllers.all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api.batch.v1 import Job
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.reconcile import DONE, After, Key, Outcome, key_of
from kybern.controllers.ttlafterfinished.plan import due

if TYPE_CHECKING:
    from kybern.controllers.runtime.host import Context


class TtlAfterFinishedController:
    """Deletes Jobs in time."""

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        self._clock = ctx.clock
        self._jobs = ctx.informers.of(Job)
        self._loop: Loop[Key] = Loop(
            "ttlafterfinished", self.reconcile, after=(self._jobs,), workers=ctx.config.workers
        )
        self._jobs.on(add=self._seen, update=lambda _, job: self._seen(job))

    async def run(self) -> None:
        """Work for ever."""
        await self._loop.run()

    def statistics(self) -> dict[str, int]:
        """Return the loop's counters."""
        return self._loop.statistics()

    async def reconcile(self, key: Key) -> Outcome:
        """Delete one Job, or come back when it is due.

        The copy here may be behind: before something is deleted for good, the server is asked.
        """
        job = self._jobs.get(*key)
        left = self._left(job)
        if left is not None and left <= 0:
            job = await self._client.get(Job, key.name, key.namespace)
            left = self._left(job)
        if job is None or left is None:
            return DONE
        if left > 0:
            return After(left)
        await self._client.delete(
            Job, key.name, key.namespace, uid=job.metadata.uid, propagation="Foreground"
        )
        return DONE

    def _left(self, job: Job | None) -> float | None:
        moment = None if job is None else due(job)
        return None if moment is None else moment - self._clock.now()

    def _seen(self, job: Job) -> None:
        if due(job) is not None:
            self._loop.add(key_of(job))
