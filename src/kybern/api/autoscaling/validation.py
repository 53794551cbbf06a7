"""What HorizontalPodAutoscalers must be, in either version.

In:   a HorizontalPodAutoscaler or a Scale.
Out:  problems; the table `VALIDATORS`.
By:   `api.validation`. Facts: upstream's `pkg/apis/autoscaling/validation/validation.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kybern.api import names
from kybern.api.autoscaling import v1, v2
from kybern.api.field_path import (
    Path,
    Problem,
    all_invalid,
    forbidden,
    invalid,
    not_supported,
    required,
)
from kybern.api.meta.validation import (
    SPEC,
    STATUS,
    check_all_not_negative,
    check_meta_update,
    check_not_negative,
    check_selector,
)
from kybern.api.quantity import parse
from kybern.api.rules import Rules, rules

if TYPE_CHECKING:
    Autoscaler = v1.HorizontalPodAutoscaler | v2.HorizontalPodAutoscaler

SOURCES: Final = {
    "ContainerResource": "containerResource",
    "External": "external",
    "Object": "object",
    "Pods": "pods",
    "Resource": "resource",
}
WINDOW_MAX: Final = 3600
PERIOD_MAX: Final = 1800


def check_autoscaler(obj: Autoscaler, out: list[Problem]) -> None:
    """Between how many and how many, and by which measure."""
    spec = obj.spec
    lowest = spec.minReplicas
    if lowest is not None and lowest < 1:
        out.append(invalid(SPEC / "minReplicas", lowest, "must be greater than or equal to 1"))
    if spec.maxReplicas < 1:
        out.append(invalid(SPEC / "maxReplicas", spec.maxReplicas, "must be greater than 0"))
    if lowest is not None and spec.maxReplicas < lowest:
        told = "must be greater than or equal to `minReplicas`"
        out.append(invalid(SPEC / "maxReplicas", spec.maxReplicas, told))
    _check_target_ref(spec.scaleTargetRef, SPEC / "scaleTargetRef", out)
    if isinstance(obj, v1.HorizontalPodAutoscaler):
        percent = obj.spec.targetCPUUtilizationPercentage
        if percent is not None and percent < 1:
            place = SPEC / "targetCPUUtilizationPercentage"
            out.append(invalid(place, percent, "must be greater than 0"))
        return
    for index, metric in enumerate(obj.spec.metrics or ()):
        _check_metric(metric, (SPEC / "metrics")[index], out)
    behavior = obj.spec.behavior
    if behavior is not None:
        for field in ("scaleUp", "scaleDown"):
            wanted = getattr(behavior, field)
            if wanted is not None:
                _check_scaling(wanted, SPEC / "behavior" / field, out)


def _check_target_ref(
    ref: v1.CrossVersionObjectReference | v2.CrossVersionObjectReference,
    path: Path,
    out: list[Problem],
) -> None:
    for field in ("kind", "name"):
        text = getattr(ref, field)
        if not text:
            out.append(required(path / field))
        else:
            out += all_invalid(path / field, text, names.path_segment(text))


def _check_metric(metric: v2.MetricSpec, path: Path, out: list[Problem]) -> None:
    if not metric.type:
        out.append(required(path / "type", "must specify a metric source type"))
    if metric.type not in SOURCES:
        out.append(not_supported(path / "type", metric.type, tuple(SOURCES)))
    given = [field for field in SOURCES.values() if getattr(metric, field) is not None]
    wanted = SOURCES.get(metric.type, metric.type.lower())
    if wanted not in given:
        told = "must populate information for the given metric source"
        out.append(required(path / wanted, told))
    others = [field for field in given if field != wanted]
    told = "must populate the given metric source only"
    out += [forbidden(path / field, told) for field in others]
    if given:
        _check_source(given[0], getattr(metric, given[0]), path / given[0], out)


def _check_source(kind: str, source: Any, path: Path, out: list[Problem]) -> None:
    if kind in ("resource", "containerResource"):
        if not source.name:
            out.append(required(path / "name", "must specify a resource name"))
        if kind == "containerResource" and not source.container:
            out.append(required(path / "container", "must specify a container"))
        _check_resource_target(source.target, path / "target", out)
        return
    if kind == "object":
        _check_target_ref(source.describedObject, path / "describedObject", out)
    metric = source.metric
    if not metric.name:
        out.append(required(path / "metric" / "name", "must specify a metric name"))
    elif messages := names.path_segment(metric.name):
        out += all_invalid(path / "metric" / "name", metric.name, messages)
    check_selector(metric.selector, path / "metric" / "selector", out)
    _check_target(source.target, path / "target", out)
    _check_values_given(kind, source.target, path / "target", out)


def _check_target(target: v2.MetricTarget, path: Path, out: list[Problem]) -> None:
    known = ("Utilization", "Value", "AverageValue")
    if not target.type:
        out.append(required(path / "type", "must specify a metric target type"))
    elif target.type not in known:
        told = "must be either Utilization, Value, or AverageValue"
        out.append(invalid(path / "type", target.type, told))
    for field in ("value", "averageValue"):
        text = getattr(target, field)
        if text is not None and parse(text).nanos <= 0:
            out.append(invalid(path / field, text, "must be positive"))
    percent = target.averageUtilization
    if percent is not None and percent < 1:
        out.append(invalid(path / "averageUtilization", percent, "must be greater than 0"))


def _check_values_given(kind: str, target: v2.MetricTarget, path: Path, out: list[Problem]) -> None:
    if kind == "pods":
        if target.averageValue is None:
            told = "must specify a positive target averageValue"
            out.append(required(path / "averageValue", told))
        return
    if target.value is None and target.averageValue is None:
        told = "must set either a target value or averageValue"
        out.append(required(path / "averageValue", told))
    if kind == "external" and target.value is not None and target.averageValue is not None:
        told = "may not set both a target value for metric and a per-pod target"
        out.append(forbidden(path / "value", told))


def _check_resource_target(target: v2.MetricTarget, path: Path, out: list[Problem]) -> None:
    _check_target(target, path, out)
    percent, value = target.averageUtilization, target.averageValue
    if percent is None and value is None:
        told = "must set either a target raw value or a target utilization"
        out.append(required(path / "averageUtilization", told))
    if percent is not None and value is not None:
        told = "may not set both a target raw value and a target utilization"
        out.append(forbidden(path / "averageValue", told))


def _check_scaling(wanted: v2.HPAScalingRules, path: Path, out: list[Problem]) -> None:
    window = wanted.stabilizationWindowSeconds
    check_not_negative(window, path, "stabilizationWindowSeconds", out)
    if window is not None and window > WINDOW_MAX:
        told = f"must be less than or equal to {WINDOW_MAX}"
        out.append(invalid(path / "stabilizationWindowSeconds", window, told))
    known = ("Disabled", "Max", "Min")
    if wanted.selectPolicy is not None and wanted.selectPolicy not in known:
        out.append(not_supported(path / "selectPolicy", wanted.selectPolicy, known))
    if not wanted.policies:
        out.append(required(path / "policies", "must specify at least one Policy"))
    for index, policy in enumerate(wanted.policies or ()):
        _check_policy(policy, (path / "policies")[index], out)
    if wanted.tolerance is not None and parse(wanted.tolerance).nanos < 0:
        told = "must be greater than or equal to 0"
        out.append(invalid(path / "tolerance", wanted.tolerance, told))


def _check_policy(policy: v2.HPAScalingPolicy, path: Path, out: list[Problem]) -> None:
    if policy.type not in ("Percent", "Pods"):
        out.append(not_supported(path / "type", policy.type, ("Percent", "Pods")))
    for field in ("value", "periodSeconds"):
        number = getattr(policy, field)
        if number <= 0:
            out.append(invalid(path / field, number, "must be greater than zero"))
    if policy.periodSeconds > PERIOD_MAX:
        told = f"must be less than or equal to {PERIOD_MAX}"
        out.append(invalid(path / "periodSeconds", policy.periodSeconds, told))


def validate_autoscaler_status_update(new: Autoscaler, old: Autoscaler) -> list[Problem]:
    """New counts."""
    out: list[Problem] = []
    check_meta_update(new.metadata, old.metadata, out)
    check_all_not_negative(new.status, STATUS, ("currentReplicas", "desiredReplicas"), out)
    return out


def check_scale(obj: v1.Scale, out: list[Problem]) -> None:
    """How many are wanted, through a scale subresource."""
    check_not_negative(obj.spec.replicas, SPEC, "replicas", out)


VALIDATORS: Final[dict[str, Rules]] = {
    "HorizontalPodAutoscaler": rules(check_autoscaler, status=validate_autoscaler_status_update),
    "Scale": rules(check_scale),
}
