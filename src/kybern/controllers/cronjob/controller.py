"""The CronJob controller: carries plans out.

In:   CronJobs and Jobs.
Out:  Jobs created and deleted; CronJob status; events.
By:   controllers.all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import codec, errors, selectors
from kybern.api.batch.v1 import CronJob, CronJobStatus, Job
from kybern.client.events import reference
from kybern.controllers.cronjob.plan import Plan, plan
from kybern.controllers.runtime.batches import namespace_is_terminating
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.dependents import Dependents
from kybern.controllers.runtime.expectations import Expectations
from kybern.controllers.runtime.ownership import BY_CONTROLLER, INDEXERS, is_controlled_by
from kybern.controllers.runtime.reconcile import DONE, After, Key, Outcome, key_of
from kybern.lib.clock import rfc3339

if TYPE_CHECKING:
    from kybern.controllers.runtime.host import Context

CAUGHT_UP = After(10.0)  # how long to wait for the caches before looking again regardless


class CronJobController:
    """Makes the Jobs of CronJobs."""

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        self._clock = ctx.clock
        self._recorder = ctx.recorder
        self._crons = ctx.informers.of(CronJob)
        self._jobs = ctx.informers.of(Job, indexers=INDEXERS)
        self._expected_jobs: Expectations[Key] = Expectations(self._jobs)
        self._expected_status: Expectations[Key] = Expectations(self._crons)
        self._loop: Loop[Key] = Loop(
            "cronjob", self.reconcile, after=(self._crons, self._jobs), workers=ctx.config.workers
        )
        self._crons.on_change(lambda cron: self._loop.add(key_of(cron)))
        # Nobody adopts Jobs: they belong to whoever made them.
        owned: Dependents[CronJob] = Dependents(
            self._crons, self._loop.add, lambda _: selectors.NOTHING
        )
        owned.follow(self._jobs)

    async def run(self) -> None:
        """Work for ever."""
        await self._loop.run()

    def statistics(self) -> dict[str, int]:
        """Return the loop's counters."""
        return self._loop.statistics()

    async def reconcile(self, key: Key) -> Outcome:
        """Start what is due, and look again when the schedule comes round."""
        cron = self._crons.get(*key)
        if cron is None:
            self._expected_jobs.forget(key)
            self._expected_status.forget(key)
            return DONE
        if not self._expected_jobs.satisfied(key) or not self._expected_status.satisfied(key):
            return CAUGHT_UP
        jobs = self._jobs.by_index(BY_CONTROLLER, cron.metadata.uid or "")
        jobs = [job for job in jobs if job.metadata.deletionTimestamp is None]
        steps = plan(cron, jobs, self._clock.now())
        for news in steps.news:
            self._recorder.event(cron, *news)
        for job in steps.delete:
            await self._delete(key, cron, job)
        status = await self._create(key, cron, steps)
        await self._report(key, cron, status)
        return After(steps.check_after) if steps.check_after is not None else DONE

    async def _delete(self, key: Key, cron: CronJob, job: Job) -> None:
        name, namespace = job.metadata.name or "", job.metadata.namespace or ""
        try:
            await self._client.delete(
                Job, name, namespace, uid=job.metadata.uid, propagation="Background"
            )
        except errors.NotFound:
            return
        except errors.ApiError as error:
            self._recorder.event(cron, "Warning", "FailedDelete", f"Deleted job: {error}")
            raise
        self._expected_jobs.deleted(key, job)
        self._recorder.event(cron, "Normal", "SuccessfulDelete", f"Deleted job {name}")

    async def _create(self, key: Key, cron: CronJob, steps: Plan) -> CronJobStatus:
        """Create the Job that is due, if one is; return the status that says so."""
        status = steps.status
        if steps.create is None or steps.due is None:
            return status
        name, namespace = steps.create.metadata.name or "", cron.metadata.namespace or ""
        try:
            created = await self._client.create(steps.create)
        except errors.AlreadyExists:
            # Made a moment ago, before the status could be written; or somebody else's.
            created = await self._client.get(Job, name, namespace)
            if not is_controlled_by(created, cron):
                raise
        except errors.ApiError as error:
            if not namespace_is_terminating(error):
                self._recorder.event(
                    cron, "Warning", "FailedCreate", f"Error creating job: {error}"
                )
            raise
        else:
            self._recorder.event(cron, "Normal", "SuccessfulCreate", f"Created job {name}")
        self._expected_jobs.wrote(key, created)
        status.active = [*(status.active or ()), reference(created)]
        status.lastScheduleTime = rfc3339(steps.due)
        return status

    async def _report(self, key: Key, cron: CronJob, status: CronJobStatus) -> None:
        if codec.equal(cron.status, status):
            return
        mine = codec.clone(cron)
        mine.status = status
        self._expected_status.wrote(key, await self._client.update_status(mine))
