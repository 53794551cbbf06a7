"""VolumeRestrictions: a claim that only one pod may use is used by one pod.

In:   the pod's claims, and the pods on nodes.
Out:  a verdict per node.
By:   cycle, anew for every pod that has such a claim.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kybern.scheduler.framework import News, Why

if TYPE_CHECKING:
    from kybern.scheduler.columns import Nodes
    from kybern.scheduler.framework import Bools, Rows
    from kybern.scheduler.pod_info import PodInfo

ONE_POD: Final = "ReadWriteOncePod"
REASON: Final = (
    "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"
)


class VolumeRestrictions:
    """Keeps pods from claims that another pod has to itself."""

    name = "VolumeRestrictions"
    wakes = News.POD_GONE | News.VOLUME
    looks_at_pods = True

    def prepare(self, pod: PodInfo, nodes: Nodes) -> Any:
        """Look for pods that use the same; skip those without claims of this mode."""
        namespace = pod.key[0]
        alone = set()
        for name in pod.claims:
            claim = nodes.volumes.claim(namespace, name)
            if claim is not None and ONE_POD in (claim.spec.accessModes or ()):
                alone.add(name)
        if not alone:
            return None
        taken: Bools = np.zeros(nodes.size, np.bool_)
        for row, info in nodes.pods.claimants.values():
            if info.key[0] == namespace and info.key != pod.key:
                taken[row] |= not alone.isdisjoint(info.claims)
        # Wherever it is, the volume is not free: all nodes are refused, but only that one's pod is
        # worth evicting.
        return taken if taken.any() else None

    def fits(self, state: Any, nodes: Nodes, rows: Rows) -> Bools:
        """Say which of the rows fit."""
        return np.zeros(len(nodes.valid[: nodes.size][rows]), np.bool_)

    def why(self, state: Any, nodes: Nodes, rows: Rows) -> Why:
        """Explain why these rows do not fit."""
        return Why({REASON: len(nodes.valid[: nodes.size][rows])}, state[rows])
