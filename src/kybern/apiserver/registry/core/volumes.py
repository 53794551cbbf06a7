"""PersistentVolumes and claims: born pending.

In:   volumes and claims to be created or changed.
Out:  their phase, and when it changed.
By:   registry.special.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api.core.v1 import PersistentVolumeClaimStatus, PersistentVolumeStatus
from kybern.apiserver.registry.strategy import Strategy
from kybern.lib.clock import rfc3339

if TYPE_CHECKING:
    from kybern.apiserver.context import RequestContext


class VolumeStrategy(Strategy):
    """PersistentVolumes."""

    def prepare_for_create(self, ctx: RequestContext, obj: Any) -> None:
        """Start out pending."""
        now = rfc3339(ctx.services.clock.now())
        obj.status = PersistentVolumeStatus(phase="Pending", lastPhaseTransitionTime=now)


class ClaimStrategy(Strategy):
    """PersistentVolumeClaims."""

    def prepare_for_create(self, ctx: RequestContext, obj: Any) -> None:
        """Start out pending; the old and the new way to name a source agree."""
        del ctx
        obj.status = PersistentVolumeClaimStatus(phase="Pending")
        spec = obj.spec
        if spec.dataSourceRef is None and spec.dataSource is not None:
            from kybern.api.core.v1 import TypedObjectReference

            source = spec.dataSource
            spec.dataSourceRef = TypedObjectReference(
                apiGroup=source.apiGroup, kind=source.kind, name=source.name
            )
