"""`pods/log`: what a container has written.

In:   a pod, and the options of PodLogOptions in the query.
Out:  the kubelet's answer as it comes.
By:   handlers.connect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from kybern.api import errors
from kybern.api.field_path import Path, Problem, forbidden, invalid
from kybern.apiserver.handlers import log_websocket
from kybern.apiserver.handlers.forwarding import is_upgrade, relay, unreachable
from kybern.apiserver.handlers.options import OptionsKind
from kybern.apiserver.handlers.pod_containers import container_of, pod_of
from kybern.apiserver.query import integer, is_true
from kybern.lib.http.messages import Response, StreamResponse

if TYPE_CHECKING:
    from kybern.apiserver.context import Answer, RequestContext

FLAGS = ("follow", "previous", "timestamps")
NUMBERS = ("sinceSeconds", "tailLines", "limitBytes")
LEAST = {"sinceSeconds": 1, "tailLines": 0, "limitBytes": 1}
TEXT = "text/plain"


async def log(ctx: RequestContext) -> Answer:
    """Answer with the log of a container."""
    if ctx.verb != "get":
        raise errors.MethodNotAllowed(
            "the server does not allow this method on the requested resource", {}
        )
    query = _options(ctx)
    pod = pod_of(ctx)
    container = container_of(pod, ctx.param("container"))
    if not pod.spec.nodeName:
        return Response(200, b"", TEXT)
    client = ctx.services.nodes.client(pod.spec.nodeName)
    target = "/containerLogs/" + "/".join(
        quote(part, safe="") for part in (ctx.namespace, ctx.name, container)
    )
    if query:
        target += "?" + urlencode(query)
    try:
        answer = await client.request("GET", target)
    except (OSError, TimeoutError) as error:
        raise unreachable(client, error) from None
    if answer.status >= 400:
        text = (await answer.read(1 << 20)).decode(errors="replace").strip()
        raise _refusal(answer.status, text, ctx)
    relayed = relay(answer)
    relayed.content_type = TEXT  # type: ignore[union-attr]
    if is_upgrade(ctx.request) and isinstance(relayed, StreamResponse):
        return log_websocket.over_websocket(ctx.request, relayed)
    return relayed


def _options(ctx: RequestContext) -> dict[str, str]:
    """Return the options for the kubelet.

    Raises:
        BadRequest, Invalid.
    """
    found: dict[str, str] = {}
    problems: list[Problem] = []
    for name in FLAGS:
        if is_true(ctx.param(name)):
            found[name] = "true"
    for name in NUMBERS:
        text = ctx.param(name)
        if not text:
            continue
        try:
            number = integer(text)
        except ValueError:
            raise errors.BadRequest(f'unable to parse "{text}" as an integer for {name}') from None
        if number < LEAST[name]:
            what = "greater than 0" if LEAST[name] else "greater than or equal to 0"
            problems.append(invalid(Path(name), number, f"must be {what}"))
        found[name] = str(number)
    if ctx.param("sinceTime"):
        found["sinceTime"] = ctx.param("sinceTime")
        if "sinceSeconds" in found:
            text = "at most one of `sinceTime` or `sinceSeconds` may be specified"
            problems.append(forbidden(Path(""), text))
    stream = ctx.param("stream")
    if stream and stream != "All":
        found["stream"] = stream
    if problems:
        raise errors.Invalid.of(OptionsKind("PodLogOptions"), ctx.name, problems)
    return found


def _refusal(status: int, text: str, ctx: RequestContext) -> errors.ApiError:
    if status == 400:
        return errors.BadRequest(text)
    if status == 404:
        details = {"name": ctx.name, "kind": "pods/log"}
        return errors.NotFound(
            f"the server could not find the requested resource ( pods/log {ctx.name}): {text}",
            details,
        )
    return errors.InternalError.of(text)
