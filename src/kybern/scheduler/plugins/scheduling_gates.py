"""SchedulingGates: a pod with gates does not even wait in line.

In:   spec.schedulingGates.
Out:  whether the pod may be tried.
By:   queue. The API server writes the condition that says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kybern.api.core.v1 import Pod


def is_gated(pod: Pod) -> bool:
    """Say whether someone still holds the pod back."""
    return bool(pod.spec.schedulingGates)
