"""What jobs get that their author did not say.

In:   an object as decoded.
Out:  the same object with defaults filled in, in place.
By:   `api.defaults`. Facts: upstream's `pkg/apis/batch/v1/defaults.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kybern.api.core.pod_defaults import default_template

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.api.batch.v1 import CronJob, Job, JobSpec

BACKOFF: Final = 6
UNLIMITED: Final = 2**31 - 1


def default_job(obj: Job) -> None:
    """One pod, once, six tries; labels out of the template."""
    spec = obj.spec
    default_template(spec.template)
    if spec.completions is None and spec.parallelism is None:
        spec.completions = 1
    if spec.parallelism is None:
        spec.parallelism = 1
    if spec.backoffLimit is None:
        spec.backoffLimit = BACKOFF if spec.backoffLimitPerIndex is None else UNLIMITED
    labels = spec.template.metadata.labels
    if labels and not obj.metadata.labels:
        obj.metadata.labels = dict(labels)
    if spec.completionMode is None:
        spec.completionMode = "NonIndexed"
    if spec.suspend is None:
        spec.suspend = False
    if spec.manualSelector is None:
        spec.manualSelector = False
    _default_failure_policy(spec)
    if spec.podReplacementPolicy is None:
        whole = spec.podFailurePolicy is None
        spec.podReplacementPolicy = "TerminatingOrFailed" if whole else "Failed"


def _default_failure_policy(spec: JobSpec) -> None:
    if spec.podFailurePolicy is None:
        return
    for rule in spec.podFailurePolicy.rules:
        for pattern in rule.onPodConditions or ():
            pattern.status = pattern.status or "True"


def default_cron_job(obj: CronJob) -> None:
    """Runs may overlap; three good ones and a bad one are kept."""
    spec = obj.spec
    default_template(spec.jobTemplate.spec.template)
    _default_failure_policy(spec.jobTemplate.spec)
    spec.concurrencyPolicy = spec.concurrencyPolicy or "Allow"
    if spec.suspend is None:
        spec.suspend = False
    if spec.successfulJobsHistoryLimit is None:
        spec.successfulJobsHistoryLimit = 3
    if spec.failedJobsHistoryLimit is None:
        spec.failedJobsHistoryLimit = 1


DEFAULTERS: Final[dict[str, Callable[[Any], None]]] = {
    "CronJob": default_cron_job,
    "Job": default_job,
}
