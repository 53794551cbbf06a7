"""From the metrics of a spec to proposals.

In:   one MetricSpec, and what it is about.
Out:  `Measured`: a number of replicas with its part of the status, or why there is none.
By:   podautoscaler.controller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kybern.api import selectors
from kybern.api.autoscaling import v2
from kybern.api.quantity import from_milli, to_milli
from kybern.api.scheme import SCHEME
from kybern.controllers.podautoscaler.plan import Measured
from kybern.controllers.podautoscaler.replicas import (
    Proposal,
    Rules,
    Unusable,
    by_pods,
    by_utilization,
    by_value,
    by_value_per_pod,
)

if TYPE_CHECKING:
    from kybern.api.core.v1 import Pod
    from kybern.controllers.podautoscaler.readings import Readings


class Target(NamedTuple):
    """What is scaled, as the metrics have to know it."""

    namespace: str
    selector: str
    pods: list[Pod]
    current: int
    """The replicas it is to have."""
    running: int
    """Those it has."""
    rules: Rules
    now: float


async def measure(readings: Readings, spec: v2.MetricSpec, target: Target) -> Measured:
    """Return what one metric calls for."""
    reason = f"FailedGet{spec.type}Metric"
    try:
        match spec.type:
            case "Resource" if spec.resource is not None:
                return await _resource(readings, spec.resource, target)
            case "ContainerResource" if spec.containerResource is not None:
                return await _container(readings, spec.containerResource, target)
            case "Pods" if spec.pods is not None:
                return await _pods(readings, spec.pods, target)
            case "Object" if spec.object is not None:
                return await _object(readings, spec.object, target)
            case "External" if spec.external is not None:
                return await _external(readings, spec.external, target)
        return Measured(
            "", reason="InvalidMetricSourceType", error=f"unknown metric source type {spec.type!r}"
        )
    except Unusable as error:
        return Measured("", reason=reason, error=str(error), told=_what(spec) + str(error))


def _what(spec: v2.MetricSpec) -> str:
    """Return what an event puts before the error of a metric."""
    if (resource := spec.resource) is not None:
        return f"failed to get {resource.name} resource metric value: "
    if (container := spec.containerResource) is not None:
        return f"failed to get {container.container} container metric value: "
    if (external := spec.external) is not None:
        name = external.metric.name
        per_pod = external.target.averageValue is not None
        aimed = f"{name} external metric" if per_pod else f"external metric {name}"
        return f"failed to get {name} external metric value: failed to get {aimed}: "
    if (about := spec.object) is not None:
        per_pod = about.target.averageValue is not None
        aimed = f"failed to get {about.metric.name} object metric: " if per_pod else ""
        return f"failed to get object metric value: {aimed}"
    return "failed to get pods metric value: "


async def _resource(
    readings: Readings, source: v2.ResourceMetricSource, target: Target
) -> Measured:
    found, name = await _of_resource(readings, source.name, "", source.target, target)
    current = _value(found, source.target)
    status = v2.ResourceMetricStatus(name=source.name, current=current)
    return Measured(name, found.replicas, v2.MetricStatus(type="Resource", resource=status))


async def _container(
    readings: Readings, source: v2.ContainerResourceMetricSource, target: Target
) -> Measured:
    container = source.container
    found, name = await _of_resource(readings, source.name, container, source.target, target)
    status = v2.ContainerResourceMetricStatus(
        name=source.name, container=container, current=_value(found, source.target)
    )
    shown = v2.MetricStatus(type="ContainerResource", containerResource=status)
    return Measured(name, found.replicas, shown)


async def _of_resource(
    readings: Readings, resource: str, container: str, wanted: v2.MetricTarget, target: Target
) -> tuple[Proposal, str]:
    if wanted.averageValue is None and wanted.averageUtilization is None:
        raise Unusable(
            "invalid resource metric source: neither an average utilization target nor an average "
            "value (usage) target was set"
        )
    aimed = "utilization" if wanted.averageValue is None else "usage"
    try:
        used = await readings.resource(target.namespace, target.selector, resource, container)
        if wanted.averageValue is not None:
            found = by_pods(
                target.current, target.pods, used, to_milli(wanted.averageValue), target.rules,
                target.now, cpu=resource == "cpu",
            )  # fmt: skip
            return found, f"{resource} resource"
        found = by_utilization(
            target.current, target.pods, used, wanted.averageUtilization or 0, resource, container,
            target.rules, target.now,
        )  # fmt: skip
    except Unusable as error:
        raise Unusable(f"failed to get {resource} {aimed}: {error}") from None
    name = f"{resource} container resource" if container else f"{resource} resource"
    return found, f"{name} utilization (percentage of request)"


async def _pods(readings: Readings, source: v2.PodsMetricSource, target: Target) -> Measured:
    metric = source.metric
    used = await readings.pods(target.namespace, target.selector, metric.name, _text(metric))
    aimed = _milli(source.target.averageValue, "pods")
    found = by_pods(target.current, target.pods, used, aimed, target.rules, target.now)
    current = v2.MetricValueStatus(averageValue=from_milli(found.average))
    status = v2.PodsMetricStatus(metric=metric, current=current)
    shown = v2.MetricStatus(type="Pods", pods=status)
    return Measured(f"pods metric {metric.name}", found.replicas, shown)


async def _object(readings: Readings, source: v2.ObjectMetricSource, target: Target) -> Measured:
    metric, about = source.metric, source.describedObject
    kind = SCHEME.by_kind(about.apiVersion or "v1", about.kind)
    resource = kind.group_resource if kind is not None else f"{about.kind.lower()}s"
    value = await readings.of_object(
        target.namespace, resource, about.name, metric.name, _text(metric)
    )
    found = _of_value(value, source.target, target, "object")
    status = v2.ObjectMetricStatus(
        metric=metric, describedObject=about, current=_value(found, source.target)
    )
    if source.target.averageValue is not None:
        name = f"external metric {metric.name}({_shown(metric)})"  # upstream calls it so
    else:
        name = f"{about.kind} metric {metric.name}"
    return Measured(name, found.replicas, v2.MetricStatus(type="Object", object=status))


async def _external(
    readings: Readings, source: v2.ExternalMetricSource, target: Target
) -> Measured:
    metric = source.metric
    value = await readings.external(target.namespace, metric.name, _text(metric), _shown(metric))
    found = _of_value(value, source.target, target, "external")
    status = v2.ExternalMetricStatus(metric=metric, current=_value(found, source.target))
    name = f"external metric {metric.name}({_shown(metric)})"
    return Measured(name, found.replicas, v2.MetricStatus(type="External", external=status))


def _of_value(value: int, wanted: v2.MetricTarget, target: Target, what: str) -> Proposal:
    if wanted.averageValue is not None:
        aimed = _milli(wanted.averageValue, what)
        return by_value_per_pod(target.running, value, aimed, target.rules)
    aimed = _milli(wanted.value, what)
    return by_value(target.current, target.pods, value, aimed, target.rules)


def _value(found: Proposal, wanted: v2.MetricTarget) -> v2.MetricValueStatus:
    amount = from_milli(found.average)
    if wanted.value is not None and wanted.averageValue is None:
        return v2.MetricValueStatus(value=amount)
    return v2.MetricValueStatus(averageValue=amount, averageUtilization=found.utilization)


def _milli(amount: str | None, what: str) -> int:
    value = to_milli(amount) if amount else 0
    if not value:
        raise Unusable(
            f"invalid {what} metric source: neither a value target nor an average value target "
            "was set"
        )
    return value


def _shown(metric: v2.MetricIdentifier) -> str:
    """Return the selector as upstream prints it in events."""
    if (selector := metric.selector) is None:
        return "nil"
    labels = "".join(
        f"{key}: {value}," for key, value in sorted((selector.matchLabels or {}).items())
    )
    requirements = "".join(
        f"LabelSelectorRequirement{{Key:{each.key},Operator:{each.operator},"
        f"Values:[{' '.join(each.values or ())}],}},"
        for each in selector.matchExpressions or ()
    )
    return (
        f"&LabelSelector{{MatchLabels:map[string]string{{{labels}}},"
        f"MatchExpressions:[]LabelSelectorRequirement{{{requirements}}},}}"
    )


def _text(metric: v2.MetricIdentifier) -> str:
    return "" if metric.selector is None else str(selectors.from_struct(metric.selector))
