"""Since when a pod can be counted on.

In:   a pod, for how long it has to be ready, the time.
Out:  seconds.
By:   replicaset, statefulset, daemonset. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api.core import pods as ask
from kybern.lib.clock import parse_rfc3339

if TYPE_CHECKING:
    from kybern.api.core.v1 import Pod


def available_in(pod: Pod, patience: int, now: float) -> float | None:
    """Return the seconds until a pod is available: 0 when it is, None when it is not ready."""
    ready = ask.condition(pod, "Ready")
    if ready is None or ready.status != "True":
        return None
    if not patience:
        return 0.0
    if ready.lastTransitionTime is None:
        return float(patience)
    return max(0.0, parse_rfc3339(ready.lastTransitionTime) + patience - now)


def is_available(pod: Pod, patience: int, now: float) -> bool:
    """Whether a pod has been ready for long enough."""
    return available_in(pod, patience, now) == 0
