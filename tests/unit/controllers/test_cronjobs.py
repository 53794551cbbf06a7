"""CronJobs against the real API server, over days of virtual time."""

from __future__ import annotations

from datetime import datetime

import pytest
from tests.unit.controllers.cluster import cluster

from kybern.api.batch.v1 import CronJob, CronJobSpec, Job, JobSpec, JobTemplateSpec
from kybern.api.core.v1 import Container, PodSpec, PodTemplateSpec
from kybern.api.meta.v1 import ObjectMeta
from kybern.lib.clock import run_virtual

SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"
HOUR = 3600


def cron_job(schedule, **spec):
    pod = PodSpec(containers=[Container(name="c", image="i")], restartPolicy="Never")
    job = JobSpec(template=PodTemplateSpec(spec=pod))
    return CronJob(
        metadata=ObjectMeta(name="tidy", namespace="default"),
        spec=CronJobSpec(schedule=schedule, jobTemplate=JobTemplateSpec(spec=job), **spec),
    )


async def runs(it):
    jobs = (await it.client.list(Job, "default"))[0]
    return sorted(job.metadata.annotations[SCHEDULED] for job in jobs)


@pytest.mark.parametrize(
    ("begin", "expected"),
    [
        ("2026-03-28T00:00:00+01:00", ["28T02:30:00+01:00", "30T02:30:00+02:00"]),
        ("2026-10-24T12:00:00+02:00", [
            "25T02:30:00+02:00", "25T02:30:00+01:00", "26T02:30:00+01:00",
        ]),
    ],
)  # fmt: skip
def test_daylight_saving(begin, expected):
    async def main():
        async with cluster("cronjob", nodes=False) as it:
            it.clock.start = datetime.fromisoformat(begin).timestamp()
            await it.client.create(cron_job("30 2 * * *", timeZone="Europe/Berlin"))
            await it.settle(60 * HOUR)
            assert sorted(run[8:] for run in await runs(it)) == sorted(expected)

    run_virtual(main())


def test_what_was_missed_is_made_up_for_once():
    async def main():
        async with cluster("cronjob", nodes=False) as it:
            await it.client.create(cron_job("0 * * * *"))
            await it.settle(1.5 * HOUR)
            assert len(await runs(it)) == 1
            await it.stop_controllers()
            await it.settle(5 * HOUR)
            await it.restart_controllers()
            await it.settle(60)
            assert [run[11:16] for run in await runs(it)] == ["01:00", "06:00"]

    run_virtual(main())
