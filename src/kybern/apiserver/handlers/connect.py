"""Conversations: log, exec, attach, port-forward, proxy.

In:   a context that has passed every filter; any method.
Out:  whatever the other side answers, or a connection to it.
By:   routes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import errors
from kybern.apiserver.authz.denial import require
from kybern.apiserver.handlers.forwarding import is_upgrade
from kybern.apiserver.handlers.pod_log import log
from kybern.apiserver.handlers.pod_streams import attach, execute, forward_ports
from kybern.apiserver.handlers.proxy import proxy_node, proxy_pod, proxy_service
from kybern.apiserver.registry.review import CONNECT, Review

if TYPE_CHECKING:
    from kybern.apiserver.context import Answer, Handler, RequestContext

CONVERSATIONS: dict[tuple[str, str], Handler] = {
    ("Pod", "log"): log,
    ("Pod", "exec"): execute,
    ("Pod", "attach"): attach,
    ("Pod", "portforward"): forward_ports,
    ("Pod", "proxy"): proxy_pod,
    ("Service", "proxy"): proxy_service,
    ("Node", "proxy"): proxy_node,
}
INTO_CONTAINERS = frozenset(("exec", "attach", "portforward"))


async def connect(ctx: RequestContext) -> Answer:
    """Let admission look at it, then connect."""
    if ctx.subresource in INTO_CONTAINERS:
        if ctx.request.method not in ("GET", "POST"):
            raise errors.MethodNotAllowed(
                "the server does not allow this method on the requested resource", {}
            )
        if ctx.verb == "get" and is_upgrade(ctx.request):
            require(ctx, "create")  # a WebSocket arrives as a GET and does the same as a POST
    asked = Review(ctx, CONNECT, ctx.resource, None)
    admission = ctx.services.admission
    if admission.validates(asked):
        await admission.validate(asked)
    return await CONVERSATIONS[(ctx.resource.kind.kind, ctx.subresource)](ctx)
