"""Certificate signing requests: who asks is noted, approval and signing are separate.

In:   CertificateSigningRequests to be created, approved or signed.
Out:  spec filled with the requester; conditions and certificate changed only where they may be.
By:   registry.special.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api import codec
from kybern.api.certificates.v1 import CertificateSigningRequestStatus
from kybern.apiserver.registry.strategy import StatusStrategy, Strategy
from kybern.lib.clock import rfc3339

if TYPE_CHECKING:
    from kybern.apiserver.context import RequestContext

DECISIONS = frozenset(("Approved", "Denied"))


class RequestStrategy(Strategy):
    """The requests themselves."""

    def prepare_for_create(self, ctx: RequestContext, obj: Any) -> None:
        """Note who asks; they cannot say so themselves."""
        user, spec = ctx.user, obj.spec
        spec.username, spec.uid = user.name or None, user.uid or None
        spec.groups = list(user.groups) or None
        spec.extra = user.extra or None
        obj.status = CertificateSigningRequestStatus()

    def prepare_for_update(self, ctx: RequestContext, obj: Any, old: Any) -> None:
        """Keep what was asked for."""
        del ctx
        obj.spec, obj.status = old.spec, old.status


class ApprovalStrategy(StatusStrategy):
    """`certificatesigningrequests/approval`: conditions only."""

    def prepare_for_update(self, ctx: RequestContext, obj: Any, old: Any) -> None:
        """Take the conditions from the new object, with times."""
        conditions = obj.status.conditions
        super().prepare_for_update(ctx, obj, old)
        obj.status = codec.clone(old.status)
        obj.status.conditions = conditions
        stamp(ctx, obj, old)


class SigningStrategy(StatusStrategy):
    """`certificatesigningrequests/status`: the certificate; decisions stay as they are."""

    def prepare_for_update(self, ctx: RequestContext, obj: Any, old: Any) -> None:
        """Take everything but decisions from the new object."""
        super().prepare_for_update(ctx, obj, old)
        decided = [c for c in old.status.conditions or () if c.type in DECISIONS]
        others = [c for c in obj.status.conditions or () if c.type not in DECISIONS]
        obj.status.conditions = [*decided, *others] or None
        stamp(ctx, obj, old)


def stamp(ctx: RequestContext, obj: Any, old: Any) -> None:
    """Set the times of conditions that are new or have changed."""
    now = rfc3339(ctx.services.clock.now())
    before = {c.type: c for c in old.status.conditions or ()}
    for condition in obj.status.conditions or ():
        known = before.get(condition.type)
        condition.lastUpdateTime = condition.lastUpdateTime or now
        if condition.lastTransitionTime:
            continue
        same = known is not None and known.status == condition.status
        condition.lastTransitionTime = known.lastTransitionTime if known and same else now
