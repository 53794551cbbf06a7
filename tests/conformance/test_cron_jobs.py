"""CronJobs, on nodes whose kubelets are played."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from tests.conformance.marks import conforms
from tests.conformance.wire import MERGE, Tree
from tests.conformance.world import World, world

SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"


def cron_job(policy: str, image: str = "stays", **spec: Any) -> Tree:
    pod = {"containers": [{"name": "c", "image": image}], "restartPolicy": "OnFailure"}
    template = {"spec": {"template": {"spec": pod}}}
    spec = {"schedule": "*/1 * * * ?", "concurrencyPolicy": policy, "jobTemplate": template, **spec}
    return {"metadata": {"name": "it"}, "spec": spec}


class Crons:
    """The handles a test needs, in a namespace of its own."""

    def __init__(self, w: World, namespace: str) -> None:
        self.w = w
        self.crons = w.resource("batch/v1", "cronjobs", namespace)
        self.jobs = w.resource("batch/v1", "jobs", namespace)

    async def active(self, count: int) -> list[Tree]:
        """Wait until so many jobs are active; return the references to them."""

        async def look() -> list[Tree] | None:
            found: list[Tree] = (await self.crons.get("it"))["status"].get("active", [])
            return found if len(found) >= count else None

        found: list[Tree] = await self.w.wait(look, 300, interval=1)
        return found


async def crons(w: World, tree: Tree) -> Crons:
    found = Crons(w, await w.namespace())
    await found.crons.create(tree)
    return found


@conforms("[sig-apps] CronJob should schedule multiple jobs concurrently [Conformance]")
@world(nodes=2, scheduler=True)
async def test_jobs_side_by_side(w: World) -> None:
    c = await crons(w, cron_job("Allow"))
    names = {one["name"] for one in await c.active(2)}
    assert set(await c.jobs.names()) == names
    (job, *_) = await c.jobs.items()
    assert job["metadata"]["ownerReferences"][0]["kind"] == "CronJob"
    assert "batch.kubernetes.io/cronjob-scheduled-timestamp" in job["metadata"]["annotations"]


@conforms("[sig-apps] CronJob should not schedule jobs when suspended [Slow] [Conformance]")
@world(nodes=2, scheduler=True)
async def test_a_suspended_one_does_nothing(w: World) -> None:
    c = await crons(w, cron_job("Allow", suspend=True))
    await w.settle(300)
    assert await c.jobs.names() == []
    await c.crons.patch("it", {"spec": {"suspend": False}}, MERGE)
    await c.active(1)


@conforms(
    "[sig-apps] CronJob should not schedule new jobs when ForbidConcurrent [Slow] [Conformance]"
)
@world(nodes=2, scheduler=True)
async def test_one_at_a_time(w: World) -> None:
    c = await crons(w, cron_job("Forbid"))
    (first,) = await c.active(1)
    await w.settle(300)
    assert await c.jobs.names() == [first["name"]]
    assert [one["name"] for one in await c.active(1)] == [first["name"]]


@conforms("[sig-apps] CronJob should replace jobs when ReplaceConcurrent [Conformance]")
@world(nodes=2, scheduler=True)
async def test_the_next_replaces_the_last(w: World) -> None:
    c = await crons(w, cron_job("Replace"))
    (first,) = await c.active(1)
    await w.settle(60)
    await w.wait(lambda: c.jobs.missing(first["name"]), 120)
    (second,) = await c.active(1)
    assert await c.jobs.names() == [second["name"]]


@world(nodes=2, scheduler=True)
async def test_history_is_short(w: World) -> None:
    c = await crons(w, cron_job("Allow", "exit:0", successfulJobsHistoryLimit=2))
    await w.settle(600)
    assert len(await c.jobs.names()) <= 3
    found = (await c.crons.get("it"))["status"]
    assert found["lastSuccessfulTime"] >= found["lastScheduleTime"]


@pytest.mark.parametrize(
    ("begin", "hourly", "daily"),
    [
        (
            "2026-03-29T00:10:00+01:00",
            "00:30+01 01:30+01 03:30+02 04:30+02 05:30+02", "",
        ),
        (
            "2026-10-25T00:10:00+02:00",
            "00:30+02 01:30+02 02:30+02 02:30+01 03:30+01", "02:30+02 02:30+01",
        ),
    ],
)  # fmt: skip
def test_clocks_are_put_forward_and_back(begin: str, hourly: str, daily: str) -> None:
    """What the clock skips does not run, what it shows twice does; each Job once, and to its end."""

    @world(nodes=1, scheduler=True, start=_moment(begin))
    async def story(w: World) -> None:
        zone = {"timeZone": "Europe/Berlin", "successfulJobsHistoryLimit": 99}
        c = await crons(w, cron_job("Forbid", "exit:0", schedule="30 * * * *", **zone))
        other = cron_job("Forbid", "exit:0", schedule="30 2 * * *", **zone)
        await c.crons.create({**other, "metadata": {"name": "daily"}})
        await w.settle(4.75 * 3600)
        jobs = await c.jobs.items()
        assert all(job["status"]["succeeded"] == 1 for job in jobs)
        for name, expected in (("it", hourly), ("daily", daily)):
            mine = [j for j in jobs if j["metadata"]["ownerReferences"][0]["name"] == name]
            runs = sorted((j["metadata"]["annotations"][SCHEDULED] for j in mine), key=_moment)
            assert [f"{run[11:16]}{run[19:22]}" for run in runs] == expected.split()

    story()


def _moment(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()
