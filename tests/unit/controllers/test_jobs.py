"""Jobs against the real API server."""

from __future__ import annotations

from tests.unit.controllers.cluster import cluster

from kybern.api.batch.v1 import Job, JobSpec
from kybern.api.core.v1 import Container, Pod, PodSpec, PodTemplateSpec
from kybern.api.meta.v1 import ObjectMeta
from kybern.controllers.job.pods import TRACKING
from kybern.lib.clock import run_virtual

ALL = ("job", "garbagecollector")


def job(completions=4, **spec):
    pod = PodSpec(containers=[Container(name="c", image="i")], restartPolicy="Never")
    return Job(
        metadata=ObjectMeta(name="it", namespace="default"),
        spec=JobSpec(
            completions=completions, parallelism=2, template=PodTemplateSpec(spec=pod), **spec
        ),
    )


async def end(it, pod, phase="Succeeded"):
    await it.client.patch(
        Pod, pod.metadata.name, "default", {"status": {"phase": phase}}, subresource="status"
    )


async def running(it):
    return [pod for pod in await it.pods() if pod.status.phase == "Running"]


async def status(it):
    return (await it.client.get(Job, "it", "default")).status


def test_work_goes_on_after_a_restart_and_nothing_is_written_for_nothing():
    async def main():
        async with cluster(*ALL) as it:
            await it.client.create(job())
            await it.settle()
            for pod in await running(it):
                await end(it, pod)
            await it.settle(0.2)
            await it.restart_controllers()
            await it.settle()
            found = await status(it)
            assert (found.succeeded, found.active) == (2, 2)
            for pod in await running(it):
                await end(it, pod)
            await it.settle()
            found = await status(it)
            assert found.succeeded == 4
            assert found.completionTime is not None
            assert not any(pod.metadata.finalizers for pod in await it.pods())
            assert ("Completed", "Job completed") in await it.events()
            await it.quiet()

    run_virtual(main())


def test_pods_that_outlive_their_job_are_let_go():
    async def main():
        async with cluster(*ALL) as it:
            await it.client.create(job())
            await it.settle()
            assert all(TRACKING in pod.metadata.finalizers for pod in await it.pods())
            await it.client.delete(Job, "it", "default", propagation="Orphan")
            await it.settle(60)
            pods = await it.pods()
            assert len(pods) == 2
            assert not any(pod.metadata.finalizers or pod.metadata.ownerReferences for pod in pods)

    run_virtual(main())


def test_somebody_elses_jobs_are_left_alone():
    async def main():
        async with cluster(*ALL) as it:
            await it.client.create(job(managedBy="example.com/queue"))
            await it.settle()
            assert await it.pods() == []
            assert (await status(it)).startTime is None

    run_virtual(main())
