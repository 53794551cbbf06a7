"""Which verb on which resource: read off the method, the path and the query.

In:   a request's method, raw path and query.
Out:  ctx.verb, .group, .version, .plural, .subresource, .namespace, .name, and .resource when the
      registry knows it. A path outside the resources keeps its path and has the method as verb.
By:   app, as the first filter that looks at the request.

Whether the resource exists is not judged here: who may not look gets 403 before 404, as upstream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from kybern.apiserver.query import is_true

if TYPE_CHECKING:
    from kybern.apiserver.context import RequestContext, Services

VERBS = {
    "GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch",
    "DELETE": "delete",
}  # fmt: skip
COLLECTION_VERBS = {"get": "list", "delete": "deletecollection"}
# Below a namespace these are parts of it and not resources in it.
NAMESPACE_PARTS = frozenset(("status", "finalize"))
# Subresources whose remaining path belongs to someone else.
PROXIES = frozenset(("proxy",))


class RequestInfo:
    """Read what is asked for."""

    def __init__(self, services: Services) -> None:
        self._resources = services.resources

    def enter(self, ctx: RequestContext) -> None:
        """Fill in verb and target."""
        method, path = ctx.request.method, ctx.path
        parts = path.split("/")
        # "/api/v1/..." has an empty first part; "/apis/group/version/..." is one longer.
        if len(parts) > 3 and parts[1] == "api":
            ctx.version, rest = parts[2], parts[3:]
        elif len(parts) > 4 and parts[1] == "apis":
            ctx.group, ctx.version, rest = parts[2], parts[3], parts[4:]
        else:
            ctx.verb = method.lower()
            return
        verb = VERBS.get(method, "")
        if rest[0] in ("watch", "proxy") and len(rest) > 1 and rest[1]:
            # The old form of a watch: /api/v1/watch/pods.
            verb, rest = rest[0], rest[1:]
        if not rest[0]:
            ctx.verb = method.lower()
            return
        if not rest[-1]:
            rest.pop()  # a slash at the end means nothing
        ctx.is_resource = True
        self._target(ctx, rest, "%" in path)
        ctx.verb = _verb_for(ctx, verb)
        ctx.resource = self._resources.find(ctx.group, ctx.version, ctx.plural)

    def _target(self, ctx: RequestContext, rest: list[str], escaped: bool) -> None:
        if escaped:
            rest = [unquote(part) for part in rest]
            if any("/" in part for part in rest[:3]):
                # Names are parts of keys: one with a slash would be somebody else's key.
                return
        if "" in rest[:3]:
            return
        count = len(rest)
        if rest[0] == "namespaces" and count > 1:
            ctx.namespace = rest[1]
            if count > 2 and not (count == 3 and rest[2] in NAMESPACE_PARTS):
                rest = rest[2:]
                count -= 2
        ctx.plural = rest[0]
        if count > 1:
            ctx.name = rest[1]
            if count > 2:
                ctx.subresource = rest[2]
                if count > 3:
                    ctx.subpath = "/".join(rest[3:])


def _verb_for(ctx: RequestContext, verb: str) -> str:
    if ctx.name:
        return verb
    verb = COLLECTION_VERBS.get(verb, verb)
    if verb == "list" and ctx.request.query and is_true(ctx.param("watch")):
        verb = "watch"
    if verb in ("list", "watch", "deletecollection"):
        ctx.name = _selected_name(ctx)
    return verb


def _selected_name(ctx: RequestContext) -> str:
    # `fieldSelector=metadata.name=x` narrows a list to one object; rules with resourceNames
    # may allow that, so the authorizers have to see the name.
    if not ctx.request.query or "fieldSelector" not in ctx.request.query:
        return ""
    for term in ctx.param("fieldSelector").split(","):
        key, equals, value = term.partition("=")
        if key == "metadata.name" and equals:
            return value.lstrip("=")
    return ""
