"""What is accepted of jobs, but unwise.

In:   a new object, and the old one when it is an update.
Out:  sentences in upstream's words; the table `WARNINGS`.
By:   `api.warnings`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kybern.api.core.pod_warnings import name_warnings, template_warnings

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.api.batch.v1 import CronJob, Job

USE: Final = "Pod names and hostnames"
ZONES: Final = (
    "CRON_TZ or TZ used in spec.schedule is not officially supported, see "
    "https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"
)


def warn_of_job(new: Job, old: Job | None) -> list[str]:
    """A job: its name becomes part of its pods'."""
    if old is not None and new.metadata.generation == old.metadata.generation:
        return []
    named = name_warnings(new.metadata.name or "", USE) if old is None else []
    return named + template_warnings(new.spec.template, "spec.template.")


def warn_of_cron_job(new: CronJob, old: CronJob | None) -> list[str]:
    """A cron job: its name becomes part of its jobs', and those of theirs."""
    out = name_warnings(new.metadata.name or "", USE) if old is None else []
    if old is None or new.metadata.generation != old.metadata.generation:
        out += template_warnings(
            new.spec.jobTemplate.spec.template, "spec.jobTemplate.spec.template."
        )
    if "TZ" in (new.spec.schedule or ""):
        out.append(ZONES)
    return out


WARNINGS: Final[dict[str, Callable[[Any, Any | None], list[str]]]] = {
    "CronJob": warn_of_cron_job,
    "Job": warn_of_job,
}
