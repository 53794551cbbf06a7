"""`pods/exec`, `pods/attach`, `pods/portforward`: into a container.

In:   a request to upgrade to WebSocket or SPDY.
Out:  a raw connection to the kubelet, which speaks either.
By:   handlers.connect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from kybern.api import errors
from kybern.apiserver.handlers.forwarding import forward, is_upgrade
from kybern.apiserver.handlers.pod_containers import container_of, pod_of
from kybern.apiserver.query import is_true

if TYPE_CHECKING:
    from kybern.apiserver.context import Answer, RequestContext

STREAMS = (("stdin", "input"), ("stdout", "output"), ("stderr", "error"), ("tty", "tty"))
"""What clients call the streams, and what kubelets call them."""


async def execute(ctx: RequestContext) -> Answer:
    """Run a command in a container."""
    commands = ctx.params.get("command", [])
    if not commands:
        raise errors.BadRequest("you must specify at least 1 command for the container")
    return await _into_container(ctx, "exec", [("command", c) for c in commands])


async def attach(ctx: RequestContext) -> Answer:
    """Talk to a container's main process."""
    return await _into_container(ctx, "attach", [])


async def forward_ports(ctx: RequestContext) -> Answer:
    """Reach a pod's ports."""
    pod = pod_of(ctx)
    node = _node(pod.spec.nodeName, ctx)
    _require_upgrade(ctx)
    ports = [("port", text) for text in ctx.params.get("ports", ()) or ctx.params.get("port", ())]
    target = _target("portForward", ctx.namespace, ctx.name)
    if ports:
        target += "?" + urlencode(ports)
    return await forward(ctx.request, ctx.services.nodes.client(node), target)


async def _into_container(
    ctx: RequestContext, what: str, parameters: list[tuple[str, str]]
) -> Answer:
    pod = pod_of(ctx)
    container = container_of(pod, ctx.param("container"))
    node = _node(pod.spec.nodeName, ctx)
    streams = [(theirs, "1") for ours, theirs in STREAMS if is_true(ctx.param(ours))]
    if not [s for s in streams if s[0] != "tty"]:
        raise errors.BadRequest("you must specify at least 1 of stdin, stdout, stderr")
    _require_upgrade(ctx)
    target = _target(what, ctx.namespace, ctx.name, container)
    target += "?" + urlencode([*streams, *parameters])
    return await forward(ctx.request, ctx.services.nodes.client(node), target)


def _target(*parts: str) -> str:
    return "/" + "/".join(quote(part, safe="") for part in parts)


def _node(name: str | None, ctx: RequestContext) -> str:
    if not name:
        raise errors.BadRequest(f"pod {ctx.name} does not have a host assigned")
    return name


def _require_upgrade(ctx: RequestContext) -> None:
    if not is_upgrade(ctx.request):
        raise errors.BadRequest("Upgrade request required")
