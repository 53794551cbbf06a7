"""APIServices: those served right here are available from the start.

In:   APIServices to be created.
Out:  the condition Available for those without a Service.
By:   registry.special.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api.apiregistration.v1 import APIServiceCondition, APIServiceStatus
from kybern.apiserver.registry.strategy import Strategy
from kybern.lib.clock import rfc3339

if TYPE_CHECKING:
    from kybern.apiserver.context import RequestContext


class ServiceStrategy(Strategy):
    """APIServices."""

    def prepare_for_create(self, ctx: RequestContext, obj: Any) -> None:
        """Start without a status, but for what needs nobody else."""
        obj.status = APIServiceStatus()
        if obj.spec.service is None:
            local = APIServiceCondition(
                type="Available",
                status="True",
                lastTransitionTime=rfc3339(ctx.services.clock.now()),
                reason="Local",
                message="Local APIServices are always available",
            )
            obj.status.conditions = [local]
