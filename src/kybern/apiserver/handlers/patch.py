"""PATCH: change one object by a JSON patch, a merge patch, a strategic merge patch, or apply.

In:   a context that has passed every filter, and the patch.
Out:  200 and the object; 201 when apply created it.
By:   routes.

A patch is applied to whatever is stored, up to five times when others are faster, unless it names
a resourceVersion. The result is decoded, defaulted and validated as if it had been PUT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from kybern.api import codec, errors, zeros
from kybern.api.custom import reading
from kybern.api.custom.kinds import CustomKind
from kybern.api.field_path import Path, invalid
from kybern.api.normalise import normalise
from kybern.api.patch import managed_fields
from kybern.apiserver.authz.denial import require
from kybern.apiserver.handlers.options import (
    OptionsKind,
    content_type,
    read_body,
    read_write_options,
)
from kybern.apiserver.handlers.patching import CHANGES, PatchBody
from kybern.apiserver.handlers.update import show_written, write_through
from kybern.apiserver.registry import generic
from kybern.apiserver.registry.rules import default_of

if TYPE_CHECKING:
    from kybern.api.scheme import Kind
    from kybern.apiserver.context import RequestContext
    from kybern.apiserver.registry.resource import Resource, View
    from kybern.lib.http.messages import Response

RETRIES = 5
APPLY = "application/apply-patch+yaml"
STRATEGIC = "application/strategic-merge-patch+json"


class NoKind:
    """Stands for the object in the message about a patch that does not make one."""

    group = kind = plural = group_resource = ""


class Patched:
    """A change by a patch."""

    __slots__ = ("_body", "_kind", "_view", "records_owners", "retries")

    def __init__(self, body: PatchBody, kind: Kind, view: View | None) -> None:
        self._body = body
        self._kind = kind
        self._view = view
        self.records_owners = body.records_owners and view is None
        self.retries = RETRIES

    def apply(self, ctx: RequestContext, old: Any | None) -> Any:
        """Return the object with the patch applied."""
        if old is None:
            require(ctx, "create")
        if self._view is not None:
            shown = self._view.read(old)
            return write_through(self._view, old, self._patched(ctx, shown, self._view.kind))
        return self._patched(ctx, old, self._kind)

    def _patched(self, ctx: RequestContext, old: Any | None, kind: Kind) -> Any:
        tree = self._body.apply(ctx, old, kind)
        obj = _object(ctx, tree, kind, self._body)
        default_of(kind)(obj)
        return obj


async def patch(ctx: RequestContext) -> Response:
    """Apply the patch in the body to the object of the path."""
    resource: Resource = ctx.resource
    media = content_type(ctx)
    make = CHANGES.get(media)
    if make is None or (media == STRATEGIC and isinstance(resource.kind, CustomKind)):
        known = [m for m in CHANGES if m != STRATEGIC or not isinstance(resource.kind, CustomKind)]
        raise errors.UnsupportedMediaType.of(tuple(known))
    read_write_options(ctx, "PatchOptions")
    apply = media == APPLY
    if apply and (problems := managed_fields.name_problems(ctx.field_manager, apply=True)):
        raise errors.Invalid.of(OptionsKind("PatchOptions"), "", problems)
    body = make(ctx, await read_body(ctx), resource.kind)
    if not ctx.subresource:
        change = Patched(body, resource.kind, None)
        written = await generic.update(
            ctx, resource, resource.strategy, change, create_missing=apply
        )
        return show_written(ctx, resource, written, None)
    subresource = resource.subresources[ctx.subresource]
    change = Patched(body, resource.kind, subresource.view)
    written = await generic.update(ctx, resource, subresource.changed_by(), change)
    return show_written(ctx, resource, written, subresource.view)


def _object(ctx: RequestContext, tree: Any, kind: Kind, body: PatchBody) -> Any:
    """Return the object a patched tree describes.

    Raises:
        Invalid: it describes none, or one with fields that do not exist or were given twice.
    """
    odd = body.odd
    _check_kind(tree, kind, body)
    if isinstance(kind, CustomKind):
        obj, unknown = _custom(tree, kind, body)
        return _told(ctx, tree, body, obj, odd + unknown)
    try:
        obj = msgspec.convert(tree, kind.struct)
        normalise(obj)
    except (msgspec.ValidationError, ValueError):
        obj, unknown = _look_closer(tree, kind, body)
        odd = odd + unknown
    zeros.drop(obj)
    return _told(ctx, tree, body, obj, odd)


def _told(ctx: RequestContext, tree: Any, body: PatchBody, obj: Any, odd: list[str]) -> Any:
    """Return the object; say what is odd about it.

    Raises:
        Invalid: the client wants nothing odd.
    """
    if odd and ctx.field_validation == "Strict":
        raise _no_object(tree, body, "strict decoding error: " + ", ".join(odd))
    if odd and ctx.field_validation == "Warn":
        for text in odd:
            ctx.warn(text)
    return obj


def _custom(tree: Any, kind: CustomKind, body: PatchBody) -> tuple[Any, list[str]]:
    """Return the object of a kind that a user defined, and its unknown fields."""
    try:
        return reading.from_tree(tree, kind)
    except errors.BadRequest as error:
        raise _no_object(tree, body, body.told(error.message)) from None


def _check_kind(tree: Any, kind: Kind, body: PatchBody) -> None:
    """See that the object is still what it was.

    Raises:
        Invalid: the patch made another kind of it.
    """
    if not isinstance(tree, dict):
        return
    named = tree.get("apiVersion"), tree.get("kind")
    if named == (kind.api_version, kind.kind):
        return
    if not body.keeps_kind:
        version = str(named[0]).rpartition("/")[2]
        why = (
            f"converting ({version}.{named[1]}) to ({kind.group.partition('.')[0] or 'core'}."
            f"{kind.kind}): unknown conversion"
        )
        raise _no_object(tree, body, why)
    tree["apiVersion"], tree["kind"] = kind.api_version, kind.kind


def _look_closer(tree: Any, kind: Kind, body: PatchBody) -> tuple[Any, list[str]]:
    """Return the object without its unknown fields, and those."""
    try:
        return codec.decode_request(codec.encode(tree), kind, codec.JSON, "Warn")
    except errors.BadRequest as error:
        why = error.message.rpartition(f"cannot be handled as a {kind.kind}: ")[2]
        raise _no_object(tree, body, body.told(why)) from None


def _no_object(tree: Any, body: PatchBody, why: str) -> errors.Invalid:
    return errors.Invalid.of(NoKind, "", [invalid(Path("patch"), body.shown(tree), why)])
