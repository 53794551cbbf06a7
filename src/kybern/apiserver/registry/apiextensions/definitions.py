"""CustomResourceDefinitions: what is stored in which version is remembered.

In:   definitions to be written.
Out:  `status.storedVersions`, the finalizer that lets objects go first.
By:   registry.special. What they define is served by `apiserver/custom`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api.apiextensions.v1 import CustomResourceDefinitionCondition
from kybern.apiserver.registry.strategy import Strategy
from kybern.lib.clock import rfc3339

if TYPE_CHECKING:
    from kybern.api.apiextensions.v1 import CustomResourceDefinition
    from kybern.apiserver.context import RequestContext
    from kybern.apiserver.registry.deletion import Plan


FINALIZER = "customresourcecleanup.apiextensions.k8s.io"


class DefinitionStrategy(Strategy):
    """Definitions."""

    def prepare_for_create(self, ctx: RequestContext, obj: Any) -> None:
        """Note the storage version."""
        super().prepare_for_create(ctx, obj)
        _note_storage(obj)

    def prepare_for_update(self, ctx: RequestContext, obj: Any, old: Any) -> None:
        """Note a new storage version."""
        super().prepare_for_update(ctx, obj, old)
        _note_storage(obj)

    def adjust_deletion(self, ctx: RequestContext, obj: Any, plan: Plan) -> Plan:
        """Keep the definition until its objects are gone."""
        if obj.metadata.deletionTimestamp is not None and FINALIZER not in (
            obj.metadata.finalizers or ()
        ):
            return plan
        now = rfc3339(ctx.services.clock.now())
        deletion = obj.metadata.deletionTimestamp or now
        finalizers = [*(f for f in plan.finalizers if f != FINALIZER), FINALIZER]
        _set_terminating(obj, now)
        return plan._replace(
            finalizers=finalizers, deletion=deletion, grace=None, remove=False, changed=True
        )


def _set_terminating(obj: Any, now: str) -> None:
    text = "CustomResource deletion is in progress"
    set_condition(obj, "Terminating", "True", "InstanceDeletionInProgress", text, now)


def _note_storage(obj: Any) -> None:
    stored = list(obj.status.storedVersions or ())
    for version in obj.spec.versions:
        if version.storage and version.name not in stored:
            stored.append(version.name)
    obj.status.storedVersions = stored or None


def set_condition(
    definition: CustomResourceDefinition,
    kind: str,
    status: str,
    reason: str,
    message: str,
    now: str,
) -> None:
    """Set a condition of a definition."""
    conditions = definition.status.conditions or []
    old = next((each for each in conditions if each.type == kind), None)
    since = old.lastTransitionTime if old is not None and old.status == status else now
    made = CustomResourceDefinitionCondition(
        type=kind, status=status, reason=reason, message=message, lastTransitionTime=since
    )
    definition.status.conditions = [*(c for c in conditions if c.type != kind), made]
