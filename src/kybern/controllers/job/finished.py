"""Which ended pods count, and as what.

In:   a Job with what its status counts already, its pods.
Out:  a `Tally`.
By:   job.plan. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kybern.api.batch.v1 import UncountedTerminatedPods
from kybern.controllers.job.failures import Meaning, meaning
from kybern.controllers.job.indexes import parse
from kybern.controllers.job.pods import (
    FAILURES,
    has_failed,
    index_of,
    is_indexed,
    is_tracked,
    number,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.api.batch.v1 import Job
    from kybern.api.core.v1 import Pod

MOST_AT_ONCE = 500
"""How many uids may wait in a status."""


@dataclass(slots=True)
class Tally:
    """What has ended so far.

    Attributes:
        succeeded: pods, or indexes, that did what they should.
        failed: pods that did not and count.
        counted_succeeded: of those, what goes into the status as a number …
        counted_failed: … and this.
        uncounted: uids of the others, whose finalizers are there still.
        done: indexes that succeeded.
        lost: indexes that failed for good.
        release: pods to free of their finalizers, once the status is written.
        fatal: why the whole job has failed, if a rule says so.
    """

    succeeded: int
    failed: int
    counted_succeeded: int
    counted_failed: int
    uncounted: UncountedTerminatedPods
    done: set[int]
    lost: set[int]
    release: list[Pod] = field(default_factory=list)
    fatal: str = ""


def tally(job: Job, pods: Iterable[Pod], active_indexes: set[int]) -> Tally:
    """Count."""
    status, completions = job.status, job.spec.completions or 0
    before = status.uncountedTerminatedPods or UncountedTerminatedPods()
    tracked = {pod.metadata.uid or "": pod for pod in pods if is_tracked(pod)}
    waiting_good = [uid for uid in before.succeeded or () if uid in tracked]
    waiting_bad = [uid for uid in before.failed or () if uid in tracked]
    result = Tally(
        succeeded=0,
        failed=0,
        counted_succeeded=(status.succeeded or 0) + len(before.succeeded or ()) - len(waiting_good),
        counted_failed=(status.failed or 0) + len(before.failed or ()) - len(waiting_bad),
        uncounted=UncountedTerminatedPods(),
        done=parse(status.completedIndexes, completions),
        lost=parse(status.failedIndexes, completions),
    )
    good, bad = list(waiting_good), list(waiting_bad)
    for uid, pod in tracked.items():
        if uid in waiting_good or uid in waiting_bad or len(good) + len(bad) >= MOST_AT_ONCE:
            continue
        if pod.status.phase == "Succeeded":
            _succeeded(job, pod, good, result)
        elif has_failed(job, pod):
            _failed(job, pod, bad, result)
    if is_indexed(job):
        result.counted_succeeded = result.succeeded = len(result.done)
    else:
        result.succeeded = result.counted_succeeded + len(good)
    result.failed = result.counted_failed + len(bad)
    result.uncounted = UncountedTerminatedPods(succeeded=good or None, failed=bad or None)
    held = _held(job, [tracked[uid] for uid in bad], active_indexes, result)
    result.release += [tracked[uid] for uid in (*good, *bad) if uid not in held]
    return result


def _succeeded(job: Job, pod: Pod, good: list[str], result: Tally) -> None:
    if not is_indexed(job):
        good.append(pod.metadata.uid or "")
        return
    index = index_of(pod)
    if 0 <= index < (job.spec.completions or 0):
        result.done.add(index)
    result.release.append(pod)  # its index in the status is enough


def _failed(job: Job, pod: Pod, bad: list[str], result: Tally) -> None:
    found = meaning(job, pod)
    if found.action == "FailJob":
        result.fatal = result.fatal or found.message
    if found.action == "Ignore":
        result.release.append(pod)
        return
    bad.append(pod.metadata.uid or "")
    _lose_index(job, pod, found, result)


def _lose_index(job: Job, pod: Pod, found: Meaning, result: Tally) -> None:
    limit = job.spec.backoffLimitPerIndex
    if limit is None or not is_indexed(job):
        return
    index = index_of(pod)
    if index < 0 or index in result.done:
        return
    if found.action == "FailIndex" or number(pod, FAILURES) >= limit:
        result.lost.add(index)


def _held(job: Job, failed: list[Pod], active: set[int], result: Tally) -> set[str]:
    """Keep the last failure of an index until a pod with the next number is there."""
    if job.spec.backoffLimitPerIndex is None:
        return set()
    settled = active | result.done | result.lost
    last: dict[int, Pod] = {}
    for pod in sorted(failed, key=lambda one: number(one, FAILURES)):
        if index_of(pod) not in settled:
            last[index_of(pod)] = pod
    return {pod.metadata.uid or "" for pod in last.values()}
