"""`pods/proxy`, `services/proxy`, `nodes/proxy`: speak HTTP to something in the cluster.

In:   any request below `.../proxy`, and who is meant: `name`, `name:port`, `https:name:port`.
Out:  the other side's answer; links in it lead through the proxy again.
By:   handlers.connect.
"""

from __future__ import annotations

import ipaddress
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

from kybern.api import codec, errors
from kybern.apiserver.handlers.forwarding import forward, is_upgrade
from kybern.apiserver.handlers.proxy_links import CODINGS, Links
from kybern.apiserver.registry import generic
from kybern.lib import tls
from kybern.lib.http.client import HttpClient
from kybern.lib.http.messages import Response, StreamResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from kybern.apiserver.context import Answer, RequestContext

SCHEMES = ("http", "https")
LARGEST_PAGE = 8 << 20  # a larger one is passed on as it is
NOT_OURS = frozenset(
    f"access-control-{what}"
    for what in ("allow-credentials", "allow-headers", "allow-methods", "allow-origin")
)
"""What another server says about who may read its answers would be taken for what we say."""


class Meant(NamedTuple):
    """Whom a proxy path names."""

    scheme: str
    name: str
    port: str


def meant(text: str, kind: str) -> Meant:
    """Read `[scheme:]name[:port]`.

    Raises:
        BadRequest: it has another form.
    """
    parts = text.split(":")
    if len(parts) == 1 and parts[0]:
        return Meant("http", parts[0], "")
    if len(parts) == 2 and parts[0]:
        return Meant("http", parts[0], parts[1])
    if len(parts) == 3 and parts[0] in ("", *SCHEMES) and parts[1]:
        return Meant(parts[0] or "http", parts[1], parts[2])
    raise errors.BadRequest(f'invalid {kind} request "{text}"')


async def proxy_pod(ctx: RequestContext) -> Answer:
    """Speak to a pod."""
    who = meant(ctx.name, "pod")
    pod = _decode(ctx, who.name)
    port = who.port or _first_port(pod)
    address = _first_address(pod)
    if not address:
        raise errors.BadRequest("address not allowed")
    return await _through(ctx, who.scheme, address, _number(port, who.scheme))


async def proxy_service(ctx: RequestContext) -> Answer:
    """Speak to one of the ready endpoints of a Service."""
    who = meant(ctx.name, "service")
    name = _port_name(_decode(ctx, who.name), who)
    address, port = _endpoint(ctx, who.name, name)
    return await _through(ctx, who.scheme, address, port)


async def proxy_node(ctx: RequestContext) -> Answer:
    """Speak to a kubelet, or to another port of its node."""
    who = meant(ctx.name, "node")
    kubelet = ctx.services.nodes.client(who.name)
    if not who.port or who.port == str(kubelet.port):
        return await _pass_on(ctx, kubelet, f"{kubelet.host}:{kubelet.port}")
    return await _through(ctx, who.scheme, kubelet.host, _number(who.port, who.scheme))


def _decode(ctx: RequestContext, name: str) -> Any:
    entry = generic.find(ctx.at(ctx.namespace, name), ctx.resource)
    return codec.decode(entry.held, ctx.resource.struct)


def _first_port(pod: Any) -> str:
    for container in pod.spec.containers:
        for port in container.ports or ():
            return str(port.containerPort)
    return ""


def _first_address(pod: Any) -> str:
    addresses = pod.status.podIPs or ()
    return addresses[0].ip if addresses else pod.status.podIP or ""


def _number(port: str, scheme: str) -> int:
    if not port:
        return 443 if scheme == "https" else 80
    if port.isascii() and port.isdigit() and len(port) < 6 and 0 < int(port) < 65536:
        return int(port)
    raise errors.BadRequest(f'invalid port "{port}"')


def _port_name(service: Any, who: Meant) -> str:
    """Return the name of the Service's port that is meant; a port may be named by its number."""
    if not (who.port.isascii() and who.port.isdigit() and len(who.port) < 6):
        return who.port
    for port in service.spec.ports or ():
        if port.port == int(who.port):
            return port.name or ""
    raise errors.ServiceUnavailable(
        f'no service port {int(who.port)} found for service "{who.name}"'
    )


