"""Who sends this.

In:   the request's peer certificate, Authorization header, or the identity of a caller in
      this process.
Out:  ctx.user; or 401.
By:   app, after request_info.

Anonymous requests get 401, except to the documents in OPEN: load balancers and scripts ask for
those before they have credentials, and a machine that joins asks for `cluster-info` when it knows
nothing but the bootstrap token with which that is signed. Whether they may, authorization says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import errors

if TYPE_CHECKING:
    from kybern.apiserver.context import RequestContext, Services

CLUSTER_INFO = "/api/v1/namespaces/kube-public/configmaps/cluster-info"
OPEN = frozenset(("/healthz", "/livez", "/readyz", CLUSTER_INFO))


class Authentication:
    """Find the user of a request."""

    def __init__(self, services: Services) -> None:
        self._authenticator = services.authenticator

    def enter(self, ctx: RequestContext) -> None:
        """Set ctx.user or refuse."""
        user, known = self._authenticator.authenticate(ctx.request)
        if not known and ctx.path not in OPEN:
            raise errors.Unauthorized("Unauthorized")
        ctx.user = user
