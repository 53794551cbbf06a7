"""Conversations: log, exec, attach, port-forward, proxy.

In:   a context that has passed every filter; any method.
Out:  whatever the other side answers, or a connection to it.
By:   routes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.apiserver.registry.review import CONNECT, Review

if TYPE_CHECKING:
    from kybern.apiserver.context import Answer, RequestContext
    from kybern.apiserver.registry.resource import Subresource


async def connect(ctx: RequestContext, subresource: Subresource) -> Answer:
    """Let admission look at it, then connect."""
    admission = ctx.services.admission
    asked = Review(ctx, CONNECT, ctx.resource, None)
    if admission.validates(asked):
        await admission.validate(asked)
    assert subresource.connect is not None
    return await subresource.connect(ctx)
