"""How fast pods may be driven off the nodes of a zone.

In:   which nodes of which zone are ready.
Out:  a rate per zone, and whether it is time for the next node.
By:   nodelifecycle.controller. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kybern.api.core.v1 import Node

REGION = "topology.kubernetes.io/region"
ZONE = "topology.kubernetes.io/zone"


class ZoneState(Enum):
    """How a zone is doing."""

    NORMAL = "Normal"
    PARTIAL = "PartialDisruption"  # most nodes are not ready
    FULL = "FullDisruption"  # none is


@dataclass(frozen=True, slots=True)
class Rates:
    """Nodes per second, by the state of their zone.

    Attributes:
        normal: also where everything has failed in one zone of several.
        partial: where most has failed in a big zone; in a small one nothing is driven off.
        threshold: share of nodes that have to fail for a zone to be in trouble.
        big: a zone is big with more nodes than this.
    """

    normal: float
    partial: float
    threshold: float
    big: int


def zone_of(node: Node) -> str:
    """Return the zone of a node; all nodes without labels share one."""
    labels = node.metadata.labels or {}
    return f"{labels.get(REGION, '')}/{labels.get(ZONE, '')}"


def state(ready: int, not_ready: int, threshold: float) -> ZoneState:
    """Judge a zone."""
    if ready == 0 and not_ready > 0:
        return ZoneState.FULL
    if not_ready > 2 and not_ready / (ready + not_ready) >= threshold:
        return ZoneState.PARTIAL
    return ZoneState.NORMAL


class Limiter:
    """Lets one node of a zone pass at a time."""

    def __init__(self, rates: Rates) -> None:
        self._rates = rates
        self._states: dict[str, ZoneState] = {}
        self._sizes: dict[str, int] = {}
        self._next: dict[str, float] = {}

    @property
    def all_down(self) -> bool:
        """Whether no node of any zone is ready: then it is us who are cut off."""
        return bool(self._states) and set(self._states.values()) == {ZoneState.FULL}

    def update(self, zones: Mapping[str, tuple[int, int]]) -> None:
        """Take note of how many nodes of each zone are ready and not ready."""
        threshold = self._rates.threshold
        self._states = {zone: state(*counts, threshold) for zone, counts in zones.items()}
        self._sizes = {zone: sum(counts) for zone, counts in zones.items()}

    def rate(self, zone: str) -> float:
        """Return how many nodes a second pods may be driven off from in a zone."""
        if self.all_down:
            return 0.0
        if self._states.get(zone) is ZoneState.PARTIAL:
            return self._rates.partial if self._sizes[zone] > self._rates.big else 0.0
        return self._rates.normal

    def wait(self, zone: str, now: float) -> float | None:
        """Take the turn and return 0; or return the seconds until there is one, None for never."""
        rate = self.rate(zone)
        if rate <= 0:
            return None
        due = self._next.get(zone, now)
        if due > now:
            return due - now
        self._next[zone] = now + 1 / rate
        return 0.0

    def give_back(self, zone: str) -> None:
        """Return a turn that was taken and came to nothing."""
        self._next.pop(zone, None)
