"""How many replicas a metric calls for."""

from __future__ import annotations

from typing import Any

import pytest

from kybern.api import codec
from kybern.api.core.v1 import Pod
from kybern.controllers.podautoscaler.replicas import (
    Reading,
    Rules,
    Unusable,
    by_pods,
    by_utilization,
    by_value,
    by_value_per_pod,
)
from kybern.lib.clock import parse_rfc3339

NOW = parse_rfc3339("2026-01-01T01:00:00Z")
RULES = Rules()


def pod(name: str, *, cpu: str | None = "1", phase: str = "Running", ready: str = "True",
        started: str = "2026-01-01T00:00:00Z", going: bool = False) -> Pod:  # fmt: skip
    requests = {"cpu": cpu} if cpu else {}
    condition = {"type": "Ready", "status": ready, "lastTransitionTime": started}
    meta: dict[str, Any] = {"name": name}
    if going:
        meta["deletionTimestamp"] = started
    tree = {
        "metadata": meta,
        "spec": {"containers": [{"name": "c", "image": "i", "resources": {"requests": requests}}]},
        "status": {"phase": phase, "startTime": started, "conditions": [condition]},
    }
    return codec.from_tree(tree, Pod)


def used(**milli: int) -> dict[str, Reading]:
    return {name: Reading(value, NOW - 5, 15) for name, value in milli.items()}


def utilization(current: int, pods: list[Pod], found: dict[str, Reading], target: int = 50) -> Any:
    return by_utilization(current, pods, found, target, "cpu", "", RULES, NOW)


class TestUtilization:
    def test_twice_what_is_aimed_at_is_twice_as_many(self) -> None:
        pods = [pod("a"), pod("b")]
        found = utilization(2, pods, used(a=1000, b=1000))
        assert (found.replicas, found.average, found.utilization) == (4, 1000, 100)

    def test_a_little_off_is_left_alone(self) -> None:
        assert utilization(2, [pod("a"), pod("b")], used(a=540, b=540)).replicas == 2

    def test_a_pod_without_a_reading_counts_against_the_change(self) -> None:
        pods = [pod("a"), pod("b"), pod("c")]
        assert utilization(3, pods, used(a=1000, b=1000)).replicas == 4  # c as idle
        # going down, c as if it used all it requests: then there is no reason to
        assert utilization(3, pods, used(a=100, b=100)).replicas == 3

    def test_a_pod_that_has_just_started_counts_as_idle_going_up(self) -> None:
        new = pod("b", started="2026-01-01T00:59:58Z", ready="False")
        assert utilization(2, [pod("a"), new], used(a=1000, b=5000)).replicas == 2
        assert utilization(2, [pod("a"), new], used(a=2000, b=5000)).replicas == 4

    def test_pods_that_are_going_or_failed_do_not_count(self) -> None:
        pods = [pod("a"), pod("b", going=True), pod("c", phase="Failed")]
        assert utilization(1, pods, used(a=1000, b=9000, c=9000)).replicas == 2

    @pytest.mark.parametrize(
        ("pods", "found", "why"),
        [
            ([], {}, "no pods returned by selector while calculating replica count"),
            ([pod("a", phase="Pending")], {}, "did not receive metrics for targeted pods"),
            ([pod("a", cpu=None)], used(a=5), "missing request for cpu in container c of Pod a"),
        ],
    )
    def test_what_cannot_be_told(self, pods: list[Pod], found: dict, why: str) -> None:
        with pytest.raises(Unusable, match=why):
            utilization(1, pods, found)


def test_an_average_amount() -> None:
    pods = [pod("a"), pod("b")]
    found = by_pods(2, pods, used(a=30_000, b=50_000), 20_000, RULES, NOW)
    assert (found.replicas, found.average, found.utilization) == (4, 40_000, None)


class TestOneValueForAll:
    def test_in_proportion_to_the_ready_pods(self) -> None:
        pods = [pod("a"), pod("b"), pod("c", ready="False")]
        assert by_value(3, pods, 40, 20, RULES).replicas == 4

    def test_from_nothing(self) -> None:
        assert by_value(0, [], 0, 20, RULES).replicas == 0
        assert by_value(0, [], 50, 20, RULES).replicas == 3

    def test_a_share_for_each(self) -> None:
        found = by_value_per_pod(2, 100_000, 20_000, RULES)
        assert (found.replicas, found.average) == (5, 50_000)
        assert by_value_per_pod(5, 100_000, 20_000, RULES).replicas == 5
        assert by_value_per_pod(0, 100_000, 20_000, RULES).replicas == 5
