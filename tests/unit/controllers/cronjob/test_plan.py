"""What a CronJob does next."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from kybern.api.batch.v1 import (
    CronJob,
    CronJobSpec,
    CronJobStatus,
    Job,
    JobCondition,
    JobStatus,
    JobTemplateSpec,
)
from kybern.api.core.v1 import ObjectReference
from kybern.api.meta.v1 import ObjectMeta
from kybern.controllers.cronjob.plan import plan
from kybern.lib.clock import rfc3339


def at(text):
    return datetime.fromisoformat(f"2026-01-01T{text}").replace(tzinfo=UTC).timestamp()


def cron(schedule="0 * * * *", *, last=None, active=(), created="08:30:00", **spec):
    references = [ObjectReference(kind="Job", name=name, uid=name) for name in active]
    return CronJob(
        metadata=ObjectMeta(
            name="tidy", namespace="default", uid="cron", creationTimestamp=rfc3339(at(created))
        ),
        spec=CronJobSpec(
            schedule=schedule,
            jobTemplate=JobTemplateSpec(metadata=ObjectMeta(labels={"a": "b"})),
            **spec,
        ),
        status=CronJobStatus(
            lastScheduleTime=rfc3339(at(last)) if last else None, active=references or None
        ),
    )


def job(name, ended=None, started="09:00:00", completed="09:01:00"):
    conditions = [JobCondition(type=ended, status="True")] if ended else None
    done = rfc3339(at(completed)) if ended == "Complete" else None
    status = JobStatus(conditions=conditions, startTime=rfc3339(at(started)), completionTime=done)
    return Job(metadata=ObjectMeta(name=name, namespace="default", uid=name), status=status)


def reasons(steps):
    return [reason for _, reason, _ in steps.news]


@pytest.mark.parametrize(
    ("options", "now", "due"),
    [
        ({}, "08:59:59", None),
        ({}, "09:00:00", "09:00:00"),
        ({}, "11:30:00", "11:00:00"),  # of what was missed, only the last
        ({"last": "09:00:00"}, "09:00:01", None),
        ({"last": "09:00:00"}, "10:00:00", "10:00:00"),
        ({"suspend": True}, "09:00:00", None),
        ({"startingDeadlineSeconds": 60}, "09:00:59", "09:00:00"),
        ({"startingDeadlineSeconds": 60}, "09:02:00", None),
        ({"schedule": "nonsense"}, "09:00:00", None),
        ({"timeZone": "Middle/Earth"}, "09:00:00", None),
        ({"timeZone": "Asia/Kolkata"}, "09:30:00", "09:30:00"),
        ({"active": ["other"], "concurrencyPolicy": "Forbid"}, "09:00:00", None),
        ({"active": ["other"], "concurrencyPolicy": "Allow"}, "09:00:00", "09:00:00"),
        ({"active": ["other"], "concurrencyPolicy": "Replace"}, "09:00:00", "09:00:00"),
    ],
)
def test_when(options, now, due):
    found = plan(cron(**options), [job(name) for name in options.get("active", ())], at(now))
    assert found.due == (at(due) if due else None)
    assert (found.create is None) is (due is None)


def test_a_job_says_when_it_was_due():
    found = plan(cron(timeZone="Europe/Berlin"), [], at("09:00:10"))
    made = found.create
    assert made.metadata.name == f"tidy-{int(at('09:00:00')) // 60}"
    assert made.metadata.labels == {"a": "b"}
    stamp = made.metadata.annotations["batch.kubernetes.io/cronjob-scheduled-timestamp"]
    assert stamp == "2026-01-01T10:00:00+01:00"
    assert made.metadata.ownerReferences[0].controller
    assert found.check_after == pytest.approx(3590.1)


def test_replacing_deletes_what_runs():
    running = job("other")
    found = plan(cron(active=["other"], concurrencyPolicy="Replace"), [running], at("09:00:00"))
    assert (found.delete, found.status.active) == ([running], None)


def test_what_has_ended_is_active_no_more():
    found = plan(
        cron(last="09:00:00", active=["good", "bad", "gone", "runs"]),
        [job("good", "Complete"), job("bad", "Failed"), job("runs"), job("stranger")],
        at("09:30:00"),
    )
    assert [one.name for one in found.status.active] == ["runs"]
    assert found.status.lastSuccessfulTime == rfc3339(at("09:01:00"))
    assert sorted(reasons(found)) == [
        "MissingJob", "SawCompletedJob", "SawCompletedJob", "UnexpectedJob",
    ]  # fmt: skip


def test_only_so_much_history_stays():
    jobs = [job(f"good-{n}", "Complete", f"0{n}:00:00") for n in range(5)]
    jobs += [job(f"bad-{n}", "Failed", f"0{n}:00:00") for n in range(3)]
    limits = {"successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1}
    found = plan(cron(suspend=True, **limits), jobs, at("09:30:00"))
    assert [one.metadata.name for one in found.delete] == ["good-0", "good-1", "bad-0", "bad-1"]


def test_too_many_missed_times_are_told_and_the_last_is_started():
    found = plan(cron("* * * * *", last="00:00:00"), [], at("09:00:30"))
    assert found.due == at("09:00:00")
    assert reasons(found) == ["TooManyMissedTimes"]
    slow = plan(cron("@every 1s", last="00:00:00"), [], at("09:00:30"))
    assert slow.due == at("09:00:30")


def test_events_say_why_nothing_happens():
    assert reasons(plan(cron("nonsense"), [], at("09:00:00"))) == ["UnparseableSchedule"]
    assert reasons(plan(cron(timeZone="X/Y"), [], at("09:00:00"))) == ["UnknownTimeZone"]
    forbidden = cron(active=["a"], concurrencyPolicy="Forbid")
    assert reasons(plan(forbidden, [job("a")], at("09:00:00"))) == ["JobAlreadyActive"]
