"""From where a new volume has to be reached.

In:   nodes, what their drivers say about where they are, the class, the node that was chosen.
Out:  a TopologyRequirement for the driver; node affinity for the volume it made.
By:   csiprovisioner, csicapacity. Pure.

Source: external-provisioner's `pkg/controller/topology.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kybern.api.core.v1 import (
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    VolumeNodeAffinity,
)
from kybern.csi.messages import Topology, TopologyRequirement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from kybern.api.core.v1 import Node, TopologySelectorTerm
    from kybern.api.storage.v1 import CSINode, StorageClass

Segment = tuple[tuple[str, str], ...]
"""One place: sorted pairs of key and value."""

HASH_SPREAD: Final = 31


class NoTopologyError(Exception):
    """A place for the volume is not known yet."""


def keys_of(driver: str, node: CSINode | None) -> tuple[str, ...]:
    """Return the labels by which a driver tells places apart on a node."""
    for each in node.spec.drivers if node is not None else ():
        if each.name == driver:
            return tuple(sorted(each.topologyKeys or ()))
    return ()


def segment(node: Node, keys: Iterable[str]) -> Segment | None:
    """Return where a node is; None while it lacks a label."""
    labels = node.metadata.labels or {}
    if any(key not in labels for key in keys):
        return None
    return tuple(sorted((key, labels[key]) for key in keys))


def segments(
    driver: str, csi_nodes: Iterable[CSINode], node_of: Callable[[str], Node | None]
) -> list[Segment]:
    """Return every place at which a driver is, sorted."""
    found = set()
    for csi_node in csi_nodes:
        keys = keys_of(driver, csi_node)
        node = node_of(csi_node.metadata.name or "")
        if keys and node is not None and (place := segment(node, keys)) is not None:
            found.add(place)
    return sorted(found)


def allowed(terms: Sequence[TopologySelectorTerm] | None) -> list[Segment]:
    """Return the places that a class allows, one for each combination of its values."""
    found: list[Segment] = []
    for term in terms or ():
        combined: list[Segment] = [()]
        for each in term.matchLabelExpressions or ():
            combined = [(*one, (each.key, text)) for one in combined for text in each.values]
        found += [tuple(sorted(one)) for one in combined if one]
    return sorted(set(found))


def requirement(
    claim: str,
    places: Sequence[Segment],
    storage_class: StorageClass,
    chosen: Segment | None,
) -> TopologyRequirement | None:
    """Return what to tell the driver; None when there is nothing to tell.

    Args:
        claim: its name, which spreads claims over places when no node was chosen.
        places: everywhere the driver is.
        storage_class: may allow some places only.
        chosen: where the pod will run.
    """
    requisite = allowed(storage_class.allowedTopologies) or list(places)
    if not requisite:
        return None
    if chosen is None:
        first = sum(ord(c) * HASH_SPREAD**i for i, c in enumerate(claim[::-1])) % len(requisite)
    else:
        matching = [i for i, each in enumerate(requisite) if set(each) <= set(chosen)]
        if not matching:
            text = ", ".join(f"{key}={value}" for key, value in chosen)
            raise NoTopologyError(
                f"topology {{{text}}} from selected node is not in requisite: "
                f"{[dict(each) for each in requisite]}"
            )
        first = matching[0]
    preferred = [*requisite[first:], *requisite[:first]]
    return TopologyRequirement(
        [Topology(dict(each)) for each in requisite], [Topology(dict(each)) for each in preferred]
    )


def affinity(topologies: Iterable[Topology]) -> VolumeNodeAffinity | None:
    """Return which nodes reach a volume; None for all of them."""
    terms = [
        NodeSelectorTerm(
            matchExpressions=[
                NodeSelectorRequirement(key=key, operator="In", values=[value])
                for key, value in sorted(each.segments.items())
            ]
        )
        for each in topologies
        if each.segments
    ]
    return VolumeNodeAffinity(required=NodeSelector(nodeSelectorTerms=terms)) if terms else None
