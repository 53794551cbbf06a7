"""Columns of what runs pods: apps, batch, autoscaling, policy.

In:   objects.
Out:  their cells.
By:   all.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.apiserver.registry.columns import words
from kybern.apiserver.registry.columns.layout import AGE, Columns
from kybern.apiserver.registry.columns.words import NONE

if TYPE_CHECKING:
    from collections.abc import Callable


def _deployment(obj: Any) -> list[Any]:
    spec, status = obj.spec, obj.status
    return [
        obj.metadata.name, f"{status.readyReplicas or 0}/{spec.replicas or 0}",
        status.updatedReplicas or 0, status.availableReplicas or 0, AGE,
        *words.containers(spec.template), words.selector(spec.selector),
    ]  # fmt: skip


def _replica_set(obj: Any) -> list[Any]:
    spec, status = obj.spec, obj.status
    return [
        obj.metadata.name, spec.replicas or 0, status.replicas or 0, status.readyReplicas or 0, AGE,
        *words.containers(spec.template), words.selector(spec.selector),
    ]  # fmt: skip


def _daemon_set(obj: Any) -> list[Any]:
    spec, status = obj.spec, obj.status
    return [
        obj.metadata.name, status.desiredNumberScheduled, status.currentNumberScheduled,
        status.numberReady, status.updatedNumberScheduled or 0, status.numberAvailable or 0,
        words.labels(spec.template.spec.nodeSelector), AGE, *words.containers(spec.template),
        words.selector(spec.selector),
    ]  # fmt: skip


def _stateful_set(obj: Any) -> list[Any]:
    ready = f"{obj.status.readyReplicas or 0}/{obj.spec.replicas or 0}"
    return [obj.metadata.name, ready, AGE, *words.containers(obj.spec.template)]


def _job(obj: Any) -> list[Any]:
    return [
        obj.metadata.name, _job_state(obj), _completions(obj), _job_duration(obj), AGE,
        *words.containers(obj.spec.template), words.selector(obj.spec.selector),
    ]  # fmt: skip


def _job_state(obj: Any) -> str:
    true = {c.type for c in obj.status.conditions or () if c.status == "True"}
    for name, shown in (
        ("Complete", "Complete"), ("Failed", "Failed"), ("Suspended", "Suspended"),
        ("FailureTarget", "FailureTarget"), ("SuccessCriteriaMet", "SuccessCriteriaMet"),
    ):  # fmt: skip
        if name in true:
            return shown
    return "Terminating" if obj.metadata.deletionTimestamp else "Running"


def _completions(obj: Any) -> str:
    done = obj.status.succeeded or 0
    if obj.spec.completions is not None:
        return f"{done}/{obj.spec.completions}"
    parallel = obj.spec.parallelism or 0
    return f"{done}/1 of {parallel}" if parallel > 1 else f"{done}/1"


def _job_duration(obj: Any) -> Callable[[float], str]:
    status = obj.status
    return lambda now: words.until(status.startTime, status.completionTime, now)


def _cron_job(obj: Any) -> list[Any]:
    spec, last = obj.spec, obj.status.lastScheduleTime
    template = spec.jobTemplate.spec
    return [
        obj.metadata.name, spec.schedule, spec.timeZone or NONE, str(bool(spec.suspend)),
        len(obj.status.active or ()), lambda now: words.since(last, now) if last else NONE, AGE,
        *words.containers(template.template), words.selector(template.selector),
    ]  # fmt: skip


def _revision(obj: Any) -> list[Any]:
    owners = [r for r in obj.metadata.ownerReferences or () if r.controller]
    owner = NONE
    if owners:
        group = owners[0].apiVersion.rpartition("/")[0]
        kind = owners[0].kind.lower()
        owner = f"{kind}.{group}/{owners[0].name}" if group else f"{kind}/{owners[0].name}"
    return [obj.metadata.name, owner, obj.revision, AGE]


def _autoscaler_v1(obj: Any) -> list[Any]:
    spec, status = obj.spec, obj.status
    wanted, current = spec.targetCPUUtilizationPercentage, status.currentCPUUtilizationPercentage
    target = NONE
    if wanted is not None:
        target = f"cpu: {'<unknown>' if current is None else f'{current}%'}/{wanted}%"
    return _autoscaler_row(obj, target)


def _autoscaler(obj: Any) -> list[Any]:
    current = list(obj.status.currentMetrics or ())
    texts = [
        _metric(metric, current[i] if i < len(current) else None)
        for i, metric in enumerate(obj.spec.metrics or ())
    ]
    more = f" + {len(texts) - 2} more..." if len(texts) > 2 else ""
    return _autoscaler_row(obj, (", ".join(texts[:2]) + more) or NONE)


def _metric(metric: Any, current: Any) -> str:
    source = _source(metric)
    if source is None:
        return "<unknown type>"
    now = _source(current) if current is not None else None
    value = now.current if now is not None else None
    name = getattr(source, "name", "")
    head = f"{name}: " if name else ""
    target = source.target
    if target.averageUtilization is not None:
        shown = getattr(value, "averageUtilization", None)
        seen = "<unknown>" if shown is None else f"{shown}%"
        return f"{head}{seen}/{target.averageUtilization}%"
    if target.averageValue is not None:
        seen = getattr(value, "averageValue", None) or "<unknown>"
        return f"{head}{seen}/{target.averageValue}" + ("" if head else " (avg)")
    seen = getattr(value, "value", None) or "<unknown>"
    return f"{head}{seen}/{target.value}"


def _source(metric: Any) -> Any:
    for name in ("resource", "containerResource", "pods", "object", "external"):
        if getattr(metric, name, None) is not None:
            return getattr(metric, name)
    return None


def _autoscaler_row(obj: Any, targets: str) -> list[Any]:
    spec = obj.spec
    reference = f"{spec.scaleTargetRef.kind}/{spec.scaleTargetRef.name}"
    low = "<unset>" if spec.minReplicas is None else str(spec.minReplicas)
    return [
        obj.metadata.name, reference, targets, low, spec.maxReplicas,
        obj.status.currentReplicas or 0, AGE,
    ]  # fmt: skip


def _budget(obj: Any) -> list[Any]:
    spec = obj.spec
    low = "N/A" if spec.minAvailable is None else str(spec.minAvailable)
    high = "N/A" if spec.maxUnavailable is None else str(spec.maxUnavailable)
    return [obj.metadata.name, low, high, obj.status.disruptionsAllowed or 0, AGE]


_HPA = "Name  Reference  Targets  MinPods  MaxPods  Replicas  Age"
_TEMPLATE = "Containers  Images  Selector"
COLUMNS = {
    ("apps", "Deployment"): Columns(
        f"Name  Ready  Up-to-date  Available  Age|{_TEMPLATE}", _deployment
    ),
    ("apps", "ReplicaSet"): Columns(
        f"Name  Desired  Current  Ready  Age|{_TEMPLATE}", _replica_set
    ),
    ("apps", "DaemonSet"): Columns(
        f"Name  Desired  Current  Ready  Up-to-date  Available  Node Selector  Age|{_TEMPLATE}",
        _daemon_set,
    ),
    ("apps", "StatefulSet"): Columns("Name  Ready  Age|Containers  Images", _stateful_set),
    ("apps", "ControllerRevision"): Columns("Name  Controller  Revision  Age", _revision),
    ("batch", "Job"): Columns(f"Name  Status  Completions  Duration  Age|{_TEMPLATE}", _job),
    ("batch", "CronJob"): Columns(
        f"Name  Schedule  Timezone  Suspend  Active  Last Schedule  Age|{_TEMPLATE}", _cron_job
    ),
    ("policy", "PodDisruptionBudget"): Columns(
        "Name  Min Available  Max Unavailable  Allowed Disruptions  Age", _budget
    ),
}
AUTOSCALERS = {"v1": Columns(_HPA, _autoscaler_v1), "v2": Columns(_HPA, _autoscaler)}
