"""A storage class for claims that name none.

In:   claims to be created without storageClassName.
Out:  the name of the default class, if there is one.
By:   admission.plugins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api.storage.v1 import StorageClass
from kybern.apiserver.admission.looking import Lookup

if TYPE_CHECKING:
    from kybern.api.core.v1 import PersistentVolumeClaim
    from kybern.apiserver.context import Services
    from kybern.apiserver.registry.review import Review

MARKS = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)
LEGACY = "volume.beta.kubernetes.io/storage-class"


class DefaultStorageClass:
    """Fills in the default."""

    def __init__(self, services: Services) -> None:
        self._classes = Lookup(services, StorageClass)

    def handles(self, group: str, plural: str, subresource: str, operation: str) -> bool:
        """Want new claims."""
        found = (group, plural, subresource, operation)
        return found == ("", "persistentvolumeclaims", "", "CREATE")

    def mutate(self, review: Review) -> None:
        """Name the default class: of several, the newest."""
        claim: PersistentVolumeClaim = review.obj
        if claim.spec.storageClassName is not None or LEGACY in (claim.metadata.annotations or {}):
            return
        found = [c for c in self._classes.all() if _is_default(c)]
        if found:
            found.sort(key=lambda c: c.metadata.name or "")
            newest = max(found, key=lambda c: c.metadata.creationTimestamp or "")
            claim.spec.storageClassName = newest.metadata.name


def _is_default(found: StorageClass) -> bool:
    annotations = found.metadata.annotations or {}
    return any(annotations.get(mark) == "true" for mark in MARKS)
