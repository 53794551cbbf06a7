"""Claims, volumes and storage classes, as far as they say where a pod may run.

In:   how to look them up.
Out:  what a pod's claims demand of a node.
By:   loop gives it its look-ups, the plugin VolumeBinding asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kybern.api.core.v1 import NodeSelectorTerm, PersistentVolumeClaim, Pod

WAITS: Final = "WaitForFirstConsumer"
BOUND: Final = "pv.kubernetes.io/bind-completed"


class Lookups(NamedTuple):
    """How to find what a claim leads to; each returns None for what is not there."""

    claim: Callable[[str, str], PersistentVolumeClaim | None]
    volume: Callable[[str], Any]
    storage_class: Callable[[str], Any]


NOTHING: Final = Lookups(lambda _namespace, _name: None, lambda _name: None, lambda _name: None)


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
    return BOUND in (claim.metadata.annotations or {}) or claim.status.phase == "Bound"


def waits(claim: PersistentVolumeClaim, lookups: Lookups) -> bool:
    """Say whether a claim gets its volume only once its pod has a node."""
    found = lookups.storage_class(claim.spec.storageClassName or "")
    return found is not None and found.volumeBindingMode == WAITS


def node_terms(volume: Any) -> list[NodeSelectorTerm] | None:
    """Return which nodes can reach a volume; None when all can."""
    affinity = volume.spec.nodeAffinity
    if affinity is None or affinity.required is None:
        return None
    terms: list[NodeSelectorTerm] = affinity.required.nodeSelectorTerms
    return terms
