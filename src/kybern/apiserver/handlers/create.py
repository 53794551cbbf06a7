"""POST: create one object, or do what a subresource does.

In:   a context that has passed every filter, and the body.
Out:  201 and the stored object.
By:   routes.

The order is upstream's, and clients can see it: mutating admission runs before the name is
generated and before validation; validating admission runs last. See registry.generic.create.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.apiserver import accept
from kybern.apiserver.handlers.options import decode_body, read_body, read_write_options
from kybern.apiserver.handlers.showing import show_entry, show_object
from kybern.apiserver.registry import generic
from kybern.apiserver.registry.review import CREATE, Review

if TYPE_CHECKING:
    from kybern.apiserver.context import RequestContext
    from kybern.lib.http.messages import Response


async def create(ctx: RequestContext) -> Response:
    """Create the object in the body in the collection of the path."""
    resource = ctx.resource
    read_write_options(ctx, "CreateOptions")
    obj = decode_body(ctx, await read_body(ctx), resource.kind)
    entry = await generic.create(ctx, resource, obj, must_be_new=True)
    return show_entry(ctx, resource, entry, 201)


async def make(ctx: RequestContext) -> Response:
    """Hand the body to a subresource that does something with it."""
    subresource = ctx.resource.subresources[ctx.subresource]
    read_write_options(ctx, "CreateOptions")
    body = decode_body(ctx, await read_body(ctx), subresource.kind)
    body = await _admitted(ctx, body)
    return show_object(ctx, await subresource.make(ctx, body), 201)


async def review(ctx: RequestContext) -> Response:
    """Answer a question that is asked by creating an object nobody stores."""
    accept.form(ctx.request.headers.get("accept"), accept.OF_REVIEW)
    read_write_options(ctx, "CreateOptions")
    body = decode_body(ctx, await read_body(ctx), ctx.resource.kind)
    body = await _admitted(ctx, body)
    return show_object(ctx, await ctx.resource.answer(ctx, body), 201)


async def _admitted(ctx: RequestContext, body: Any) -> Any:
    admission = ctx.services.admission
    asked = Review(ctx, CREATE, ctx.resource, body)
    if admission.mutates(asked):
        await admission.mutate(asked)
    if admission.validates(asked):
        await admission.validate(asked)
    return asked.obj
