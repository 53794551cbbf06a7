"""Whether a job is done, or lost.

In:   a Job, what has ended, what is active, the time.
Out:  a reason and a message, with upstream's words.
By:   job.plan. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from kybern.controllers.job.failures import restarts
from kybern.controllers.job.indexes import parse
from kybern.controllers.job.pods import is_indexed
from kybern.lib.clock import parse_rfc3339

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kybern.api.batch.v1 import Job, JobCondition
    from kybern.api.core.v1 import Pod
    from kybern.controllers.job.finished import Tally

COMPLETE, FAILED, SUSPENDED = "Complete", "Failed", "Suspended"
FAILURE_TARGET, SUCCESS_MET = "FailureTarget", "SuccessCriteriaMet"
FINAL: Final = {FAILURE_TARGET: FAILED, SUCCESS_MET: COMPLETE}
"""What is said first, and what when the last pod has ended."""


class Verdict(NamedTuple):
    """The type of a condition, and why."""

    kind: str
    reason: str
    message: str


def condition(job: Job, kind: str) -> JobCondition | None:
    """Return a condition that is true."""
    for one in job.status.conditions or ():
        if one.type == kind and one.status == "True":
            return one
    return None


def is_finished(job: Job) -> bool:
    """Whether nothing is to be done for a job any more."""
    return any(condition(job, kind) is not None for kind in (COMPLETE, FAILED))


def judge(job: Job, counts: Tally, active: Sequence[Pod], now: float) -> Verdict | None:
    """Return what is certain, if anything is."""
    for kind in FINAL:
        known = condition(job, kind)
        if known is not None:
            return Verdict(kind, known.reason or "", known.message or "")
    found = _failure(job, counts, active, now)
    if found is not None:
        return Verdict(FAILURE_TARGET, *found)
    found = _success(job, counts, active)
    return Verdict(SUCCESS_MET, *found) if found is not None else None


def overdue_in(job: Job, now: float) -> float | None:
    """Return the seconds until a job must be done; None when it has all the time."""
    deadline, started = job.spec.activeDeadlineSeconds, job.status.startTime
    if deadline is None or started is None or job.spec.suspend:
        return None
    return max(0.0, parse_rfc3339(started) + deadline - now)


def _failure(job: Job, counts: Tally, active: Sequence[Pod], now: float) -> tuple[str, str] | None:
    spec = job.spec
    limit = 6 if spec.backoffLimit is None else spec.backoffLimit
    if counts.fatal:
        return "PodFailurePolicy", counts.fatal
    if counts.failed > limit or _restarted_too_often(job, active, limit):
        return "BackoffLimitExceeded", "Job has reached the specified backoff limit"
    if overdue_in(job, now) == 0:
        return "DeadlineExceeded", "Job was active longer than specified deadline"
    most = spec.maxFailedIndexes
    if most is not None and len(counts.lost) > most:
        told = "Job has exceeded the specified maximal number of failed indexes"
        return "MaxFailedIndexesExceeded", told
    completions = spec.completions or 0
    if counts.lost and len(counts.lost) + len(counts.done) >= completions:
        return "FailedIndexes", "Job has failed indexes"
    return None


def _restarted_too_often(job: Job, active: Sequence[Pod], limit: int) -> bool:
    if job.spec.template.spec.restartPolicy != "OnFailure":
        return False
    return restarts(active) >= max(1, limit)


def _success(job: Job, counts: Tally, active: Sequence[Pod]) -> tuple[str, str] | None:
    spec = job.spec
    if is_indexed(job) and spec.successPolicy is not None:
        for place, rule in enumerate(spec.successPolicy.rules):
            among = counts.done
            wanted = rule.succeededCount
            if rule.succeededIndexes:
                chosen = parse(rule.succeededIndexes, spec.completions or 0)
                among = among & chosen
                wanted = len(chosen) if wanted is None else wanted
            if wanted is not None and len(among) >= wanted:
                return "SuccessPolicy", f"Matched rules at index {place}"
    if spec.completions is None:
        reached = counts.succeeded > 0 and not active
    else:
        reached = counts.succeeded >= spec.completions
    if reached:
        return "CompletionsReached", "Reached expected number of succeeded pods"
    return None
