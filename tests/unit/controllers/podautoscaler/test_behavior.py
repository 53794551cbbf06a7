"""How much, and how fast."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kybern.api.autoscaling.v2 import (
    HorizontalPodAutoscalerBehavior,
    HPAScalingPolicy,
    HPAScalingRules,
)
from kybern.controllers.podautoscaler.behavior import At, Bounds, History, settle


def rules(*policies: tuple[str, int, int], window: int = 0, select: str = "Max") -> HPAScalingRules:
    return HPAScalingRules(
        policies=[HPAScalingPolicy(type=t, value=v, periodSeconds=p) for t, v, p in policies],
        stabilizationWindowSeconds=window,
        selectPolicy=select,
    )


def bounds(
    least: int = 1,
    most: int = 100,
    up: HPAScalingRules | None = None,
    down: HPAScalingRules | None = None,
) -> Bounds:
    behavior = None
    if up or down:
        behavior = HorizontalPodAutoscalerBehavior(
            scaleUp=up or rules(("Percent", 100, 15), ("Pods", 4, 15)),
            scaleDown=down or rules(("Percent", 100, 15)),
        )
    return Bounds(least, most, 300.0, behavior)


class TestWithoutRules:
    @pytest.mark.parametrize(
        ("current", "wanted", "replicas", "reason"),
        [
            (3, 5, 5, "DesiredWithinRange"),
            (3, 50, 6, "ScaleUpLimit"),  # double at most
            (1, 50, 4, "ScaleUpLimit"),  # or four
            (80, 150, 100, "TooManyReplicas"),
            (3, 0, 1, "TooFewReplicas"),
        ],
    )
    def test_limits(self, current: int, wanted: int, replicas: int, reason: str) -> None:
        verdict = settle(current, wanted, bounds(), History(), 0.0)
        assert (verdict.replicas, verdict.why[0]) == (replicas, reason)
        assert verdict.limited is (reason != "DesiredWithinRange")

    def test_it_goes_down_only_when_that_was_wanted_for_long_enough(self) -> None:
        history = History()
        settle(5, 5, bounds(), history, 0.0)
        verdict = settle(5, 2, bounds(), history, 299.0)
        assert (verdict.replicas, verdict.able[0]) == (5, "ScaleDownStabilized")
        verdict = settle(5, 2, bounds(), history, 301.0)
        assert (verdict.replicas, verdict.able[0]) == (2, "ReadyForNewScale")


class TestWithRules:
    def test_so_many_pods_in_a_period(self) -> None:
        limits = bounds(up=rules(("Pods", 2, 60)))
        history = History()
        assert settle(3, 10, limits, history, 0.0).replicas == 5
        history.scaled(3, 5, 0.0)
        assert settle(5, 10, limits, history, 30.0).replicas == 5
        assert settle(5, 10, limits, history, 61.0).replicas == 7

    def test_the_policy_that_allows_more_or_less_of_it(self) -> None:
        both = (("Pods", 1, 60), ("Percent", 50, 60))
        assert settle(10, 99, bounds(up=rules(*both)), History(), 0.0).replicas == 15
        least = rules(*both, select="Min")
        assert settle(10, 99, bounds(up=least), History(), 0.0).replicas == 11
        assert settle(10, 1, bounds(down=rules(*both)), History(), 0.0).replicas == 5
        assert settle(10, 1, bounds(down=least), History(), 0.0).replicas == 9

    def test_not_at_all(self) -> None:
        no = rules(("Pods", 9, 60), select="Disabled")
        assert settle(5, 1, bounds(down=no), History(), 0.0).replicas == 5
        assert settle(5, 9, bounds(up=no), History(), 0.0).replicas == 5

    def test_windows_for_both_directions(self) -> None:
        limits = bounds(
            up=rules(("Pods", 99, 15), window=60), down=rules(("Pods", 99, 15), window=120)
        )
        history = History(recommended=[At(0.0, 4)])
        assert settle(4, 8, limits, history, 30.0).able[0] == "ScaleUpStabilized"
        verdict = settle(4, 8, limits, history, 89.0)
        assert verdict.replicas == 8
        history = History(recommended=[At(0.0, 8)])
        assert settle(8, 2, limits, history, 100.0).replicas == 8
        assert settle(8, 2, limits, history, 121.0).replicas == 2


@given(
    current=st.integers(0, 200), wanted=st.integers(0, 400), least=st.integers(0, 20),
    most=st.integers(20, 300), with_rules=st.booleans(), earlier=st.lists(st.integers(0, 300)),
)  # fmt: skip
def test_never_outside_of_what_is_allowed(
    current: int, wanted: int, least: int, most: int, with_rules: bool, earlier: list[int]
) -> None:
    current = min(max(current, least), most)
    history = History(recommended=[At(float(i), n) for i, n in enumerate(earlier)])
    up = rules(("Percent", 100, 15), ("Pods", 4, 15)) if with_rules else None
    verdict = settle(current, wanted, bounds(least, most, up), history, 60.0)
    assert least <= verdict.replicas <= most
    if wanted == current and all(n == current for n in earlier):
        assert verdict.replicas == current