def _endpoint(ctx: RequestContext, service: str, port_name: str) -> tuple[str, int]:
    """Return a random ready endpoint of a Service's port."""
    slices = ctx.services.resources.find("discovery.k8s.io", "v1", "endpointslices")
    found: list[tuple[str, str, int]] = []
    for entry in ctx.services.store.list(slices.scope(ctx.namespace)).entries:
        labels = entry.attributes.metadata.labels or {}
        if labels.get("kubernetes.io/service-name") == service:
            found += _ready(codec.decode(entry.held, slices.struct), port_name)
    first = int(ctx.services.identities.fraction() * len(found))
    for pod, address, port in (*found[first:], *found[:first]):
        if _is_pods(ctx, pod, address):
            return address, port
    raise errors.ServiceUnavailable(f'no endpoints available for service "{service}"')


def _ready(slice_: Any, port_name: str) -> list[tuple[str, str, int]]:
    """Return pod, address and port of what a slice says is ready."""
    return [
        (endpoint.targetRef.name, address, port.port)
        for port in slice_.ports or ()
        if (port.name or "") == port_name and port.port
        for endpoint in slice_.endpoints or ()
        if endpoint.conditions is None or endpoint.conditions.ready is not False
        if endpoint.targetRef is not None and endpoint.targetRef.kind == "Pod"
        for address in endpoint.addresses[:1]
    ]


def _is_pods(ctx: RequestContext, name: str, address: str) -> bool:
    """Say whether an address is a pod's: anybody may write slices, and we reach more than they."""
    pods = ctx.services.resources.find("", "v1", "pods")
    entry = ctx.services.store.get(pods.key(ctx.namespace, name))
    if entry is None:
        return False
    pod: Any = codec.decode(entry.held, pods.struct)
    return address in {_first_address(pod), *(each.ip for each in pod.status.podIPs or ())}


async def _through(ctx: RequestContext, scheme: str, host: str, port: int) -> Answer:
    check_address(host)
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    context = tls.client_context(verify=False) if scheme == "https" else None
    ours = ctx.request.headers.get("host")
    headers = {"Host": ours} if ours else None
    client = HttpClient(f"{scheme}://{where}", ssl=context, headers=headers, max_idle=0)
    return await _pass_on(ctx, client, where)


async def _pass_on(ctx: RequestContext, client: HttpClient, where: str) -> Answer:
    request = ctx.request
    if is_upgrade(request):
        return await forward(request, client, _target(ctx))
    if not ctx.subpath and not request.path.endswith("/") and request.method in ("GET", "HEAD"):
        # Relative links on the page only work below a directory.
        query = f"?{request.query}" if request.query else ""
        return Response(301, b"", "", (("Location", f"{request.path}/{query}"),))
    prefix, rest = _halves(ctx)
    told = {"X-Forwarded-Uri": prefix + rest}
    answer = await forward(request, client, _target(ctx), add=told)
    return await _rewritten(answer, Links(prefix, where, request.headers.get("host", "")))


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


async def _rewritten(answer: Answer, links: Links) -> Answer:
    """Return an answer whose links lead through the proxy."""
    redirects = any(name == "location" for name, _ in answer.headers)
    answer.headers = tuple(
        (name, links.url(value) if name == "location" else value)
        for name, value in answer.headers
        if name not in NOT_OURS
    )
    if redirects or not isinstance(answer, StreamResponse):
        return answer
    media = answer.content_type.partition(";")[0].strip()
    coding = next((value for name, value in answer.headers if name == "content-encoding"), "")
    fixed = media == "text/html" and coding in CODINGS
    return await _page(answer, links, coding) if fixed else answer


async def _page(answer: StreamResponse, links: Links, coding: str) -> Answer:
    whole = bytearray()
    async for piece in answer.chunks:
        whole += piece
        if len(whole) > LARGEST_PAGE:
            answer.chunks = _resumed(bytes(whole), answer.chunks)
            return answer
    try:
        page = links.page(bytes(whole), coding, LARGEST_PAGE)
    except zlib.error as error:
        raise errors.InternalError.of(
            f"cannot unpack a page to rewrite its links: {error}"
        ) from None
    page = bytes(whole) if page is None else page
    return Response(answer.status, page, answer.content_type, answer.headers)


async def _resumed(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece
