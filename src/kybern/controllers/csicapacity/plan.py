"""Which CSIStorageCapacities there should be.

In:   the classes of a driver, the places where it is, what it answers.
Out:  what to ask of the driver; the objects to write and to delete.
By:   csicapacity.controller. Pure.

Source: external-provisioner's `pkg/capacity/capacity.go`.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

from kybern.api import codec
from kybern.api.core.volume_matching import WAITS
from kybern.api.meta.v1 import LabelSelector, ObjectMeta
from kybern.api.quantity import Format, from_value
from kybern.api.storage.v1 import CSIStorageCapacity
from kybern.controllers.csi import secrets
from kybern.controllers.csi.capabilities import capability
from kybern.csi.messages import AccessModeType, GetCapacityRequest, Topology

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kybern.api.storage.v1 import StorageClass
    from kybern.controllers.csi.topology import Segment
    from kybern.csi.messages import GetCapacityResponse

NAMESPACE: Final = "kube-system"
DRIVER: Final = "csi.storage.k8s.io/drivername"
MANAGED: Final = "csi.storage.k8s.io/managed-by"
BY_US: Final = "csi-provisioner.kybern.io"


class Question(NamedTuple):
    """How much room there is for a class in a place; everywhere, where there are no places."""

    driver: str
    storage_class: str
    place: Segment


def questions(
    driver: str, classes: Iterable[StorageClass], places: Sequence[Segment]
) -> list[tuple[Question, StorageClass]]:
    """Return what to ask: the scheduler only looks where it chooses the node."""
    return [
        (Question(driver, found.metadata.name or "", place), found)
        for found in classes
        if found.provisioner == driver and found.volumeBindingMode == WAITS
        for place in places
    ]


def request(question: Question, found: StorageClass) -> GetCapacityRequest:
    """Return the question in the driver's words."""
    mode = AccessModeType.SINGLE_NODE_WRITER
    return GetCapacityRequest(
        volume_capabilities=[
            capability(mode, block=False, fs_type=secrets.file_system(found.parameters))
        ],
        parameters=secrets.for_driver(found.parameters),
        accessible_topology=Topology(dict(question.place)) if question.place else None,
    )


def name_of(question: Question) -> str:
    """Return the name of the object with the answer: always the same one."""
    return f"csisc-{sha256(repr(tuple(question)).encode()).hexdigest()[:10]}"


def answered(question: Question, answer: GetCapacityResponse) -> CSIStorageCapacity:
    """Return the object with an answer."""
    largest = answer.maximum_volume_size
    return CSIStorageCapacity(
        metadata=ObjectMeta(
            name=name_of(question),
            namespace=NAMESPACE,
            labels={DRIVER: question.driver, MANAGED: BY_US},
        ),
        capacity=from_value(answer.available_capacity, Format.BINARY),
        maximumVolumeSize=None if largest is None else from_value(largest.value, Format.BINARY),
        nodeTopology=LabelSelector(matchLabels=dict(question.place) or None),
        storageClassName=question.storage_class,
    )


class Changes(NamedTuple):
    """What to write."""

    create: list[CSIStorageCapacity]
    update: list[CSIStorageCapacity]
    delete: list[CSIStorageCapacity]


def changes(
    wanted: Mapping[str, CSIStorageCapacity | None], there: Iterable[CSIStorageCapacity]
) -> Changes:
    """Compare what should be, by name, with what there is; None stands for one to leave alone."""
    found = {each.metadata.name or "": each for each in there}
    update = []
    for name, new in wanted.items():
        old = found.get(name)
        if new is None or old is None or _same(new, old):
            continue
        mine = codec.clone(old)
        mine.capacity, mine.maximumVolumeSize = new.capacity, new.maximumVolumeSize
        update.append(mine)
    create = [new for name, new in wanted.items() if new is not None and name not in found]
    return Changes(create, update, [old for name, old in found.items() if name not in wanted])


def _same(new: CSIStorageCapacity, old: CSIStorageCapacity) -> bool:
    return (new.capacity, new.maximumVolumeSize) == (old.capacity, old.maximumVolumeSize)
