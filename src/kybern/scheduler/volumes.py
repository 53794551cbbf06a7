"""Claims, volumes and storage classes, as far as they say where a pod may run.

In:   how to look them up.
Out:  what a pod's claims demand of a node.
By:   loop gives it its look-ups, the plugin VolumeBinding asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kybern.api.core.v1 import NodeSelectorRequirement, NodeSelectorTerm
from kybern.api.core.volume_matching import COMPLETED, NO_PROVISIONER, WAITS, class_of
from kybern.api.quantity import parse
from kybern.api.storage.attachments import unique_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from kybern.api.core.v1 import PersistentVolume, PersistentVolumeClaim, Pod
    from kybern.api.meta.v1 import LabelSelector
    from kybern.api.storage.v1 import CSIStorageCapacity


class DriverLookups(NamedTuple):
    """What drivers, and those who attach for them, say about nodes."""

    limits: Callable[[str], Mapping[str, int]]
    """Driver → node → how many of its volumes the node can have."""
    attached: Callable[[], Iterable[tuple[str, str, str]]]
    """Node, driver and unique name of everything that is attached."""
    tells_capacity: Callable[[str], bool]
    """Whether a driver says how much room there is."""
    capacities: Callable[[str], Sequence[CSIStorageCapacity]]
    """Class → how much room there is, and where."""


NO_DRIVERS: Final = DriverLookups(
    lambda _driver: {}, lambda: (), lambda _driver: False, lambda _class: ()
)


class Lookups(NamedTuple):
    """How to find what a claim leads to; each returns None for what is not there."""

    claim: Callable[[str, str], PersistentVolumeClaim | None]
    volume: Callable[[str], Any]
    storage_class: Callable[[str], Any]
    volumes: Callable[[], Sequence[PersistentVolume]]
    """All volumes."""
    drivers: DriverLookups = NO_DRIVERS


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


def of_drivers(pod: Pod, lookups: Lookups) -> dict[str, set[str]]:
    """Return the volumes a pod uses by driver: unique names, also of those still to be made."""
    found: dict[str, set[str]] = {}
    namespace = pod.metadata.namespace or ""
    for each in claimed(pod) if pod.spec.volumes else ():
        claim = lookups.claim(namespace, each.name)
        if claim is None:
            continue
        if claim.spec.volumeName:
            volume = lookups.volume(claim.spec.volumeName)
            if volume is not None and volume.spec.csi is not None:
                found.setdefault(volume.spec.csi.driver, set()).add(unique_name(volume.spec.csi))
        elif (storage_class := lookups.storage_class(class_of(claim))) is not None:
            name = f"{storage_class.provisioner}-{namespace}/{each.name}"
            found.setdefault(storage_class.provisioner, set()).add(name)
    return found


def is_enough(capacity: CSIStorageCapacity, size: int) -> bool:
    """Say whether a volume of so many bytes can be made there."""
    limit = capacity.maximumVolumeSize or capacity.capacity
    return limit is not None and parse(limit).value >= size


def selector_term(selector: LabelSelector) -> NodeSelectorTerm:
    """Return a label selector in the words of a node selector."""
    conditions = [
        NodeSelectorRequirement(key=key, operator="In", values=[value])
        for key, value in (selector.matchLabels or {}).items()
    ]
    conditions += [
        NodeSelectorRequirement(key=each.key, operator=each.operator, values=each.values)
        for each in selector.matchExpressions or ()
    ]
    return NodeSelectorTerm(matchExpressions=conditions)
