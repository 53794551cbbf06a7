"""From verb and resource to the handler.

In:   a context that has passed every filter.
Out:  the handler's answer; 404 or 405 where there is none.
By:   app.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import errors
from kybern.apiserver.answers import text_response
from kybern.apiserver.handlers.create import create, make, review
from kybern.apiserver.handlers.delete import delete
from kybern.apiserver.handlers.delete_collection import delete_collection
from kybern.apiserver.handlers.get import get
from kybern.apiserver.handlers.list import list_
from kybern.apiserver.handlers.patch import patch
from kybern.apiserver.handlers.update import update
from kybern.apiserver.handlers.watch import watch

if TYPE_CHECKING:
    from kybern.apiserver.context import Answer, Handler, RequestContext
    from kybern.apiserver.registry.resource import Resource

VERBS: dict[str, Handler] = {
    "get": get,
    "list": list_,
    "watch": watch,
    "create": create,
    "update": update,
    "patch": patch,
    "delete": delete,
    "deletecollection": delete_collection,
}
OF_ONE = frozenset(("update", "patch", "delete"))
NOT_FOUND = "404 page not found\n"


async def dispatch(ctx: RequestContext) -> Answer:
    """Hand the request to whoever answers it.

    Raises:
        MethodNotAllowed: the resource does not do that.
    """
    if not ctx.is_resource:
        return await _document(ctx)
    aggregated = ctx.services.aggregated
    if aggregated and (backend := aggregated.get((ctx.group, ctx.version))) is not None:
        answer: Answer = await backend.answer(ctx)
        return answer
    resource: Resource | None = ctx.resource
    if resource is None or resource.namespaced is not bool(ctx.namespace):
        computed = ctx.services.computed.get((ctx.group, ctx.version, ctx.plural))
        if computed is not None and not ctx.subresource:
            return await computed(ctx)
        problem = _misplaced(ctx, resource)
        if problem is not None:
            return problem
    assert resource is not None
    if resource.deprecated:
        ctx.warn(resource.deprecated)
    if ctx.subresource:
        return await _subresource(ctx, resource)
    verb = ctx.verb
    if verb not in resource.verbs:
        raise not_allowed()
    if resource.answer is not None:
        return await review(ctx)
    if not ctx.name:
        if verb in OF_ONE or (verb == "create" and resource.namespaced and not ctx.namespace):
            raise not_allowed()
    elif verb == "create":
        raise not_allowed()
    return await VERBS[verb](ctx)


def _misplaced(ctx: RequestContext, resource: Resource | None) -> Answer | None:
    """Return the answer to a path that is in the wrong scope; None when it is not."""
    if resource is None:
        return _no_route(ctx)
    if resource.namespaced:
        # All namespaces together can be listed and watched, but not written.
        if ctx.name and ctx.verb not in ("list", "watch", "deletecollection"):
            return _no_route(ctx)
        return None
    if ctx.plural == "namespaces" and not ctx.group:
        return None  # its own name is its namespace
    return _no_route(ctx)


def _no_route(ctx: RequestContext) -> Answer:
    """Answer a path that leads nowhere: below a served version with a Status, elsewhere a page.

    Source: go-restful dispatches on the version's root, and its error handler knows Statuses;
    what it does not dispatch falls through to the mux.
    """
    if any(
        kind.group == ctx.group and kind.version == ctx.version
        for kind in ctx.services.resources.kinds()
    ):
        raise errors.NotFound.page()
    return text_response(404, NOT_FOUND)


async def _subresource(ctx: RequestContext, resource: Resource) -> Answer:
    subresource = resource.subresources.get(ctx.subresource)
    if subresource is None or not ctx.name or (ctx.subpath and not subresource.connects):
        return _no_route(ctx)
    if subresource.connects:
        # Imported when the first one comes: it needs all of HTTP's client side.
        from kybern.apiserver.handlers.connect import connect

        return await connect(ctx)
    if ctx.verb not in subresource.verbs:
        raise not_allowed()
    if subresource.make is not None:
        return await make(ctx)
    return await VERBS[ctx.verb](ctx)


async def _document(ctx: RequestContext) -> Answer:
    services = ctx.services
    handler = services.paths.get(ctx.path)
    if handler is None:
        for prefix, candidate in services.prefixes:
            if ctx.path.startswith(prefix):
                handler = candidate
                break
        else:
            return text_response(404, NOT_FOUND)
    if ctx.verb not in ("get", "head"):
        raise not_allowed()
    return await handler(ctx)


def not_allowed() -> errors.MethodNotAllowed:
    """Say that a resource does not take this method."""
    return errors.MethodNotAllowed(
        "the server does not allow this method on the requested resource", {}
    )
