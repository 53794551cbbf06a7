"""Claims grow only where their class allows it.

In:   claims that ask for more than they did.
Out:  Forbidden, unless the claim is bound and its class grows volumes.
By:   admission.plugins. Source: upstream's `plugin/pkg/admission/storage/persistentvolume/resize`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import errors
from kybern.api.core.volume_matching import class_of, size_of
from kybern.api.storage.v1 import StorageClass
from kybern.apiserver.admission.looking import Lookup, named

if TYPE_CHECKING:
    from kybern.api.core.v1 import PersistentVolumeClaim
    from kybern.apiserver.context import Services
    from kybern.apiserver.registry.review import Review

UNBOUND = "Only bound persistent volume claims can be expanded"
FIXED = (
    "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc "
    "must support resize"
)


class PersistentVolumeClaimResize:
    """Watches over sizes."""

    def __init__(self, services: Services) -> None:
        self._classes = Lookup(services, StorageClass)

    def handles(self, group: str, plural: str, subresource: str, operation: str) -> bool:
        """Want changed claims."""
        found = (group, plural, subresource, operation)
        return found == ("", "persistentvolumeclaims", "", "UPDATE")

    def validate(self, review: Review) -> None:
        """Refuse what cannot be."""
        new: PersistentVolumeClaim = review.obj
        old: PersistentVolumeClaim = review.old
        if size_of(new) <= size_of(old):
            return
        why = ""
        if old.status.phase != "Bound":
            why = UNBOUND
        elif not self._grows(class_of(new)):
            why = FIXED
        if why:
            raise errors.Forbidden.of(review.resource.kind, named(review), why)

    def _grows(self, name: str) -> bool:
        found = self._classes.get(name) if name else None
        return found is not None and bool(found.allowVolumeExpansion)
