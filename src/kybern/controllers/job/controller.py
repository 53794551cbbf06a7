"""The Job controller: carries plans out.

In:   Jobs and pods.
Out:  pods created, deleted, adopted, released, freed of finalizers; Job status; events.
By:   controllers.all.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from kybern.api import codec, errors, selectors
from kybern.api.batch.v1 import Job, JobStatus
from kybern.api.core.v1 import Pod
from kybern.client.metadata import Partial
from kybern.controllers.job.plan import Plan, changed, plan
from kybern.controllers.job.pods import TRACKING, is_tracked
from kybern.controllers.runtime.batches import FAILURES, namespace_is_terminating, slow_start
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.dependents import Dependents
from kybern.controllers.runtime.expectations import Expectations
from kybern.controllers.runtime.ownership import INDEXERS, candidates, claim, controller_of
from kybern.controllers.runtime.reconcile import DONE, After, Key, Outcome, key_of

if TYPE_CHECKING:
    from kybern.controllers.runtime.host import Context

CAUGHT_UP = After(10.0)  # how long to wait for the caches before looking again regardless
MANY = 100  # what may be let go of at a time
MANAGER = "kubernetes.io/job-controller"


class JobController:
    """Keeps the pods of Jobs."""

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        self._clock = ctx.clock
        self._recorder = ctx.recorder
        self._jobs = ctx.informers.of(Job)
        self._pods = ctx.informers.of(Pod, indexers=INDEXERS)
        self._expected_pods: Expectations[Key] = Expectations(self._pods)
        self._expected_status: Expectations[Key] = Expectations(self._jobs)
        self._loop: Loop[Key] = Loop(
            "job", self.reconcile, after=(self._jobs, self._pods), workers=ctx.config.workers
        )
        self._orphans: Loop[Key] = Loop(
            "job orphans", self._free_orphan, after=(self._jobs, self._pods), workers=1
        )
        self._jobs.on_change(lambda job: self._loop.add(key_of(job)))
        self._jobs.on(delete=self._job_gone)
        Dependents(self._jobs, self._loop.add, _selector).follow(self._pods)
        self._pods.on(add=self._pod_seen, update=lambda _, pod: self._pod_seen(pod))

    async def run(self) -> None:
        """Work for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._loop.run())
            group.create_task(self._orphans.run())

    def statistics(self) -> dict[str, int]:
        """Return the loop's counters."""
        return self._loop.statistics()

    async def reconcile(self, key: Key) -> Outcome:
        """Count what has ended, bring the number of pods closer to what is wanted."""
        job = self._jobs.get(*key)
        if job is None:
            self._expected_pods.forget(key)
            self._expected_status.forget(key)
            return DONE
        if job.spec.managedBy not in (None, "", MANAGER):
            return DONE
        if not self._expected_status.satisfied(key) or not self._expected_pods.satisfied(key):
            return CAUGHT_UP
        pods, written = await claim(
            self._client, job, _selector(job), self._pods, finalizer=TRACKING
        )
        for pod in written:
            self._expected_pods.wrote(key, pod)
        steps = plan(job, pods, self._clock.now())
        failure = await self._act(key, job, steps)
        await self._report(key, job, steps.status)
        for news in steps.news:
            self._recorder.event(job, *news)
        # Only what stands in the status may be forgotten.
        free = partial(self._free, key)
        failure = await slow_start(steps.release, free, first=MANY) or failure
        if failure is not None:
            raise failure
        if not (steps.create or steps.delete or steps.drop or steps.release):
            self._loop.looked(key, len(pods))
        return After(steps.check_after) if steps.check_after is not None else DONE

    # --- acting ------------------------------------------------------------------------------

    async def _act(self, key: Key, job: Job, steps: Plan) -> Exception | None:
        drop, delete = partial(self._drop, key, job), partial(self._delete, key, job)
        return (
            await slow_start(steps.drop, drop, first=MANY)
            or await slow_start(steps.delete, delete, first=MANY)
            or await slow_start(steps.create, partial(self._create, key, job))
        )

    async def _drop(self, key: Key, job: Job, pod: Pod) -> None:
        await self._free(key, pod)
        await self._delete(key, job, pod)

    async def _create(self, key: Key, job: Job, pod: Pod) -> None:
        try:
            created = await self._client.create(pod, into=Partial)
        except FAILURES as error:
            if not namespace_is_terminating(error):
                self._recorder.event(job, "Warning", "FailedCreate", f"Error creating: {error}")
            raise
        self._expected_pods.wrote(key, created)
        told = f"Created pod: {created.metadata.name}"
        self._recorder.event(job, "Normal", "SuccessfulCreate", told)

    async def _delete(self, key: Key, job: Job, pod: Pod) -> None:
        name, namespace = pod.metadata.name or "", pod.metadata.namespace or ""
        try:
            await self._client.delete(Pod, name, namespace, uid=pod.metadata.uid)
        except (errors.NotFound, errors.Conflict):
            pass  # gone before we came, or another pod by now
        except FAILURES as error:
            self._recorder.event(job, "Warning", "FailedDelete", f"Error deleting: {error}")
            raise
        else:
            self._recorder.event(job, "Normal", "SuccessfulDelete", f"Deleted pod: {name}")
        self._expected_pods.deleted(key, pod)

    async def _free(self, key: Key | None, pod: Pod) -> None:
        """Let go of a pod that is counted."""
        metadata = pod.metadata
        patch: dict[str, Any] = {
            "metadata": {
                "uid": metadata.uid,
                "$deleteFromPrimitiveList/finalizers": [TRACKING],
            }
        }
        name, namespace = metadata.name or "", metadata.namespace or ""
        try:
            freed = await self._client.patch(Pod, name, namespace, patch, type="strategic")
        except (errors.NotFound, errors.Conflict):
            return
        if key is not None:
            self._expected_pods.wrote(key, freed)

    async def _report(self, key: Key, job: Job, status: JobStatus) -> None:
        if changed(job, status):
            mine = codec.clone(job)
            mine.status = status
            self._expected_status.wrote(key, await self._client.update_status(mine, into=Partial))

    # --- pods whose job is gone --------------------------------------------------------------

    async def _free_orphan(self, key: Key) -> Outcome:
        pod = self._pods.get(*key)
        if pod is not None and is_tracked(pod) and not self._has_job(pod):
            await self._free(None, pod)
        return DONE

    def _has_job(self, pod: Pod) -> bool:
        """Whether a pod is somebody's, or will be."""
        reference, namespace = controller_of(pod), pod.metadata.namespace or ""
        if reference is None:
            return any(
                _selector(job).matches(pod.metadata.labels)
                for job in self._jobs.list(namespace)
                if job.metadata.deletionTimestamp is None
            )
        if reference.kind != "Job":
            return True
        job = self._jobs.get(namespace, reference.name)
        return job is not None and job.metadata.uid == reference.uid

    def _pod_seen(self, pod: Pod) -> None:
        if is_tracked(pod) and not self._has_job(pod):
            self._orphans.add(key_of(pod))

    def _job_gone(self, job: Job) -> None:
        """Its pods are freed, also those that were made orphans and it might have adopted again."""
        for pod in candidates(self._pods, job):
            if is_tracked(pod):
                self._orphans.add(key_of(pod))


def _selector(job: Job) -> selectors.Selector:
    return selectors.from_struct(job.spec.selector) if job.spec.selector else selectors.NOTHING
