"""DELETE: remove one object, now or when its finalizers and its grace are done.

In:   a context that has passed every filter; DeleteOptions in the body or the query.
Out:  200 with the object, or a Status when it is gone.
By:   routes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from kybern.api import codec, errors
from kybern.api.conform import Mismatch
from kybern.api.field_path import Path, Problem, invalid, not_supported
from kybern.api.meta.v1 import DeleteOptions, Preconditions
from kybern.apiserver import accept
from kybern.apiserver.answers import written
from kybern.apiserver.handlers.options import (
    OptionsKind,
    check_dry_run,
    content_type,
    read_body,
)
from kybern.apiserver.handlers.showing import show_entry
from kybern.apiserver.query import integer, is_true
from kybern.apiserver.registry import generic

if TYPE_CHECKING:
    from kybern.apiserver.context import RequestContext
    from kybern.apiserver.registry.resource import Resource
    from kybern.lib.http.messages import Response

POLICIES = ("Background", "Foreground", "Orphan")


async def delete(ctx: RequestContext) -> Response:
    """Delete the object of the path."""
    resource: Resource = ctx.resource
    options = await delete_options(ctx)
    done = await generic.delete(ctx, resource, ctx.name, options)
    if done.gone and not resource.strategy.returns_deleted:
        return _gone(ctx, resource, done)
    status = 202 if not done.gone and options.orphanDependents is False else 200
    return show_entry(ctx, resource, done.entry, status)


def _gone(ctx: RequestContext, resource: Resource, done: generic.Deleted) -> Response:
    kind = resource.kind
    uid = resource.fields.look(done.entry.held).metadata.uid
    details: dict[str, Any] = {"name": ctx.name}
    if kind.group:
        details["group"] = kind.group
    details.update(kind=kind.plural, uid=uid)
    status = {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": details,
    }  # fmt: skip
    form = accept.form(ctx.request.headers.get("accept"), accept.OF_ONE)
    return written(ctx, 200, codec.encode(status), form._replace(media=accept.JSON))


async def delete_options(ctx: RequestContext) -> DeleteOptions:
    """Return the options of a deletion: from the body, or else from the query.

    Raises:
        BadRequest, Invalid.
    """
    body = await read_body(ctx)
    options = _decode(ctx, body) if body else _from_query(ctx)
    if ctx.request.query:
        _merge_query(ctx, options)
    problems = _problems(options)
    if problems:
        raise errors.Invalid.of(OptionsKind("DeleteOptions"), "", problems)
    ctx.dry_run = bool(options.dryRun)
    return options


def _decode(ctx: RequestContext, body: bytes) -> DeleteOptions:
    media = content_type(ctx)
    try:
        if media == codec.PROTOBUF:
            from kybern.api import protobuf

            return protobuf.decode(body, DeleteOptions)
        if media == codec.YAML:
            from kybern.api import yaml_text

            return codec.from_tree(yaml_text.load(body)[0] or {}, DeleteOptions)
        return codec.decode(body, DeleteOptions)
    except (ValueError, msgspec.MsgspecError, Mismatch) as error:
        raise errors.BadRequest(f"couldn't get version/kind; json parse error: {error}") from None


def _from_query(ctx: RequestContext) -> DeleteOptions:
    options = DeleteOptions()
    if not ctx.request.query:
        return options
    orphan = ctx.param("orphanDependents")
    if orphan:
        options.orphanDependents = is_true(orphan)
    uid, version = ctx.param("uid"), ctx.param("resourceVersion")
    if uid or version:
        options.preconditions = Preconditions(uid=uid or None, resourceVersion=version or None)
    return options


def _merge_query(ctx: RequestContext, options: DeleteOptions) -> None:
    """Let the query fill in what the body leaves out."""
    if options.gracePeriodSeconds is None and (text := ctx.param("gracePeriodSeconds")):
        try:
            options.gracePeriodSeconds = integer(text)
        except ValueError as error:
            raise errors.BadRequest(str(error)) from None
    if options.propagationPolicy is None and options.orphanDependents is None:
        options.propagationPolicy = ctx.param("propagationPolicy") or None
    if not options.dryRun:
        options.dryRun = [v for v in ctx.params.get("dryRun", ()) if v] or None


def _problems(options: DeleteOptions) -> list[Problem]:
    problems: list[Problem] = []
    where = Path("propagationPolicy")
    policy = options.propagationPolicy
    if policy is not None and options.orphanDependents is not None:
        text = "orphanDependents and deletionPropagation cannot be both set"
        problems.append(invalid(where, policy, text))
    if policy is not None and policy not in POLICIES:
        problems.append(not_supported(where, policy, ("Background", "Foreground", "Orphan", "nil")))
    if options.dryRun:
        check_dry_run(options.dryRun, problems)
    return problems
