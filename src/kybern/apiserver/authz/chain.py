"""The authorizers, in the order they are asked.

In:   what is asked.
Out:  the first Allow or Deny; NoOpinion of all is a refusal with the last reason.
By:   the filters, and the access reviews.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.apiserver.context import Verdict

if TYPE_CHECKING:
    from kybern.apiserver.context import Attributes, Authorizer, RequestContext

ALLOWED = Verdict(True)


class Chain:
    """Masters first, then nodes, then RBAC."""

    def __init__(self, *authorizers: Authorizer) -> None:
        self._authorizers = authorizers

    def authorize(self, asked: Attributes | RequestContext) -> Verdict:
        """Answer at once from what is in memory; never waits, never raises."""
        if asked.user.master:
            return ALLOWED
        reasons = []
        for authorizer in self._authorizers:
            verdict = authorizer.authorize(asked)
            if verdict.allowed is not None:
                return verdict
            if verdict.reason:
                reasons.append(verdict.reason)
        return Verdict(False, "\n".join(reasons))
