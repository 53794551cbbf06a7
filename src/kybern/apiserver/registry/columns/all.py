"""The columns of every built-in kind.

In:   a kind and a clock.
Out:  its Columns; None for one that is never listed.
By:   registry/resource.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.apiserver.registry.columns import cluster, core, pods, workloads
from kybern.apiserver.registry.columns.layout import Columns

if TYPE_CHECKING:
    from kybern.api.scheme import Kind
    from kybern.lib.clock import Clock

_ALL = {
    ("", "Pod"): Columns(pods.NAMES, pods.cells),
    **core.COLUMNS,
    **workloads.COLUMNS,
    **cluster.COLUMNS,
}


def of(kind: Kind, clock: Clock) -> Columns | None:
    """Return the columns of a kind."""
    if kind.kind == "HorizontalPodAutoscaler":
        return workloads.AUTOSCALERS[kind.version].at(clock)
    found = _ALL.get((kind.group, kind.kind))
    return found.at(clock) if found else None
