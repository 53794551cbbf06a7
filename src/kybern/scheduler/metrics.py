"""What a scheduler shows on the metrics page of its process, under upstream's names.

In:   a scheduler's own counts; how long each cycle took.
Out:  gauges, counters and a histogram.
By:   loop. Of several schedulers in one process the last to run is shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from kybern.lib.metrics import REGISTRY

if TYPE_CHECKING:
    from collections.abc import Mapping

PENDING = REGISTRY.gauge("scheduler_pending_pods", "Pods without a node, by queue.", ("queue",))
ATTEMPTS = REGISTRY.gauge(
    "scheduler_schedule_attempts_total", "Attempts to find a node, by result.", ("result",)
)
ATTEMPTS.kind = "counter"
CACHE = REGISTRY.gauge(
    "scheduler_scheduler_cache_size", "What the scheduler knows of, by type.", ("type",)
)
CYCLE = REGISTRY.histogram(
    "scheduler_scheduling_algorithm_duration_seconds",
    "How long it took to decide about a pod.",
    buckets=tuple(0.00005 * 2**power for power in range(15)),
).labels()

# Upstream's names of the places where pods wait.
QUEUES = {"active": "active", "backoff": "backoff", "parked": "unschedulable", "gated": "gated"}
TYPES = {"nodes": "nodes", "placed_pods": "pods", "assumed_pods": "assumed_pods"}


class Shown(Protocol):
    """A scheduler that knows its counts."""

    def statistics(self) -> Mapping[str, int]:
        """Return what waits, what runs, and what was done."""


_shown: list[Shown] = []


def watch(scheduler: Shown) -> None:
    """Show a scheduler's counts from now on."""
    if not _shown:
        REGISTRY.on_expose(_collect)
    _shown[:] = [scheduler]


def _collect() -> None:
    counts = _shown[0].statistics()
    for place, queue in QUEUES.items():
        PENDING.labels(queue).set(counts[place])
    for key, type_ in TYPES.items():
        CACHE.labels(type_).set(counts[key])
    ATTEMPTS.labels("scheduled").set(counts["scheduled"])
    ATTEMPTS.labels("unschedulable").set(counts["failed"])
