"""VolumeBinding: a pod runs where its volumes can be reached.

In:   the pod's claims, their volumes, the labels of nodes.
Out:  a verdict per node.
By:   cycle, anew for every pod that has claims.

Claims are bound by the volume controller. One that is not bound yet holds its pod back; one whose
class waits for the first consumer is, so far, held back as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from kybern.scheduler import node_selectors, volumes
from kybern.scheduler.framework import News, Rejection, Why

if TYPE_CHECKING:
    from kybern.api.core.v1 import NodeSelectorTerm
    from kybern.scheduler.columns import Nodes
    from kybern.scheduler.framework import Bools, Rows
    from kybern.scheduler.pod_info import PodInfo

UNBOUND: Final = "pod has unbound immediate PersistentVolumeClaims"
OUT_OF_REACH: Final = "node(s) didn't match PersistentVolume's node affinity"
NOTHING_TO_BIND: Final = "node(s) didn't find available persistent volumes to bind"
NO_VOLUME: Final = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"


class _State(NamedTuple):
    """What the volumes demand, and why no node will do, if that is so."""

    terms: tuple[list[NodeSelectorTerm], ...]
    nowhere: str


class VolumeBinding:
    """Sends pods to where their volumes are."""

    name = "VolumeBinding"
    wakes = News.VOLUME | News.NODE_ADDED | News.NODE_LABELS
    looks_at_pods = True  # claims change without any node changing

    def prepare(self, pod: PodInfo, nodes: Nodes) -> Any:
        """Follow the claims to their volumes; skip pods without any."""
        found = tuple(volumes.claimed(pod.pod)) if pod.pod.spec.volumes else ()
        if not found:
            return None
        terms, nowhere = [], ""
        for each in found:
            demand = _demand(each, pod.key[0], nodes.volumes)
            if isinstance(demand, Rejection):
                return demand
            if isinstance(demand, str):
                nowhere = nowhere or demand
            elif demand is not None:
                terms.append(demand)
        return _State(tuple(terms), nowhere) if terms or nowhere else None

    def fits(self, state: Any, nodes: Nodes, rows: Rows) -> Bools:
        """Say which of the rows fit."""
        fits: Bools = np.full(len(nodes.valid[: nodes.size][rows]), not state.nowhere, np.bool_)
        for terms in state.terms:
            fits &= node_selectors.matches_any(terms, nodes, rows)
        return fits

    def why(self, state: Any, nodes: Nodes, rows: Rows) -> Why:
        """Explain why these rows do not fit."""
        count = len(nodes.valid[rows])
        return Why({state.nowhere or OUT_OF_REACH: count}, np.zeros(count, np.bool_))


def _demand(
    each: volumes.Claimed, namespace: str, lookups: volumes.Lookups
) -> Rejection | str | list[NodeSelectorTerm] | None:
    """Return what a claim demands of nodes; None for nothing, words when no node will do."""
    claim = lookups.claim(namespace, each.name)
    if claim is None:
        missing = f'persistentvolumeclaim "{each.name}"'
        if each.ephemeral:
            return Rejection(f"waiting for ephemeral volume controller to create the {missing}")
        return Rejection(f"{missing} not found")
    if claim.metadata.deletionTimestamp is not None:
        return Rejection(f'persistentvolumeclaim "{each.name}" is being deleted')
    if claim.status.phase == "Lost":
        gone = f'bound to non-existent persistentvolume "{claim.spec.volumeName}"'
        return Rejection(f'persistentvolumeclaim "{each.name}" {gone}')
    if not volumes.is_bound(claim):
        return NOTHING_TO_BIND if volumes.waits(claim, lookups) else Rejection(UNBOUND)
    volume = lookups.volume(claim.spec.volumeName or "")
    return NO_VOLUME if volume is None else volumes.node_terms(volume)
