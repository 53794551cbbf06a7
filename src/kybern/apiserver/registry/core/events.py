"""Events: one storage, two groups, an hour of life.

In:   events of core/v1 and events.k8s.io/v1.
Out:  the same object in the other's words; stored as core/v1.
By:   registry.special.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api.core import v1 as core
from kybern.api.events import v1 as events
from kybern.apiserver.registry.strategy import Strategy

if TYPE_CHECKING:
    from kybern.api.scheme import Kind
    from kybern.apiserver.registry.rules import Rules

SAME = (
    "metadata", "reason", "type", "eventTime", "action", "reportingInstance", "related",
)  # fmt: skip
RENAMED = (
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
)
"""(events.k8s.io, core)"""


class EventStrategy(Strategy):
    """Events vanish by themselves."""

    def __init__(self, kind: Kind, rules: Rules, ttl: float = 3600.0) -> None:
        super().__init__(kind, rules)
        self.ttl = ttl


def to_core(event: events.Event) -> core.Event:
    """Return an event in the words of core/v1."""
    found = core.Event()
    _copy(event, found, RENAMED)
    if event.series is not None:
        found.series = core.EventSeries(
            count=event.series.count, lastObservedTime=event.series.lastObservedTime
        )
    return found


def from_core(event: core.Event) -> events.Event:
    """Return an event in the words of events.k8s.io/v1."""
    found = events.Event()
    _copy(event, found, [(to, from_) for from_, to in RENAMED])
    if event.series is not None:
        found.series = events.EventSeries(
            count=event.series.count or 0,
            lastObservedTime=event.series.lastObservedTime,
        )
    return found


def _copy(source: Any, target: Any, renamed: Any) -> None:
    for name in SAME:
        setattr(target, name, getattr(source, name))
    for from_, to in renamed:
        value = getattr(source, from_)
        if value is not None:
            setattr(target, to, value)
