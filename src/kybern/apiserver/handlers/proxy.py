"""`pods/proxy`, `services/proxy`, `nodes/proxy`: speak HTTP to something in the cluster.

In:   any request below `.../proxy`, and who is meant: `name`, `name:port`, `https:name:port`.
Out:  the other side's answer; links in HTML lead through the proxy again.
By:   handlers.connect.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from kybern.api import codec, errors
from kybern.apiserver.handlers.forwarding import forward
from kybern.apiserver.registry import generic
from kybern.lib import tls
from kybern.lib.http.client import HttpClient
from kybern.lib.http.messages import Response, StreamResponse

if TYPE_CHECKING:
    from kybern.apiserver.context import Answer, RequestContext

SCHEMES = ("http", "https")
LINK = re.compile(rb"""(\s(?:href|src|action)\s*=\s*["'])(/[^/"'][^"']*|/)(["'])""", re.IGNORECASE)
LARGEST_PAGE = 8 << 20


class Meant(NamedTuple):
    """Whom a proxy path names."""

    scheme: str
    name: str
    port: str


def meant(text: str) -> Meant:
    """Read `[scheme:]name[:port]`.

    Raises:
        BadRequest: it has another form.
    """
    parts = text.split(":")
    if len(parts) == 1:
        return Meant("http", parts[0], "")
    if len(parts) == 2:
        return Meant("http", parts[0], parts[1])
    if len(parts) == 3 and parts[0] in ("", *SCHEMES):
        return Meant(parts[0] or "http", parts[1], parts[2])
    raise errors.BadRequest(f'invalid name "{text}"')


async def proxy_pod(ctx: RequestContext) -> Answer:
    """Speak to a pod."""
    who = meant(ctx.name)
    pod = _decode(ctx, who.name)
    if not pod.status.podIP:
        raise errors.BadRequest("address not allowed")
    port = who.port or _first_port(pod)
    return await _through(ctx, who.scheme, pod.status.podIP, _number(port))


async def proxy_service(ctx: RequestContext) -> Answer:
    """Speak to one of the ready endpoints of a Service."""
    who = meant(ctx.name)
    service = _decode(ctx, who.name)
    wanted = _service_port(service, who)
    address, port = _endpoint(ctx, service, wanted)
    return await _through(ctx, who.scheme, address, port)


async def proxy_node(ctx: RequestContext) -> Answer:
    """Speak to a kubelet."""
    who = meant(ctx.name)
    client = ctx.services.nodes.client(who.name, _number(who.port) if who.port else 0)
    return await forward(ctx.request, client, _target(ctx))


def _decode(ctx: RequestContext, name: str) -> Any:
    entry = generic.find(ctx.at(ctx.namespace, name), ctx.resource)
    return codec.decode(entry.held, ctx.resource.struct)


def _first_port(pod: Any) -> str:
    for container in pod.spec.containers:
        for port in container.ports or ():
            return str(port.containerPort)
    return "80"


def _number(port: str) -> int:
    if port.isascii() and port.isdigit() and len(port) < 6 and 0 < int(port) < 65536:
        return int(port)
    raise errors.BadRequest(f'invalid port "{port}"')


def _service_port(service: Any, who: Meant) -> Any:
    ports = service.spec.ports or []
    if not who.port and len(ports) == 1:
        return ports[0]
    for port in ports:
        if (port.name or "") == who.port or str(port.port) == who.port:
            return port
    raise errors.ServiceUnavailable(
        f'no service port {who.port!r} found for service "{who.name}"'.replace("'", '"')
    )


def _endpoint(ctx: RequestContext, service: Any, wanted: Any) -> tuple[str, int]:
    """Return a random ready endpoint of a Service's port."""
    slices = ctx.services.resources.find("discovery.k8s.io", "v1", "endpointslices")
    found: list[tuple[str, int]] = []
    for entry in ctx.services.store.list(slices.scope(ctx.namespace)).entries:
        labels = entry.attributes.metadata.labels or {}
        if labels.get("kubernetes.io/service-name") != service.metadata.name:
            continue
        found += _ready(codec.decode(entry.held, slices.struct), wanted)
    if not found:
        raise errors.ServiceUnavailable(
            f'no endpoints available for service "{service.metadata.name}"'
        )
    return found[int(ctx.services.identities.fraction() * len(found))]


def _ready(slice_: Any, wanted: Any) -> list[tuple[str, int]]:
    return [
        (address, port.port)
        for port in slice_.ports or ()
        if (port.name or "") == (wanted.name or "") and port.port
        for endpoint in slice_.endpoints or ()
        if endpoint.conditions is None or endpoint.conditions.ready is not False
        for address in endpoint.addresses[:1]
    ]


async def _through(ctx: RequestContext, scheme: str, host: str, port: int) -> Answer:
    request = ctx.request
    check_address(host)
    prefix = _halves(ctx)[0]
    if not ctx.subpath and not request.path.endswith("/") and request.method in ("GET", "HEAD"):
        # Relative links on the page only work below a directory.
        query = f"?{request.query}" if request.query else ""
        return Response(301, b"", "", (("Location", f"{request.path}/{query}"),))
    host = f"[{host}]" if ":" in host else host
    context = tls.client_context(verify=False) if scheme == "https" else None
    client = HttpClient(f"{scheme}://{host}:{port}", ssl=context, max_idle=0)
    answer = await forward(request, client, _target(ctx))
    return await _rewritten(answer, prefix)


def check_address(host: str) -> None:
    """Refuse what is near the API server and not in the cluster: status is only what somebody said.

    Raises:
        BadRequest: it is such an address.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return  # a name: the slice's addressType allows that
    if (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
    ):
        raise errors.BadRequest("address not allowed")


def _halves(ctx: RequestContext) -> tuple[str, str]:
    """Return the path up to `proxy`, and what comes after it; nothing is unescaped."""
    parts = ctx.request.path.split("/")
    # /api/v1/namespaces/NS/services/NAME/proxy/REST or /api/v1/nodes/NAME/proxy/REST
    end = 8 if ctx.resource.namespaced else 6
    return "/".join(parts[:end]), "/" + "/".join(parts[end:])


def _target(ctx: RequestContext) -> str:
    rest = _halves(ctx)[1]
    return f"{rest}?{ctx.request.query}" if ctx.request.query else rest


async def _rewritten(answer: Answer, prefix: str) -> Answer:
    """Return an answer whose links lead through the proxy."""
    headers = tuple(
        (name, prefix + value) if name == "location" and value.startswith("/") else (name, value)
        for name, value in answer.headers
    )
    answer.headers = headers
    encoded = any(name == "content-encoding" for name, _ in headers)
    if not isinstance(answer, StreamResponse) or encoded or "text/html" not in answer.content_type:
        return answer
    page = b""
    async for piece in answer.chunks:
        page += piece
        if len(page) > LARGEST_PAGE:
            raise errors.ServiceUnavailable("the page is too large to rewrite its links")
    replaced = LINK.sub(rb"\g<1>" + prefix.encode() + rb"\g<2>\g<3>", page)
    return Response(answer.status, replaced, answer.content_type, headers)
