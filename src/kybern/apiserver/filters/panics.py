"""A bug becomes a 500 Status, never a dropped connection.

In:   whatever a later step raised.
Out:  the answer the client gets for it.
By:   app, around all other filters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import errors
from kybern.apiserver.answers import status_response
from kybern.lib import logs

if TYPE_CHECKING:
    from kybern.apiserver.context import RequestContext, Services
    from kybern.lib.http.messages import Response

log = logs.get("apiserver")


class Panics:
    """Turn every exception into an answer."""

    def __init__(self, services: Services) -> None:
        del services

    def rescue(self, ctx: RequestContext, error: Exception) -> Response:
        """Answer for a request that failed."""
        if isinstance(error, errors.ApiError):
            return status_response(ctx, error)
        if isinstance(error, TimeoutError):
            return status_response(
                ctx,
                errors.Timeout(
                    "request did not complete within requested timeout - context deadline exceeded"
                ),
            )
        log.exception("request failed", method=ctx.request.method, path=ctx.path)
        return status_response(ctx, errors.InternalError.of(str(error) or type(error).__name__))
