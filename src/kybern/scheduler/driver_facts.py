"""What storage drivers, and those who attach for them, say about nodes.

In:   CSINodes, CSIDrivers, VolumeAttachments, CSIStorageCapacities: through informers.
Out:  `DriverLookups`.
By:   following.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api.storage.attachments import unique_name
from kybern.api.storage.v1 import CSIDriver, CSINode, CSIStorageCapacity, VolumeAttachment
from kybern.scheduler.volumes import DriverLookups

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kybern.api.core.v1 import PersistentVolume
    from kybern.client.informer import Informer, Informers

BY_DRIVER = "driver"
BY_CLASS = "class"


class DriverFacts:
    """Keeps what is needed at hand."""

    def __init__(self, informers: Informers) -> None:
        self._nodes = informers.of(CSINode, indexers={BY_DRIVER: _drivers_of})
        self._drivers = informers.of(CSIDriver)
        self._attachments = informers.of(VolumeAttachment)
        self._capacities = informers.of(CSIStorageCapacity, indexers={BY_CLASS: _class_of})
        self.informers: list[Informer[Any]] = [
            self._nodes, self._drivers, self._attachments, self._capacities,
        ]  # fmt: skip

    def lookups(self, volumes: Informer[PersistentVolume]) -> DriverLookups:
        """Return how to find it."""
        return DriverLookups(
            self._limits,
            lambda: self._attached(volumes),
            self._tells_capacity,
            lambda name: self._capacities.by_index(BY_CLASS, name),
        )

    def _limits(self, driver: str) -> dict[str, int]:
        found = {}
        for node in self._nodes.by_index(BY_DRIVER, driver):
            for each in node.spec.drivers:
                allocatable = each.allocatable
                if each.name == driver and allocatable and allocatable.count is not None:
                    found[node.metadata.name or ""] = allocatable.count
        return found

    def _attached(self, volumes: Informer[PersistentVolume]) -> Iterator[tuple[str, str, str]]:
        for each in self._attachments.list():
            volume = volumes.get("", each.spec.source.persistentVolumeName or "")
            if volume is not None and volume.spec.csi is not None:
                source = volume.spec.csi
                yield each.spec.nodeName, source.driver, unique_name(source)

    def _tells_capacity(self, driver: str) -> bool:
        found = self._drivers.get("", driver)
        return found is not None and bool(found.spec.storageCapacity)


def _drivers_of(node: CSINode) -> list[str]:
    return [each.name for each in node.spec.drivers]


def _class_of(capacity: CSIStorageCapacity) -> list[str]:
    return [capacity.storageClassName]
