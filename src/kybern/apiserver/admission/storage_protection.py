"""Volumes in use are not removed: a finalizer on claims, volumes and attribute classes.

In:   such objects to be created.
Out:  the finalizer, which a controller takes away when nobody uses the object.
By:   admission.plugins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kybern.apiserver.context import Services
    from kybern.apiserver.registry.review import Review

FINALIZERS = {
    ("", "persistentvolumeclaims"): "kubernetes.io/pvc-protection",
    ("", "persistentvolumes"): "kubernetes.io/pv-protection",
    ("storage.k8s.io", "volumeattributesclasses"): "kubernetes.io/vac-protection",
}


class StorageProtection:
    """Adds the finalizers."""

    def __init__(self, services: Services) -> None:
        del services

    def handles(self, group: str, plural: str, subresource: str, operation: str) -> bool:
        """Want new objects of those kinds."""
        return (group, plural) in FINALIZERS and not subresource and operation == "CREATE"

    def mutate(self, review: Review) -> None:
        """Add the finalizer unless it is there."""
        kind, meta = review.resource.kind, review.obj.metadata
        finalizer = FINALIZERS[(kind.group, kind.plural)]
        if finalizer not in (meta.finalizers or ()):
            meta.finalizers = [*(meta.finalizers or ()), finalizer]
