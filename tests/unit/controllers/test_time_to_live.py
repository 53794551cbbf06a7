"""What is deleted, and what is told, as time goes by; against the real API server."""

from __future__ import annotations

import pytest
from tests.unit.controllers.cluster import cluster

from kybern.api import errors
from kybern.api.batch.v1 import Job, JobSpec
from kybern.api.core.v1 import Container, Node, PodSpec, PodTemplateSpec
from kybern.api.meta.v1 import ObjectMeta
from kybern.lib.clock import rfc3339, run_virtual


def job(name, ttl):
    template = PodTemplateSpec(
        spec=PodSpec(restartPolicy="Never", containers=[Container(name="c", image="x")])
    )
    return Job(
        metadata=ObjectMeta(name=name, namespace="default"),
        spec=JobSpec(template=template, ttlSecondsAfterFinished=ttl),
    )


async def finish(it, name):
    at = rfc3339(it.clock.now())
    conditions = [
        {"type": type_, "status": "True", "lastTransitionTime": at}
        for type_ in ("SuccessCriteriaMet", "Complete")
    ]
    status = {"startTime": at, "completionTime": at, "succeeded": 1, "conditions": conditions}
    await it.client.patch(Job, name, "default", {"status": status}, subresource="status")


async def jobs(it):
    return sorted(job.metadata.name for job in (await it.client.list(Job, "default"))[0])


def test_finished_jobs_go_when_they_said():
    async def main():
        async with cluster("ttl-after-finished", "garbagecollector", nodes=False) as it:
            for name, ttl in (("soon", 60), ("later", 200), ("never", None), ("running", 0)):
                await it.client.create(job(name, ttl))
            for name in ("soon", "later", "never"):
                await finish(it, name)
            await it.settle(50)
            assert await jobs(it) == ["later", "never", "running", "soon"]
            await it.settle(30)
            assert await jobs(it) == ["later", "never", "running"]
            await it.client.patch(
                Job, "later", "default", {"spec": {"ttlSecondsAfterFinished": 600}}
            )
            await it.settle(200)  # changed in time
            assert await jobs(it) == ["later", "never", "running"]
            await it.settle(600)
            assert await jobs(it) == ["never", "running"]
            await it.quiet()

    run_virtual(main())


def test_nodes_are_told_how_long_to_keep_things():
    async def main():
        async with cluster("ttl", nodes=False) as it:
            for number in range(101):
                await it.client.create(Node(metadata=ObjectMeta(name=f"n{number}")))
            await it.settle(5)
            told = {
                node.metadata.annotations["node.alpha.kubernetes.io/ttl"]
                for node in (await it.client.list(Node))[0]
            }
            assert told <= {"0", "15"}
            await it.client.patch(Node, "n7", "", {"metadata": {"labels": {"a": "b"}}})
            await it.settle(5)
            node = await it.client.get(Node, "n7")
            assert node.metadata.annotations["node.alpha.kubernetes.io/ttl"] == "15"
            await it.client.delete(Node, "n7")
            await it.settle(5)
            with pytest.raises(errors.NotFound):
                await it.client.get(Node, "n7")
            it.detector.check()

    run_virtual(main())
