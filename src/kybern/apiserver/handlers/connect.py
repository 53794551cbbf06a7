"""Conversations: log, exec, attach, port-forward, proxy.

In:   a context that has passed every filter; any method.
Out:  whatever the other side answers, or a connection to it.
By:   routes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.apiserver.authz.denial import forbidden
from kybern.apiserver.context import Attributes
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
    if ctx.verb == "get" and ctx.subresource in INTO_CONTAINERS and is_upgrade(ctx.request):
        _require_create(ctx)
    asked = Review(ctx, CONNECT, ctx.resource, None)
    admission = ctx.services.admission
    if admission.validates(asked):
        await admission.validate(asked)
    return await CONVERSATIONS[(ctx.resource.kind.kind, ctx.subresource)](ctx)


def _require_create(ctx: RequestContext) -> None:
    """Ask for `create` also where a WebSocket arrives as a GET: it does the same as a POST."""
    asked = Attributes(
        ctx.user, "create", group=ctx.group, version=ctx.version, plural=ctx.plural,
        subresource=ctx.subresource, namespace=ctx.namespace, name=ctx.name,
    )  # fmt: skip
    verdict = ctx.services.authorizer.authorize(asked)
    if not verdict.allowed:
        raise forbidden(asked, verdict.reason)
