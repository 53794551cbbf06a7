"""VolumeBinding: a pod runs where its volumes can be reached.

In:   the pod's claims, their volumes, the labels of nodes.
Out:  a verdict per node.
By:   cycle, anew for every pod that has claims.

Claims are bound by the volume controller. One that is not bound yet holds its pod back, unless its
class waits for the first consumer: then nodes will do that reach a free volume, or on which one can
be made. `claim_binder` sees to it that it is bound before the pod is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from kybern.api.core.volume_matching import SELECTED_NODE, class_of, size_of, suitable
from kybern.scheduler import node_selectors, volumes
from kybern.scheduler.framework import News, Rejection, Why

if TYPE_CHECKING:
    from kybern.api.core.v1 import NodeSelectorTerm, PersistentVolumeClaim
    from kybern.scheduler.columns import Nodes
    from kybern.scheduler.framework import Bools, Rows
    from kybern.scheduler.pod_info import PodInfo

UNBOUND: Final = "pod has unbound immediate PersistentVolumeClaims"
OUT_OF_REACH: Final = "node(s) didn't match PersistentVolume's node affinity"
NOTHING_TO_BIND: Final = "node(s) didn't find available persistent volumes to bind"
NO_SPACE: Final = "node(s) did not have enough free storage"
NO_VOLUME: Final = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"


class _State(NamedTuple):
    """What the volumes demand, and why no node will do, if that is so."""

    terms: tuple[list[NodeSelectorTerm], ...]
    waiting: tuple[PersistentVolumeClaim, ...]
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
        terms: list[list[NodeSelectorTerm]] = []
        waiting: list[PersistentVolumeClaim] = []
        nowhere = ""
        for each in found:
            demand = _demand(each, pod.key[0], nodes.volumes)
            if isinstance(demand, Rejection):
                return demand
            if isinstance(demand, str):
                nowhere = nowhere or demand
            elif isinstance(demand, list):
                terms.append(demand)
            elif demand is not None:
                waiting.append(demand)
        if not (terms or waiting or nowhere):
            return None
        return _State(tuple(terms), tuple(waiting), nowhere)

    def fits(self, state: Any, nodes: Nodes, rows: Rows) -> Bools:
        """Say which of the rows fit."""
        if state.nowhere:
            return np.zeros(_count(nodes, rows), np.bool_)
        fits = _reached(state, nodes, rows)
        for claim in state.waiting:
            fits &= _obtainable(claim, nodes, rows)
        return fits

    def why(self, state: Any, nodes: Nodes, rows: Rows) -> Why:
        """Explain why these rows do not fit."""
        count = len(nodes.valid[rows])
        never = np.zeros(count, np.bool_)
        if state.nowhere:
            return Why({state.nowhere: count}, never)
        reached = _reached(state, nodes, rows)
        full = reached.copy()
        for claim in state.waiting:
            full &= _obtainable(claim, nodes, rows, any_room=True)
        reasons = {
            OUT_OF_REACH: int((~reached).sum()),
            NO_SPACE: int(full.sum()),
            NOTHING_TO_BIND: int((reached & ~full).sum()),
        }
        return Why({text: number for text, number in reasons.items() if number}, never)


def _count(nodes: Nodes, rows: Rows) -> int:
    return len(nodes.valid[: nodes.size][rows])


def _reached(state: _State, nodes: Nodes, rows: Rows) -> Bools:
    """Say which rows reach the volumes of the claims that are bound."""
    fits: Bools = np.ones(_count(nodes, rows), np.bool_)
    for terms in state.terms:
        fits &= node_selectors.matches_any(terms, nodes, rows)
    return fits


def _obtainable(
    claim: PersistentVolumeClaim, nodes: Nodes, rows: Rows, *, any_room: bool = False
) -> Bools:
    """Say on which rows a claim can have a volume; `any_room`: if they had enough storage."""
    lookups = nodes.volumes
    selected = (claim.metadata.annotations or {}).get(SELECTED_NODE)
    if selected is not None:  # a volume is being made there
        row = nodes.index.get(selected)
        there: Bools = np.arange(nodes.size)[rows] == (-1 if row is None else row)
        return there
    where = volumes.provisioned_where(claim, lookups)
    fits: Bools = np.full(_count(nodes, rows), where is True, np.bool_)
    if isinstance(where, list):
        fits |= node_selectors.matches_any(where, nodes, rows)
    if where and not any_room:
        fits &= _with_room(claim, nodes, rows)
    if fits.all():
        return fits
    for volume in suitable(claim, lookups.volumes()):
        terms = volumes.node_terms(volume)
        if terms is None:
            fits[:] = True
        else:
            fits |= node_selectors.matches_any(terms, nodes, rows)
    return fits


def _with_room(claim: PersistentVolumeClaim, nodes: Nodes, rows: Rows) -> Bools:
    """Say on which rows a driver has room for a claim's volume, as far as it tells."""
    lookups, name = nodes.volumes, class_of(claim)
    found = lookups.storage_class(name)
    size = size_of(claim).value
    if not size or not lookups.drivers.tells_capacity(found.provisioner):
        return np.ones(_count(nodes, rows), np.bool_)
    fits: Bools = np.zeros(_count(nodes, rows), np.bool_)
    for capacity in lookups.drivers.capacities(name):
        if capacity.nodeTopology is None or not volumes.is_enough(capacity, size):
            continue
        term = volumes.selector_term(capacity.nodeTopology)
        if not term.matchExpressions:
            fits[:] = True
        else:
            fits |= node_selectors.matches_term(term, nodes, rows)
    return fits


def _demand(
    each: volumes.Claimed, namespace: str, lookups: volumes.Lookups
) -> Rejection | str | list[NodeSelectorTerm] | PersistentVolumeClaim | None:
    """Return what a claim demands of nodes; None for nothing, words when no node will do.

    The claim itself is returned when it waits for the pod to have a node.
    """
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
        return claim if volumes.waits(claim, lookups) else Rejection(UNBOUND)
    volume = lookups.volume(claim.spec.volumeName or "")
    return NO_VOLUME if volume is None else volumes.node_terms(volume)
