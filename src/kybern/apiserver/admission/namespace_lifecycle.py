"""Nothing new in a namespace that is not there or is going; some namespaces never go.

In:   any operation on a namespaced object, and deletions of namespaces.
Out:  NotFound or Forbidden.
By:   admission.plugins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import errors
from kybern.apiserver.admission.looking import named
from kybern.apiserver.registry.review import CREATE, DELETE, UPDATE

if TYPE_CHECKING:
    from kybern.apiserver.context import Services
    from kybern.apiserver.registry.review import Review

IMMORTAL = frozenset(("default", "kube-system", "kube-public"))
PREFIX = "/registry/namespaces/"
TERMINATING = "NamespaceTerminating"


class NamespaceLifecycle:
    """Looks at the namespace before anything else does."""

    def __init__(self, services: Services) -> None:
        self._store = services.store

    def handles(self, group: str, plural: str, subresource: str, operation: str) -> bool:
        """Want creations and updates of everything, and deletions of namespaces."""
        if (group, plural) == ("", "namespaces"):
            return operation == DELETE
        return operation in (CREATE, UPDATE)

    def mutate(self, review: Review) -> None:
        """Refuse before any other plugin does its work.

        Raises:
            NotFound, Forbidden.
        """
        if review.operation == DELETE:
            if review.name in IMMORTAL:
                raise errors.Forbidden.of(
                    review.resource.kind, review.name, "this namespace may not be deleted"
                )
            return
        namespace = review.namespace
        if not namespace:
            return
        entry = self._store.get(PREFIX + namespace)
        if entry is None:
            raise errors.NotFound(
                f'namespaces "{namespace}" not found', {"name": namespace, "kind": "namespaces"}
            )
        if review.operation == CREATE and entry.attributes.status.phase == "Terminating":
            raise _terminating(review, namespace)


def _terminating(review: Review, namespace: str) -> errors.Forbidden:
    error = errors.Forbidden.of(
        review.resource.kind, named(review),
        f"unable to create new content in namespace {namespace} because it is being terminated",
    )  # fmt: skip
    cause = {
        "reason": TERMINATING,
        "message": f"namespace {namespace} is being terminated",
        "field": "metadata.namespace",
    }
    error.details = {**(error.details or {}), "causes": [cause]}
    return error
