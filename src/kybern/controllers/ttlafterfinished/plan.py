"""When a finished Job goes.

In:   a Job.
Out:  the moment, in seconds since 1970; None for never, or not yet known.
By:   ttlafterfinished.controller. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.lib.clock import parse_rfc3339

if TYPE_CHECKING:
    from kybern.api.batch.v1 import Job

FINISHED = frozenset(("Complete", "Failed"))


def due(job: Job) -> float | None:
    """Return when to delete a Job: so many seconds after it completed or failed."""
    ttl = job.spec.ttlSecondsAfterFinished
    if ttl is None or job.metadata.deletionTimestamp is not None:
        return None
    for condition in job.status.conditions or ():
        if condition.type in FINISHED and condition.status == "True":
            at = condition.lastTransitionTime
            return None if at is None else parse_rfc3339(at) + ttl
    return None
