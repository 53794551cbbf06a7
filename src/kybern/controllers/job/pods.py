"""What a pod of a job looks like, and what one asks of it.

In:   a Job, an index; a pod.
Out:  pods; answers.
By:   the other files here. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kybern.api import codec
from kybern.api.core import pods as ask
from kybern.api.core.v1 import EnvVar, EnvVarSource, ObjectFieldSelector, Pod
from kybern.api.meta.v1 import ObjectMeta
from kybern.controllers.runtime.ownership import reference_to

if TYPE_CHECKING:
    from kybern.api.batch.v1 import Job
    from kybern.api.core.v1 import PodSpec

TRACKING: Final = "batch.kubernetes.io/job-tracking"
INDEX: Final = "batch.kubernetes.io/job-completion-index"
FAILURES: Final = "batch.kubernetes.io/job-index-failure-count"
IGNORED_FAILURES: Final = "batch.kubernetes.io/job-index-ignored-failure-count"
LONGEST_STEM: Final = 57
ENVIRONMENT: Final = "JOB_COMPLETION_INDEX"


def is_indexed(job: Job) -> bool:
    """Whether each pod has an index."""
    return job.spec.completionMode == "Indexed"


def is_tracked(pod: Pod) -> bool:
    """Whether a pod still waits to be counted."""
    return TRACKING in (pod.metadata.finalizers or ())


def index_of(pod: Pod) -> int:
    """Return a pod's index; -1 when it has none."""
    text = (pod.metadata.annotations or {}).get(INDEX, "")
    return int(text) if text.isdecimal() else -1


def replaces_only_failed(job: Job) -> bool:
    """Whether a pod that is being deleted counts only when it has ended."""
    return job.spec.podReplacementPolicy == "Failed" or job.spec.podFailurePolicy is not None


def has_failed(job: Job, pod: Pod) -> bool:
    """Whether a pod is a failure: it ended as one, or is being deleted."""
    if pod.status.phase == "Failed":
        return True
    if replaces_only_failed(job) or pod.status.phase == "Succeeded":
        return False
    return ask.is_terminating(pod)


def number(pod: Pod, annotation: str) -> int:
    """Return a count that a pod carries."""
    text = (pod.metadata.annotations or {}).get(annotation, "")
    return int(text) if text.isdecimal() else 0


def new_pod(job: Job, index: int = -1, failures: int = 0, ignored: int = 0) -> Pod:
    """Return a pod; it may share parts of the template: encode, do not change."""
    metadata, template = job.metadata, job.spec.template
    stem, spec = f"{metadata.name}-", template.spec
    labels = dict(template.metadata.labels or {})
    annotations = dict(template.metadata.annotations or {})
    if index >= 0:
        labels[INDEX] = annotations[INDEX] = str(index)
        if job.spec.backoffLimitPerIndex is not None:
            annotations[FAILURES] = str(failures)
            if ignored:
                annotations[IGNORED_FAILURES] = str(ignored)
        stem = f"{(metadata.name or '')[:LONGEST_STEM]}-{index}-"
        spec = _with_index(spec, f"{metadata.name}-{index}")
    return Pod(
        metadata=ObjectMeta(
            generateName=stem,
            namespace=metadata.namespace,
            labels=labels or None,
            annotations=annotations or None,
            finalizers=[*(template.metadata.finalizers or ()), TRACKING],
            ownerReferences=[reference_to(job)],
        ),
        spec=spec,
    )


def _with_index(template: PodSpec, hostname: str) -> PodSpec:
    spec = codec.clone(template)
    spec.hostname = hostname
    field = ObjectFieldSelector(fieldPath=f"metadata.labels['{INDEX}']")
    for container in (*(spec.initContainers or ()), *spec.containers):
        if not any(one.name == ENVIRONMENT for one in container.env or ()):
            source = EnvVarSource(fieldRef=field)
            container.env = [*(container.env or ()), EnvVar(name=ENVIRONMENT, valueFrom=source)]
    return spec
