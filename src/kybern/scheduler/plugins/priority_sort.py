"""PrioritySort: who goes first.

In:   a pod's priority, and since when it waits.
Out:  a key to sort by: higher priority first, then who has waited longer.
By:   queue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kybern.scheduler.pod_info import PodInfo


def place_in_line(pod: PodInfo, waiting_since: float, number: int) -> tuple[int, float, int]:
    """Return the sort key; `number` tells apart pods that came at the same moment."""
    return (-pod.priority, waiting_since, number)
