"""PUT: replace one object, or the part of it that a subresource is.

In:   a context that has passed every filter, and the body.
Out:  200 and the object; 201 where the kind lets a PUT create.
By:   routes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.apiserver.authz.denial import require
from kybern.apiserver.handlers.options import decode_body, read_body, read_write_options
from kybern.apiserver.handlers.showing import show_entry, show_object
from kybern.apiserver.registry import generic

if TYPE_CHECKING:
    from kybern.api.scheme import Kind
    from kybern.apiserver.context import RequestContext
    from kybern.apiserver.registry.resource import Resource, View
    from kybern.lib.http.messages import Response


class Replace:
    """A change to what the body says; decoded anew for each attempt, as each uses it up."""

    __slots__ = ("_body", "_kind", "retries")
    records_owners = False

    def __init__(self, body: bytes, kind: Kind) -> None:
        self._body = body
        self._kind = kind
        self.retries = generic.RETRIES

    def apply(self, ctx: RequestContext, old: Any | None) -> Any:
        """Return the object in the body."""
        if old is None:
            require(ctx, "create")
        return decode_body(ctx, self._body, self._kind)


class ReplaceView:
    """A change of an object through another shape of it (Scale)."""

    __slots__ = ("_body", "_view", "retries")
    records_owners = False

    def __init__(self, body: bytes, view: View) -> None:
        self._body = body
        self._view = view
        self.retries = generic.RETRIES

    def apply(self, ctx: RequestContext, old: Any | None) -> Any:
        """Return the object, changed as the body says."""
        shown = decode_body(ctx, self._body, self._view.kind)
        return write_through(self._view, old, shown)


def write_through(view: View, old: Any, shown: Any) -> Any:
    """Return a copy of an object, changed through a view of it."""
    from kybern.api import codec

    obj = codec.clone(old)
    view.write(obj, shown)
    meta = shown.metadata
    if meta.resourceVersion:
        obj.metadata.resourceVersion = meta.resourceVersion
    else:
        # A scale without a version is meant for whatever is there.
        obj.metadata.resourceVersion = None
    if meta.uid:
        obj.metadata.uid = meta.uid
    return obj


async def update(ctx: RequestContext) -> Response:
    """Replace the object of the path with the one in the body."""
    resource: Resource = ctx.resource
    read_write_options(ctx, "UpdateOptions")
    body = await read_body(ctx)
    if not ctx.subresource:
        strategy = resource.strategy
        written = await generic.update(
            ctx, resource, strategy, Replace(body, resource.kind),
            create_missing=strategy.create_on_update,
        )  # fmt: skip
        return show_entry(ctx, resource, written.entry, 201 if written.created else 200)
    subresource = resource.subresources[ctx.subresource]
    view = subresource.view
    if view is None:
        change: generic.Change = Replace(body, resource.kind)
    else:
        change = ReplaceView(body, view)
    written = await generic.update(ctx, resource, subresource.changed_by(), change)
    return show_written(ctx, resource, written, view)


def show_written(
    ctx: RequestContext, resource: Resource, written: generic.Written, view: View | None
) -> Response:
    """Answer with an object, or a view of it, after a write."""
    status = 201 if written.created else 200
    if view is None:
        return show_entry(ctx, resource, written.entry, status)
    return show_object(ctx, view.read(resource.decode(written.entry)), status)
