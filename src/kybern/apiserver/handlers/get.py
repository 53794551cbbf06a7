"""GET: one object.

In:   a context that has passed every filter.
Out:  200 and the stored bytes, or 404.
By:   routes. Waits for nothing: everything current is in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import errors
from kybern.apiserver.handlers.showing import show_entry, show_object
from kybern.apiserver.handlers.versions import check_not_newer

if TYPE_CHECKING:
    from kybern.apiserver.context import RequestContext
    from kybern.lib.http.messages import Response


async def get(ctx: RequestContext) -> Response:
    """Answer with the object the path names, or the part of it that a subresource shows."""
    resource = ctx.resource
    entry = ctx.services.store.get(resource.key(ctx.namespace, ctx.name))
    if entry is None:
        raise errors.NotFound.of(resource.kind, ctx.name)
    if ctx.request.query:
        check_not_newer(ctx, ctx.param("resourceVersion"))
    if resource.converts:
        await resource.ready((entry,))
    if ctx.subresource:
        view = resource.subresources[ctx.subresource].view
        if view is not None:
            return show_object(ctx, view.read(resource.decode(entry)))
    return show_entry(ctx, resource, entry)
