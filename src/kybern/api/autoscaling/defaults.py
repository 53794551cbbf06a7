"""What a HorizontalPodAutoscaler gets that its author did not say.

In:   an object of either version as decoded.
Out:  the same object with defaults filled in, in place.
By:   `api.defaults`. Facts: upstream's `pkg/apis/autoscaling/v2/defaults.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kybern.api.autoscaling import v1, v2

if TYPE_CHECKING:
    from collections.abc import Callable

CPU_PERCENT: Final = 80


def default_autoscaler(obj: v1.HorizontalPodAutoscaler | v2.HorizontalPodAutoscaler) -> None:
    """At least one replica, aiming at 80 % of the requested CPU."""
    if obj.spec.minReplicas is None:
        obj.spec.minReplicas = 1
    if isinstance(obj, v1.HorizontalPodAutoscaler):
        if obj.spec.targetCPUUtilizationPercentage is None:
            obj.spec.targetCPUUtilizationPercentage = CPU_PERCENT
        return
    if not obj.spec.metrics:
        target = v2.MetricTarget(type="Utilization", averageUtilization=CPU_PERCENT)
        cpu = v2.ResourceMetricSource(name="cpu", target=target)
        obj.spec.metrics = [v2.MetricSpec(type="Resource", resource=cpu)]
    if obj.spec.behavior is not None:
        _default_behavior(obj.spec.behavior)


def _default_behavior(behavior: v2.HorizontalPodAutoscalerBehavior) -> None:
    if behavior.scaleUp is None:
        behavior.scaleUp = v2.HPAScalingRules()
    up = behavior.scaleUp
    if up.stabilizationWindowSeconds is None:
        up.stabilizationWindowSeconds = 0
    up.selectPolicy = up.selectPolicy or "Max"
    if up.policies is None:
        up.policies = [
            v2.HPAScalingPolicy(type="Pods", value=4, periodSeconds=15),
            v2.HPAScalingPolicy(type="Percent", value=100, periodSeconds=15),
        ]
    if behavior.scaleDown is None:
        behavior.scaleDown = v2.HPAScalingRules()
    down = behavior.scaleDown
    down.selectPolicy = down.selectPolicy or "Max"
    if down.policies is None:
        down.policies = [v2.HPAScalingPolicy(type="Percent", value=100, periodSeconds=15)]


DEFAULTERS: Final[dict[str, Callable[[Any], None]]] = {
    "HorizontalPodAutoscaler": default_autoscaler,
}
