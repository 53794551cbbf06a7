"""When a finished Job goes."""

from __future__ import annotations

import pytest

from kybern.api.batch.v1 import Job, JobCondition, JobSpec, JobStatus
from kybern.api.meta.v1 import ObjectMeta
from kybern.controllers.ttlafterfinished.plan import due

AT = "1970-01-01T00:01:00Z"


def job(ttl, *conditions, **metadata):
    found = [
        JobCondition(type=type_, status=status, lastTransitionTime=at)
        for type_, status, at in conditions
    ]
    return Job(
        metadata=ObjectMeta(name="j", **metadata),
        spec=JobSpec(ttlSecondsAfterFinished=ttl),
        status=JobStatus(conditions=found),
    )


@pytest.mark.parametrize(
    ("asked", "moment"),
    [
        (job(10, ("Complete", "True", AT)), 70.0),
        (job(0, ("Failed", "True", AT)), 60.0),
        (job(10, ("Suspended", "True", AT), ("Complete", "True", AT)), 70.0),
        (job(None, ("Complete", "True", AT)), None),
        (job(10), None),
        (job(10, ("Complete", "False", AT)), None),
        (job(10, ("FailureTarget", "True", AT)), None),
        (job(10, ("Complete", "True", None)), None),
        (job(10, ("Complete", "True", AT), deletionTimestamp=AT), None),
    ],
)
def test_due(asked, moment):
    assert due(asked) == moment
