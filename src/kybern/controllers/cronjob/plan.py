"""What to do about a CronJob.

In:   a CronJob, its Jobs, the time.
Out:  a `Plan`: a Job to create, Jobs to delete, the status, events, when to look again.
By:   cronjob.controller. Pure. The sentences are upstream's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

from kybern.api import codec
from kybern.api.batch.schedule import Schedule, ScheduleError, parse
from kybern.api.batch.v1 import CronJobStatus, Job
from kybern.api.meta.v1 import ObjectMeta
from kybern.controllers.cronjob.times import next_after, zone
from kybern.controllers.runtime.ownership import reference_to
from kybern.lib.clock import parse_rfc3339, rfc3339

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from kybern.api.batch.v1 import CronJob
    from kybern.api.core.v1 import ObjectReference

SCHEDULED: Final = "batch.kubernetes.io/cronjob-scheduled-timestamp"
TOO_MANY: Final = 100
MARGIN: Final = 0.1  # seconds; a clock that wakes somebody a little early would do so for nothing

News = tuple[str, str, str]


@dataclass(slots=True)
class Plan:
    """What to do now.

    Attributes:
        status: as it should be, before a Job is created.
        delete: Jobs to delete.
        create: a Job to create, for …
        due: … this time.
        news: type, reason and message of events.
        check_after: seconds until the schedule comes round.
    """

    status: CronJobStatus
    delete: list[Job] = field(default_factory=list)
    create: Job | None = None
    due: float | None = None
    news: list[News] = field(default_factory=list)
    check_after: float | None = None


def ending(job: Job) -> str | None:
    """Return how a job ended: `Complete`, `Failed`, or None."""
    for one in job.status.conditions or ():
        if one.type in ("Complete", "Failed") and one.status == "True":
            return one.type
    return None


def plan(cron: CronJob, jobs: Sequence[Job], now: float) -> Plan:
    """Decide."""
    before = cron.status
    result = Plan(codec.clone(before))
    _look_at_jobs(cron, jobs, result)
    if cron.metadata.deletionTimestamp is not None:
        return result
    _clean_up(cron, jobs, result)
    if cron.spec.suspend:
        return result
    try:
        where, schedule = zone(cron.spec.timeZone), parse(cron.spec.schedule)
    except KeyError:
        told = f'invalid timeZone: "{cron.spec.timeZone}": unknown time zone {cron.spec.timeZone}'
        result.news.append(("Warning", "UnknownTimeZone", told))
        return result
    except ScheduleError as error:
        told = f'unparseable schedule: "{cron.spec.schedule}" : {error}'
        result.news.append(("Warning", "UnparseableSchedule", told))
        return result
    _start(cron, schedule, where, jobs, now, result)
    coming = next_after(schedule, now, where)
    result.check_after = None if coming is None else coming - now + MARGIN
    return result


def _look_at_jobs(cron: CronJob, jobs: Sequence[Job], result: Plan) -> None:
    """Keep the list of active Jobs, and the time of the last success."""
    status = result.status
    active = {one.uid: one for one in status.active or ()}
    known = {job.metadata.uid: job for job in jobs}
    for uid, job in known.items():
        name, ended = job.metadata.name, ending(job)
        if uid not in active and ended is None:
            told = f"Saw a job that the controller did not create or forgot: {name}"
            result.news.append(("Warning", "UnexpectedJob", told))
        elif uid in active and ended is not None:
            del active[uid]
            told = f"Saw completed job: {name}, condition: {ended}"
            result.news.append(("Normal", "SawCompletedJob", told))
        done = job.status.completionTime
        if ended == "Complete" and done and done > (status.lastSuccessfulTime or ""):
            status.lastSuccessfulTime = done
    for uid in [uid for uid in active if uid not in known]:
        told = f"Active job went missing: {active.pop(uid).name}"
        result.news.append(("Normal", "MissingJob", told))
    status.active = list(active.values()) or None


def _clean_up(cron: CronJob, jobs: Sequence[Job], result: Plan) -> None:
    """Delete the oldest of the Jobs that have ended, as far as they are too many."""
    spec = cron.spec
    limits = {"Complete": spec.successfulJobsHistoryLimit, "Failed": spec.failedJobsHistoryLimit}
    for kind, limit in limits.items():
        if limit is not None:
            ended = sorted((job for job in jobs if ending(job) == kind), key=_age)
            result.delete += ended[: max(0, len(ended) - limit)]


def _age(job: Job) -> tuple[str, str]:
    return job.status.startTime or "", job.metadata.name or ""


def _start(
    cron: CronJob,
    schedule: Schedule,
    where: tzinfo,
    jobs: Sequence[Job],
    now: float,
    result: Plan,
) -> None:
    due = _last_due(cron, schedule, where, now, result)
    if due is None:
        return
    deadline = cron.spec.startingDeadlineSeconds
    if deadline is not None and due + deadline < now:
        shown = datetime.fromtimestamp(due, where).strftime("%a, %d %b %Y %H:%M:%S %z")
        told = f"Missed scheduled time to start a job: {shown}"
        result.news.append(("Warning", "MissSchedule", told))
        return
    job = new_job(cron, due, where)
    active: list[ObjectReference] = result.status.active or []
    if any(one.name == job.metadata.name for one in active):
        return
    if cron.spec.concurrencyPolicy == "Forbid" and active:
        told = (
            "Not starting job because prior execution is running and concurrency policy is Forbid"
        )
        result.news.append(("Normal", "JobAlreadyActive", told))
        return
    if cron.spec.concurrencyPolicy == "Replace" and active:
        uids = {one.uid for one in active}
        result.delete += [job for job in jobs if job.metadata.uid in uids]
        result.status.active = None
    result.create, result.due = job, due


def _last_due(
    cron: CronJob, schedule: Schedule, where: tzinfo, now: float, result: Plan
) -> float | None:
    """Return the last time a Job should have been started and was not."""
    earliest = parse_rfc3339(cron.metadata.creationTimestamp or rfc3339(now))
    if cron.status.lastScheduleTime is not None:
        earliest = parse_rfc3339(cron.status.lastScheduleTime)
    deadline = cron.spec.startingDeadlineSeconds
    if deadline is not None:
        earliest = max(earliest, now - deadline)
    due, missed = None, 0
    coming = next_after(schedule, earliest, where)
    while coming is not None and coming <= now:
        due, missed = coming, missed + 1
        if missed > TOO_MANY:
            due = max(due, _shortly_before(schedule, where, now))
            break
        coming = next_after(schedule, coming, where)
    if missed > TOO_MANY:
        told = (
            "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check"
            " clock skew"
        )
        result.news.append(("Warning", "TooManyMissedTimes", told))
    return due


def _shortly_before(schedule: Schedule, where: tzinfo, now: float) -> float:
    """Return the last time that a schedule came round, looking further and further back."""
    reach = 60.0
    while True:
        coming, found = next_after(schedule, now - reach, where), 0.0
        while coming is not None and coming <= now:
            found, coming = coming, next_after(schedule, coming, where)
        if found or reach > now:
            return found
        reach *= 4


def new_job(cron: CronJob, due: float, where: tzinfo) -> Job:
    """Return the Job for a time; it shares parts of the template: encode, do not change."""
    template, metadata = cron.spec.jobTemplate, cron.metadata
    stamp = datetime.fromtimestamp(due, where).isoformat().replace("+00:00", "Z")
    return Job(
        metadata=ObjectMeta(
            name=f"{metadata.name}-{int(due) // 60}",
            namespace=metadata.namespace,
            labels=template.metadata.labels,
            annotations={**(template.metadata.annotations or {}), SCHEDULED: stamp},
            ownerReferences=[reference_to(cron)],
        ),
        spec=template.spec,
    )
