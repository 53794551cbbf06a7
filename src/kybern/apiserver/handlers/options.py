"""What the query says about a write: dry run, field manager, strictness; and the body.

In:   a request's query and body.
Out:  ctx.dry_run, .field_manager, .field_validation; the decoded and defaulted object.
By:   the handlers that write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api import codec, errors
from kybern.api.field_path import Path, Problem, not_supported
from kybern.api.patch import managed_fields
from kybern.apiserver.registry.rules import default_of
from kybern.lib.http.messages import BodyTooLarge

if TYPE_CHECKING:
    from kybern.api.scheme import Kind
    from kybern.apiserver.context import RequestContext

LIMIT = 3 * 1024 * 1024
"""The largest body that is read, as upstream."""
VALIDATIONS = ("Ignore", "Strict", "Warn")


class OptionsKind:
    """Names an options object in error messages; it satisfies errors.Named."""

    group = "meta.k8s.io"
    plural = ""
    group_resource = ""

    def __init__(self, kind: str) -> None:
        self.kind = kind


def read_write_options(ctx: RequestContext, kind: str) -> None:
    """Read the parameters that all writes share.

    Raises:
        Invalid: a value makes no sense; `kind` is what the message calls the options.
    """
    if not ctx.request.query:
        ctx.field_validation = "Warn"
        return
    problems: list[Problem] = []
    dry_run = [v for v in ctx.params.get("dryRun", ()) if v]
    if dry_run:
        check_dry_run(dry_run, problems)
        ctx.dry_run = True
    ctx.field_validation = ctx.param("fieldValidation") or "Warn"
    if ctx.field_validation not in VALIDATIONS:
        problems.append(
            not_supported(Path("fieldValidation"), ctx.field_validation, ("", *VALIDATIONS))
        )
    ctx.field_manager = ctx.param("fieldManager")
    if ctx.field_manager:
        problems += managed_fields.name_problems(ctx.field_manager)
    if problems:
        raise errors.Invalid.of(OptionsKind(kind), "", problems)


def check_dry_run(values: list[str], problems: list[Problem]) -> None:
    """Note a problem unless the only value is All."""
    if any(value != "All" for value in values):
        problems.append(not_supported(Path("dryRun"), values, ("All",)))


async def read_body(ctx: RequestContext) -> bytes:
    """Return the body.

    Raises:
        RequestEntityTooLarge: it is over the limit.
    """
    try:
        return await ctx.request.body(LIMIT)
    except BodyTooLarge:
        raise errors.RequestEntityTooLarge.of(LIMIT) from None


def content_type(ctx: RequestContext) -> str:
    """Return the media type of the body without parameters; "" when none is given."""
    header = ctx.request.headers.get("content-type", "")
    return header.partition(";")[0].strip().lower()


def decode_body(ctx: RequestContext, body: bytes, kind: Kind) -> Any:
    """Return the object in a body, defaulted.

    Raises:
        BadRequest, UnsupportedMediaType.
    """
    media = content_type(ctx)
    if media == "application/octet-stream":
        media = ""
    obj, warnings = codec.decode_request(body, kind, media, ctx.field_validation)
    for text in warnings:
        ctx.warn(text)
    default_of(kind)(obj)
    return obj
