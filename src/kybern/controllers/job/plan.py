"""What to do about a job.

In:   a Job, its pods, the time.
Out:  a `Plan`: pods to create and delete, the status, pods to free of their finalizers, events.
By:   job.controller. Pure.

What is decided is said first (`FailureTarget`, `SuccessCriteriaMet`); the job ends when the last
pod has ended and is counted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kybern.api import codec
from kybern.api.batch.v1 import JobCondition, JobStatus
from kybern.api.core import pods as ask
from kybern.controllers.job.finished import Tally, tally
from kybern.controllers.job.indexes import render
from kybern.controllers.job.pods import index_of, is_indexed, is_tracked, replaces_only_failed
from kybern.controllers.job.sizing import size
from kybern.controllers.job.verdict import (
    COMPLETE,
    FINAL,
    SUSPENDED,
    Verdict,
    condition,
    is_finished,
    judge,
    overdue_in,
)
from kybern.lib.clock import rfc3339

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kybern.api.batch.v1 import Job
    from kybern.api.core.v1 import Pod

News = tuple[str, str, str]


@dataclass(slots=True)
class Plan:
    """What to do now: the status is written before finalizers are taken away.

    Attributes:
        status: as it should be.
        create: pods to create.
        drop: pods to delete that nobody wants any more: they are no failures.
        delete: pods to delete because the job is decided.
        release: pods to free of their finalizers.
        news: type, reason and message of events.
        check_after: seconds after which time alone changes something.
    """

    status: JobStatus
    create: list[Pod] = field(default_factory=list)
    drop: list[Pod] = field(default_factory=list)
    delete: list[Pod] = field(default_factory=list)
    release: list[Pod] = field(default_factory=list)
    news: list[News] = field(default_factory=list)
    check_after: float | None = None


def plan(job: Job, pods: Sequence[Pod], now: float) -> Plan:
    """Decide."""
    if is_finished(job):
        return Plan(job.status, release=[pod for pod in pods if is_tracked(pod)])
    active = [pod for pod in pods if ask.is_active(pod)]
    leaving = [pod for pod in pods if ask.is_terminating(pod) and not ask.is_terminal(pod)]
    counts = tally(job, pods, {index_of(pod) for pod in active})
    verdict = judge(job, counts, active, now)
    result = Plan(_status(job, counts, active, leaving, now), release=counts.release)
    _suspend(job, result, now)
    if verdict is not None:
        result.delete = active
        if verdict.kind in FINAL and is_indexed(job):  # no index will be tried again
            result.release = [pod for pod in pods if _is_counted(pod, counts)]
        _conclude(job, verdict, pods, bool(active or leaving), counts, result, now)
    elif job.metadata.deletionTimestamp is None:
        waiting = len(leaving) if replaces_only_failed(job) else 0
        sizes = size(job, counts, pods, active, waiting, now)
        result.create, result.drop = sizes.create, sizes.delete
        waits = [wait for wait in (sizes.check_after, overdue_in(job, now)) if wait]
        result.check_after = min(waits, default=None)
    return result


def _is_counted(pod: Pod, counts: Tally) -> bool:
    uids = {*(counts.uncounted.succeeded or ()), *(counts.uncounted.failed or ())}
    return pod in counts.release or (pod.metadata.uid in uids and is_tracked(pod))


def _status(
    job: Job, counts: Tally, active: list[Pod], leaving: list[Pod], now: float
) -> JobStatus:
    before, indexed = job.status, is_indexed(job)
    per_index = indexed and job.spec.backoffLimitPerIndex is not None
    started = before.startTime
    if started is None and not job.spec.suspend:
        started = rfc3339(now)
    return JobStatus(
        startTime=started,
        active=len(active) or None,
        ready=sum(ask.is_ready(pod) for pod in active),
        terminating=len(leaving),
        succeeded=counts.counted_succeeded or None,
        failed=counts.counted_failed or None,
        completedIndexes=render(counts.done) or None if indexed else None,
        failedIndexes=render(counts.lost) if per_index else None,
        uncountedTerminatedPods=counts.uncounted,
        conditions=list(before.conditions or ()) or None,
        completionTime=before.completionTime,
    )


def _suspend(job: Job, result: Plan, now: float) -> None:
    known = next((c for c in job.status.conditions or () if c.type == SUSPENDED), None)
    if job.spec.suspend:
        result.status.startTime = None
        if known is None or known.status != "True":
            _put(result.status, SUSPENDED, "True", "JobSuspended", "Job suspended", now)
            result.news.append(("Normal", "Suspended", "Job suspended"))
    elif known is not None and known.status == "True":
        result.status.startTime = rfc3339(now)
        _put(result.status, SUSPENDED, "False", "JobResumed", "Job resumed", now)
        result.news.append(("Normal", "Resumed", "Job resumed"))


def _conclude(
    job: Job,
    verdict: Verdict,
    pods: Sequence[Pod],
    busy: bool,
    counts: Tally,
    result: Plan,
    now: float,
) -> None:
    status = result.status
    if condition(job, verdict.kind) is None:
        _put(status, verdict.kind, "True", verdict.reason, verdict.message, now)
    open_ = counts.uncounted.succeeded or counts.uncounted.failed
    if busy or open_ or any(is_tracked(pod) for pod in pods):
        return
    final = FINAL[verdict.kind]
    _put(status, final, "True", verdict.reason, verdict.message, now)
    if final == COMPLETE:
        status.completionTime = rfc3339(now)
        result.news.append(("Normal", "Completed", "Job completed"))
    else:
        result.news.append(("Warning", verdict.reason, verdict.message))


def _put(status: JobStatus, kind: str, value: str, reason: str, message: str, now: float) -> None:
    stamp = rfc3339(now)
    others = [one for one in status.conditions or () if one.type != kind]
    new = JobCondition(
        type=kind,
        status=value,
        reason=reason,
        message=message,
        lastProbeTime=stamp,
        lastTransitionTime=stamp,
    )
    status.conditions = [*others, new]


def changed(job: Job, status: JobStatus) -> bool:
    """Whether the status has to be written."""
    return not codec.equal(job.status, status)
