"""What a failed pod means, and how long to wait before the next one.

In:   a Job's policy, a failed pod; when pods failed and succeeded.
Out:  a `Meaning`; seconds.
By:   the other files here. Pure. The sentences are upstream's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from kybern.api.core import pods as ask
from kybern.lib.backoff import Backoff
from kybern.lib.clock import parse_rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kybern.api.batch.v1 import Job, PodFailurePolicyOnExitCodesRequirement
    from kybern.api.core.v1 import ContainerStatus, Pod

DELAYS: Final = Backoff(initial=10.0, factor=2.0, cap=600.0)
COUNT: Final = "Count"


class Meaning(NamedTuple):
    """What to make of a failed pod: `Count`, `Ignore`, `FailIndex` or `FailJob`, and why."""

    action: str
    message: str = ""


def meaning(job: Job, pod: Pod) -> Meaning:
    """Return what the first rule that matches says; a failure counts when none does."""
    policy = job.spec.podFailurePolicy
    if policy is None or pod.status.phase != "Failed":
        return Meaning(COUNT)
    where = f"{pod.metadata.namespace}/{pod.metadata.name}"
    for place, rule in enumerate(policy.rules):
        matching = f"matching {rule.action} rule at index {place}"
        if rule.onExitCodes is not None:
            found = _exit_code(pod, rule.onExitCodes)
            if found is not None:
                told = f"Container {found[0]} for pod {where} failed with exit code {found[1]}"
                return Meaning(rule.action, f"{told} {matching}")
            continue
        for pattern in rule.onPodConditions or ():
            condition = ask.condition(pod, pattern.type)
            if condition is not None and condition.status == (pattern.status or "True"):
                told = f"Pod {where} has condition {pattern.type} {matching}"
                return Meaning(rule.action, told)
    return Meaning(COUNT)


def delay(ended: Iterable[Pod], now: float) -> float:
    """Return the seconds to wait after the failures since the last success."""
    failed, succeeded = [], 0.0
    for pod in ended:
        at = ended_at(pod, now)
        if pod.status.phase == "Succeeded":
            succeeded = max(succeeded, at)
        else:
            failed.append(at)
    failed = [at for at in failed if at > succeeded]
    if not failed:
        return 0.0
    return max(0.0, max(failed) + DELAYS.delay(len(failed) - 1) - now)


def ended_at(pod: Pod, now: float) -> float:
    """Return when a pod ended, as well as it says."""
    stamps = [
        one.state.terminated.finishedAt
        for one in pod.status.containerStatuses or ()
        if one.state is not None and one.state.terminated is not None
    ]
    known = [parse_rfc3339(stamp) for stamp in stamps if stamp]
    if known:
        return max(known)
    if pod.metadata.deletionTimestamp is not None:
        grace = pod.metadata.deletionGracePeriodSeconds or 0
        return parse_rfc3339(pod.metadata.deletionTimestamp) - grace
    ready = ask.condition(pod, "Ready")
    if ready is not None and ready.lastTransitionTime is not None:
        return parse_rfc3339(ready.lastTransitionTime)
    created = pod.metadata.creationTimestamp
    return parse_rfc3339(created) if created is not None else now


def restarts(pods: Iterable[Pod]) -> int:
    """Return how often containers of running pods were started again."""
    return sum(
        one.restartCount
        for pod in pods
        if pod.status.phase in ("Running", "Pending")
        for one in (*(pod.status.initContainerStatuses or ()), *_statuses(pod))
    )


def _exit_code(pod: Pod, wanted: PodFailurePolicyOnExitCodesRequirement) -> tuple[str, int] | None:
    for one in (*_statuses(pod), *(pod.status.initContainerStatuses or ())):
        ended = one.state.terminated if one.state is not None else None
        if ended is None or ended.exitCode == 0:
            continue
        if wanted.containerName not in (None, one.name):
            continue
        if (ended.exitCode in wanted.values) == (wanted.operator == "In"):
            return one.name, ended.exitCode
    return None


def _statuses(pod: Pod) -> Iterator[ContainerStatus]:
    yield from pod.status.containerStatuses or ()
