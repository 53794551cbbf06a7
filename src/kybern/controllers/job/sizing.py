"""Which pods of a job come and go.

In:   a Job, what has ended, its active pods, the time.
Out:  pods to create and to delete.
By:   job.plan, while nothing is decided. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api.core import pods as ask
from kybern.controllers.job import failures
from kybern.controllers.job.pods import (
    FAILURES,
    IGNORED_FAILURES,
    index_of,
    is_indexed,
    is_tracked,
    new_pod,
    number,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kybern.api.batch.v1 import Job
    from kybern.api.core.v1 import Pod
    from kybern.controllers.job.finished import Tally

BURST = 500  # pods made in one go


class Sizes:
    """The answer: pods to create and to delete, and when to look again."""

    def __init__(self) -> None:
        self.create: list[Pod] = []
        self.delete: list[Pod] = []
        self.check_after: float | None = None


def size(
    job: Job,
    counts: Tally,
    pods: Sequence[Pod],
    active: Sequence[Pod],
    waiting_for: int,
    now: float,
) -> Sizes:
    """Decide.

    Args:
        job: what is wanted.
        counts: what has ended.
        pods: all of the job's pods.
        active: those that neither ended nor are being deleted.
        waiting_for: pods on their way out that must be gone before others take their places.
        now: the time.
    """
    found = Sizes()
    if job.spec.suspend:
        found.delete = list(active)
        return found
    surplus, staying = _surplus(job, counts, active)
    wanted = _wanted(job, counts, len(staying))
    if len(staying) > wanted:
        surplus += sorted(staying, key=_loss)[: len(staying) - wanted]
    found.delete = surplus
    missing = min(wanted - len(staying) - waiting_for, BURST)
    if not surplus and missing > 0:
        _create(job, counts, pods, staying, missing, now, found)
    return found


def _wanted(job: Job, counts: Tally, active: int) -> int:
    spec = job.spec
    parallelism = 1 if spec.parallelism is None else spec.parallelism
    if spec.completions is None:
        # The first one that succeeds says that the work is done.
        return min(active, parallelism) if counts.succeeded else parallelism
    return max(0, min(parallelism, spec.completions - counts.succeeded - len(counts.lost)))


def _surplus(job: Job, counts: Tally, active: Sequence[Pod]) -> tuple[list[Pod], list[Pod]]:
    """Sort out pods whose index nobody wants, or another one has."""
    if not is_indexed(job):
        return [], list(active)
    surplus, staying, taken = [], [], counts.done | counts.lost
    for pod in sorted(active, key=_loss, reverse=True):
        index = index_of(pod)
        if index in taken or not 0 <= index < (job.spec.completions or 0):
            surplus.append(pod)
        else:
            taken = taken | {index}
            staying.append(pod)
    return surplus, staying


def _loss(pod: Pod) -> tuple[bool, bool, bool, str]:
    """Order pods by how little is lost with them: the newest ones first."""
    created = pod.metadata.creationTimestamp or "9999"
    age = "".join(chr(0x10FFFF - ord(one)) for one in created)
    return bool(pod.spec.nodeName), pod.status.phase == "Running", ask.is_ready(pod), age


def _create(
    job: Job,
    counts: Tally,
    pods: Sequence[Pod],
    staying: Sequence[Pod],
    missing: int,
    now: float,
    found: Sizes,
) -> None:
    if job.spec.backoffLimitPerIndex is None:
        wait = failures.delay(_counting(job, pods), now)
        if wait > 0:
            found.check_after = wait
            return
    if not is_indexed(job):
        found.create = [new_pod(job)] * missing
        return
    taken = counts.done | counts.lost | {index_of(pod) for pod in staying}
    for index in range(job.spec.completions or 0):
        if len(found.create) >= missing:
            return
        if index not in taken:
            _create_index(job, index, [pod for pod in pods if index_of(pod) == index], now, found)


def _create_index(job: Job, index: int, before: list[Pod], now: float, found: Sizes) -> None:
    failed = [pod for pod in before if pod.status.phase == "Failed" or _is_lost(pod)]
    if job.spec.backoffLimitPerIndex is None or not failed:
        found.create.append(new_pod(job, index))
        return
    wait = failures.delay(failed, now)
    if wait > 0:
        found.check_after = min(wait, found.check_after or wait)
        return
    last = max(failed, key=lambda pod: (number(pod, FAILURES), number(pod, IGNORED_FAILURES)))
    ignored = failures.meaning(job, last).action == "Ignore"
    counted = number(last, FAILURES) + (not ignored)
    found.create.append(new_pod(job, index, counted, number(last, IGNORED_FAILURES) + ignored))


def _is_lost(pod: Pod) -> bool:
    """Whether somebody else deletes a pod: what we delete has lost its finalizer before."""
    return ask.is_terminating(pod) and is_tracked(pod)


def _counting(job: Job, pods: Iterable[Pod]) -> list[Pod]:
    """Return the pods that ended and whose failure counts."""
    return [
        pod
        for pod in pods
        if ask.is_terminal(pod) and failures.meaning(job, pod).action != "Ignore"
    ]
