"""Claims, volumes and storage classes, as far as they say where a pod may run.

In:   how to look them up.
Out:  what a pod's claims demand of a node.
By:   loop gives it its look-ups, the plugin VolumeBinding asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kybern.api.core.v1 import NodeSelectorRequirement, NodeSelectorTerm
from kybern.api.core.volume_matching import COMPLETED, NO_PROVISIONER, WAITS, class_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kybern.api.core.v1 import PersistentVolume, PersistentVolumeClaim, Pod


class Lookups(NamedTuple):
    """How to find what a claim leads to; each returns None for what is not there."""

    claim: Callable[[str, str], PersistentVolumeClaim | None]
    volume: Callable[[str], Any]
    storage_class: Callable[[str], Any]
    volumes: Callable[[], Sequence[PersistentVolume]]
    """All volumes."""


NOTHING: Final = Lookups(
    lambda _namespace, _name: None, lambda _name: None, lambda _name: None, lambda: ()
)


class Claimed(NamedTuple):
    """A claim a pod uses: its name, and whether it is made for this pod alone."""

    name: str
    ephemeral: bool


def claimed(pod: Pod) -> Iterator[Claimed]:
    """Return the claims a pod uses."""
    for volume in pod.spec.volumes or ():
        if volume.persistentVolumeClaim is not None:
            yield Claimed(volume.persistentVolumeClaim.claimName, ephemeral=False)
        elif volume.ephemeral is not None:
            yield Claimed(f"{pod.metadata.name}-{volume.name}", ephemeral=True)


def is_bound(claim: PersistentVolumeClaim) -> bool:
    """Say whether a claim has its volume, for good."""
    if not claim.spec.volumeName:
        return False
    return COMPLETED in (claim.metadata.annotations or {}) or claim.status.phase == "Bound"


def waits(claim: PersistentVolumeClaim, lookups: Lookups) -> bool:
    """Say whether a claim gets its volume only once its pod has a node."""
    found = lookups.storage_class(class_of(claim))
    return found is not None and found.volumeBindingMode == WAITS


def waiting(pod: Pod, lookups: Lookups) -> list[PersistentVolumeClaim]:
    """Return the claims of a pod that get their volumes once it has a node."""
    if not pod.spec.volumes:
        return []
    namespace = pod.metadata.namespace or ""
    found = (lookups.claim(namespace, each.name) for each in claimed(pod))
    return [c for c in found if c is not None and not is_bound(c) and waits(c, lookups)]


def provisioned_where(
    claim: PersistentVolumeClaim, lookups: Lookups
) -> list[NodeSelectorTerm] | bool:
    """Return on which nodes a volume can be made for a claim: True for all, False for none."""
    found = lookups.storage_class(class_of(claim))
    if found is None or found.provisioner in ("", NO_PROVISIONER) or claim.spec.selector:
        return False
    if not found.allowedTopologies:
        return True
    return [
        NodeSelectorTerm(
            matchExpressions=[
                NodeSelectorRequirement(key=each.key, operator="In", values=each.values)
                for each in term.matchLabelExpressions or ()
            ]
        )
        for term in found.allowedTopologies
    ]


def node_terms(volume: Any) -> list[NodeSelectorTerm] | None:
    """Return which nodes can reach a volume; None when all can."""
    affinity = volume.spec.nodeAffinity
    if affinity is None or affinity.required is None:
        return None
    terms: list[NodeSelectorTerm] = affinity.required.nodeSelectorTerms
    return terms
