"""May they.

In:   the user, the verb and the target.
Out:  nothing; or 403.
By:   app, as the last filter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.apiserver.authz.denial import forbidden

if TYPE_CHECKING:
    from kybern.apiserver.context import RequestContext, Services


class Authorization:
    """Refuse what the user may not do."""

    def __init__(self, services: Services) -> None:
        self._authorizer = services.authorizer

    def enter(self, ctx: RequestContext) -> None:
        """Ask the authorizers, unless the user may do everything."""
        if ctx.user.master:
            return
        verdict = self._authorizer.authorize(ctx)
        if not verdict.allowed:
            raise forbidden(ctx, verdict.reason)
