"""A bug becomes a 500 Status, never a dropped connection.

In:   whatever a later step raised.
Out:  the answer the client gets for it.
By:   app, around all other filters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import bounds, errors
from kybern.apiserver.answers import status_response
from kybern.lib import logs
from kybern.lib.http.messages import ClientGone
from kybern.store.interface import StoreClosed, StoreError

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
                errors.Timeout.of(
                    "request did not complete within requested timeout - context deadline exceeded"
                ),
            )
        if isinstance(error, StoreClosed):
            return status_response(ctx, errors.ServiceUnavailable("the server is shutting down"))
        if isinstance(error, StoreError):
            # Not a bug: the medium says no, and its message says what to do.
            log.error("the store failed", error=str(error), path=ctx.path)
            return status_response(ctx, errors.InternalError.of(str(error)))
        if isinstance(error, RecursionError):
            # Nothing of ours nests so deeply: it is in what the client sent.
            return status_response(ctx, errors.BadRequest(bounds.TOO_DEEP))
        if isinstance(error, ClientGone):
            return status_response(ctx, errors.BadRequest(str(error)))
        log.exception("request failed", method=ctx.request.method, path=ctx.path)
        return status_response(ctx, errors.InternalError.of(str(error) or type(error).__name__))
