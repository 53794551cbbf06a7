"""From an object, a list or an error to a Response.

In:   the stored bytes of objects (nothing is encoded again for a plain GET), Structs, or errors.
Out:  Responses with the headers that all answers share.
By:   handlers and filters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from kybern.api import codec
from kybern.apiserver.accept import JSON, PROTOBUF, YAML, Form
from kybern.lib.http.messages import Response

if TYPE_CHECKING:
    from kybern.api.errors import ApiError
    from kybern.apiserver.context import RequestContext

Headers = tuple[tuple[str, str], ...]

NO_CACHE: Headers = (("Cache-Control", "no-cache, private"),)
PEOPLE = ("curl", "Wget", "Mozilla/5.0")
"""User agents that get indented JSON without asking."""


def json_response(ctx: RequestContext, status: int, body: bytes | list[bytes]) -> Response:
    """Answer with JSON that is already encoded."""
    headers = NO_CACHE if ctx.warnings is None else with_warnings(ctx)
    if wants_pretty(ctx):
        whole = body if isinstance(body, bytes) else b"".join(body)
        body = msgspec.json.format(whole, indent=2) + b"\n"
    return Response(status, body, JSON, headers)


def written(
    ctx: RequestContext, status: int, body: bytes | list[bytes], form: Form, struct: Any = None
) -> Response:
    """Answer with encoded JSON in the media type the client takes."""
    if form.media == JSON:
        return json_response(ctx, status, body)
    whole = body if isinstance(body, bytes) else b"".join(body)
    headers = NO_CACHE if ctx.warnings is None else with_warnings(ctx)
    if form.media == YAML:
        import yaml

        text = yaml.dump(codec.decode_tree(whole), Dumper=yaml.CSafeDumper, sort_keys=True)
        return Response(status, text.encode(), YAML, headers)
    if form.media == PROTOBUF and struct is not None:
        from kybern.api import protobuf

        return Response(status, protobuf.encode(codec.decode(whole, struct)), PROTOBUF, headers)
    return json_response(ctx, status, body)


def status_response(ctx: RequestContext, error: ApiError) -> Response:
    """Answer with the Status of an error."""
    tree = error.status()
    headers = NO_CACHE if ctx.warnings is None else with_warnings(ctx)
    if error.retry_after:
        headers = (*headers, ("Retry-After", str(error.retry_after)))
    body = codec.encode(tree)
    if wants_pretty(ctx):
        body = msgspec.json.format(body, indent=2) + b"\n"
    return Response(error.code, body, JSON, headers)


def text_response(status: int, text: str) -> Response:
    """Answer with plain text."""
    return Response(
        status, text.encode(), "text/plain; charset=utf-8", (("X-Content-Type-Options", "nosniff"),)
    )


def with_warnings(ctx: RequestContext) -> Headers:
    """Return the common headers and the warnings so far."""
    if not ctx.warnings:
        return NO_CACHE
    return (*NO_CACHE, *(("Warning", f"299 - {_quoted(text)}") for text in ctx.warnings))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ").replace("\r", " ")
    return f'"{escaped}"'


def wants_pretty(ctx: RequestContext) -> bool:
    """Say whether the client wants indented JSON: it says so, or a person reads it."""
    query = ctx.request.query
    if query and "pretty" in query:
        return ctx.param("pretty") not in ("", "0", "false")
    agent = ctx.request.headers.get("user-agent")
    return agent is not None and agent.startswith(PEOPLE)
