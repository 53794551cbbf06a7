"""An ingress class for ingresses that name none.

In:   ingresses to be created without ingressClassName.
Out:  the name of the default class, if there is one.
By:   admission.plugins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api.networking.v1 import Ingress, IngressClass
from kybern.apiserver.admission.looking import Lookup

if TYPE_CHECKING:
    from kybern.apiserver.context import Services
    from kybern.apiserver.registry.review import Review

MARK = "ingressclass.kubernetes.io/is-default-class"
LEGACY = "kubernetes.io/ingress.class"


class DefaultIngressClass:
    """Fills in the default."""

    def __init__(self, services: Services) -> None:
        self._classes = Lookup(services, IngressClass)

    def handles(self, group: str, plural: str, subresource: str, operation: str) -> bool:
        """Want new ingresses."""
        found = (group, plural, subresource, operation)
        return found == ("networking.k8s.io", "ingresses", "", "CREATE")

    def mutate(self, review: Review) -> None:
        """Name the default class: of several, the newest."""
        ingress: Ingress = review.obj
        if ingress.spec.ingressClassName is not None:
            return
        if LEGACY in (ingress.metadata.annotations or {}):
            return
        found = [
            c for c in self._classes.all() if (c.metadata.annotations or {}).get(MARK) == "true"
        ]
        if found:
            found.sort(key=lambda c: c.metadata.name or "")
            newest = max(found, key=lambda c: c.metadata.creationTimestamp or "")
            ingress.spec.ingressClassName = newest.metadata.name
