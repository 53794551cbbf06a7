"""HorizontalPodAutoscaler in versions 1 and 2: stored as 2.

In:   objects of one version.
Out:  the same in the other.
By:   registry.special. What version 1 has no field for travels in annotations, as upstream.
"""

from __future__ import annotations

from typing import Any

import msgspec

from kybern.api import codec
from kybern.api.autoscaling import v1, v2

METRICS = "autoscaling.alpha.kubernetes.io/metrics"
CONDITIONS = "autoscaling.alpha.kubernetes.io/conditions"
BEHAVIOR = "autoscaling.alpha.kubernetes.io/behavior"
CURRENT = "autoscaling.alpha.kubernetes.io/current-metrics"


def to_v2(old: v1.HorizontalPodAutoscaler) -> v2.HorizontalPodAutoscaler:
    """Return the object in version 2."""
    meta = old.metadata
    carried = {k: v for k, v in (meta.annotations or {}).items() if k in _CARRIED}
    if carried:
        rest = {k: v for k, v in (meta.annotations or {}).items() if k not in _CARRIED}
        meta.annotations = rest or None
    spec = v2.HorizontalPodAutoscalerSpec(
        scaleTargetRef=_ref(old.spec.scaleTargetRef, v2.CrossVersionObjectReference),
        minReplicas=old.spec.minReplicas,
        maxReplicas=old.spec.maxReplicas,
    )
    metrics = []
    if old.spec.targetCPUUtilizationPercentage is not None:
        target = v2.MetricTarget(
            type="Utilization", averageUtilization=old.spec.targetCPUUtilizationPercentage
        )
        metrics.append(
            v2.MetricSpec(
                type="Resource", resource=v2.ResourceMetricSource(name="cpu", target=target)
            )
        )
    metrics += _carried(carried, METRICS, list[v2.MetricSpec]) or []
    spec.metrics = metrics or None
    spec.behavior = _carried(carried, BEHAVIOR, v2.HorizontalPodAutoscalerBehavior)
    status = v2.HorizontalPodAutoscalerStatus(
        observedGeneration=old.status.observedGeneration,
        lastScaleTime=old.status.lastScaleTime,
        currentReplicas=old.status.currentReplicas,
        desiredReplicas=old.status.desiredReplicas,
    )
    current = []
    if old.status.currentCPUUtilizationPercentage is not None:
        value = v2.MetricValueStatus(averageUtilization=old.status.currentCPUUtilizationPercentage)
        resource = v2.ResourceMetricStatus(name="cpu", current=value)
        current.append(v2.MetricStatus(type="Resource", resource=resource))
    current += _carried(carried, CURRENT, list[v2.MetricStatus]) or []
    status.currentMetrics = current or None
    found = _carried(carried, CONDITIONS, list[v2.HorizontalPodAutoscalerCondition])
    status.conditions = found
    return v2.HorizontalPodAutoscaler(metadata=meta, spec=spec, status=status)


def to_v1(new: v2.HorizontalPodAutoscaler) -> v1.HorizontalPodAutoscaler:
    """Return the object in version 1."""
    carried: dict[str, str] = {}
    spec = v1.HorizontalPodAutoscalerSpec(
        scaleTargetRef=_ref(new.spec.scaleTargetRef, v1.CrossVersionObjectReference),
        minReplicas=new.spec.minReplicas,
        maxReplicas=new.spec.maxReplicas,
    )
    others = []
    for metric in new.spec.metrics or ():
        utilization = _cpu_target(metric)
        if utilization is not None and spec.targetCPUUtilizationPercentage is None:
            spec.targetCPUUtilizationPercentage = utilization
        else:
            others.append(metric)
    _carry(carried, METRICS, others)
    _carry(carried, BEHAVIOR, new.spec.behavior)
    status = v1.HorizontalPodAutoscalerStatus(
        observedGeneration=new.status.observedGeneration,
        lastScaleTime=new.status.lastScaleTime,
        currentReplicas=new.status.currentReplicas or 0,
        desiredReplicas=new.status.desiredReplicas,
    )
    other_current = []
    for found in new.status.currentMetrics or ():
        resource = found.resource
        if resource is not None and resource.name == "cpu":
            status.currentCPUUtilizationPercentage = resource.current.averageUtilization
        else:
            other_current.append(found)
    _carry(carried, CURRENT, other_current)
    _carry(carried, CONDITIONS, new.status.conditions)
    if carried:
        new.metadata.annotations = {**(new.metadata.annotations or {}), **carried}
    return v1.HorizontalPodAutoscaler(metadata=new.metadata, spec=spec, status=status)


_CARRIED = frozenset((METRICS, CONDITIONS, BEHAVIOR, CURRENT))


def _ref(ref: Any, make: Any) -> Any:
    return make(kind=ref.kind, name=ref.name, apiVersion=ref.apiVersion)


def _cpu_target(metric: v2.MetricSpec) -> int | None:
    resource = metric.resource
    if resource is None or resource.name != "cpu":
        return None
    return resource.target.averageUtilization


def _carry(carried: dict[str, str], name: str, value: Any) -> None:
    if value:
        carried[name] = codec.encode(value).decode()


def _carried(carried: dict[str, str], name: str, type_: Any) -> Any:
    """Return what an annotation says; None when it is missing or, as anyone writes it, nonsense."""
    text = carried.get(name)
    if not text:
        return None
    try:
        return codec.decode(text.encode(), type_)
    except (msgspec.DecodeError, ValueError):
        return None
