"""NodeVolumeLimits: a node takes only so many volumes of a driver.

In:   the pod's claims, what drivers say nodes can take, which volumes are where.
Out:  a verdict per node.
By:   cycle, anew for every pod that has volumes of a driver with a limit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kybern.scheduler import volumes
from kybern.scheduler.framework import News, Why

if TYPE_CHECKING:
    from kybern.scheduler.columns import Nodes
    from kybern.scheduler.framework import Bools, Rows
    from kybern.scheduler.pod_info import PodInfo

REASON: Final = "node(s) exceed max volume count"


class NodeVolumeLimits:
    """Keeps nodes from getting more volumes than they can have."""

    name = "NodeVolumeLimits"
    wakes = News.NODE_ADDED | News.POD_GONE | News.VOLUME
    looks_at_pods = True

    def prepare(self, pod: PodInfo, nodes: Nodes) -> Any:
        """Count, where a node has a limit; skip pods whose volumes have none."""
        new = volumes.of_drivers(pod.pod, nodes.volumes)
        limits = {driver: nodes.volumes.drivers.limits(driver) for driver in new}
        if not any(limits.values()):
            return None
        there = _there(nodes, set(limits))
        fits: Bools = np.ones(nodes.size, np.bool_)
        for driver, by_node in limits.items():
            for node, limit in by_node.items():
                row = nodes.index.get(node)
                if row is not None:
                    have = there.get((row, driver), set())
                    # A volume that is there already takes no further place.
                    more = new[driver] - have
                    fits[row] &= not more or len(have) + len(more) <= limit
        return fits

    def fits(self, state: Any, nodes: Nodes, rows: Rows) -> Bools:
        """Say which of the rows fit."""
        found: Bools = state[rows]
        return found

    def why(self, state: Any, nodes: Nodes, rows: Rows) -> Why:
        """Explain why these rows do not fit."""
        count = len(nodes.valid[: nodes.size][rows])
        return Why({REASON: count}, np.ones(count, np.bool_))


def _there(nodes: Nodes, drivers: set[str]) -> dict[tuple[int, str], set[str]]:
    """Return the volumes of these drivers by row: of pods, and what is attached without one."""
    found: dict[tuple[int, str], set[str]] = {}
    for row, info in nodes.pods.claimants.values():
        for driver, names in volumes.of_drivers(info.pod, nodes.volumes).items():
            if driver in drivers:
                found.setdefault((row, driver), set()).update(names)
    for node, driver, name in nodes.volumes.drivers.attached():
        place = nodes.index.get(node)
        if place is not None and driver in drivers:
            found.setdefault((place, driver), set()).add(name)
    return found
