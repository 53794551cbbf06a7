"""Namespaces: they go only when everything in them is gone.

In:   namespaces to be created, changed, deleted or finalized.
Out:  spec.finalizers kept until `finalize` takes them; the phase Terminating.
By:   registry.special.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api.core.v1 import NamespaceStatus
from kybern.apiserver.registry.strategy import StatusStrategy, Strategy
from kybern.lib.clock import rfc3339

if TYPE_CHECKING:
    from kybern.api.field_path import Problem
    from kybern.apiserver.context import RequestContext
    from kybern.apiserver.registry.deletion import Plan

FINALIZER = "kubernetes"
NAME_LABEL = "kubernetes.io/metadata.name"
ACTIVE, TERMINATING = "Active", "Terminating"


class NamespaceStrategy(Strategy):
    """Namespaces."""

    def prepare_for_create(self, ctx: RequestContext, obj: Any) -> None:
        """Start out active, with the finalizer that waits for the content."""
        del ctx
        obj.status = NamespaceStatus(phase=ACTIVE)
        finalizers = obj.spec.finalizers or []
        if FINALIZER not in finalizers:
            obj.spec.finalizers = [*finalizers, FINALIZER]
        obj.metadata.labels = {**(obj.metadata.labels or {}), NAME_LABEL: obj.metadata.name or ""}

    def prepare_for_update(self, ctx: RequestContext, obj: Any, old: Any) -> None:
        """Leave finalizers to `finalize` and the status to `status`."""
        del ctx
        obj.spec.finalizers = old.spec.finalizers
        obj.status = old.status

    def finished(self, obj: Any, old: Any) -> bool:
        """Say whether nothing keeps a deleted namespace any more."""
        return (
            old.metadata.deletionTimestamp is not None
            and not obj.metadata.finalizers
            and not obj.spec.finalizers
        )

    def adjust_deletion(self, ctx: RequestContext, obj: Any, plan: Plan) -> Plan:
        """Mark the namespace and let the namespace controller empty it."""
        if not obj.spec.finalizers and obj.metadata.deletionTimestamp is not None:
            return plan
        obj.status.phase = TERMINATING
        deletion = obj.metadata.deletionTimestamp or rfc3339(ctx.services.clock.now())
        return plan._replace(deletion=deletion, grace=None, remove=False, changed=True)


class NamespaceStatusStrategy(StatusStrategy):
    """What the namespace controller reports."""

    def finished(self, obj: Any, old: Any) -> bool:
        """Leave removal to `finalize`."""
        return self.main.finished(obj, old)


class FinalizeStrategy(NamespaceStrategy):
    """The subresource through which finalizers of the spec are taken away."""

    def prepare_for_update(self, ctx: RequestContext, obj: Any, old: Any) -> None:
        """Take only the finalizers from the new object."""
        del ctx
        obj.status = old.status
        obj.metadata.finalizers = old.metadata.finalizers

    def validate_update(self, ctx: RequestContext, obj: Any, old: Any) -> list[Problem]:
        """Return what is wrong with the metadata."""
        return self.rules.status(obj, old)
