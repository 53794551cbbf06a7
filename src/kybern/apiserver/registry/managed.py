"""Who owns which field, recorded with every write.

In:   the object as decoded and defaulted, the old one, and the request.
Out:  `metadata.managedFields`.
By:   registry.generic, before mutating admission: what plugins add belongs to nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api import codec
from kybern.api.meta.v1 import ManagedFieldsEntry
from kybern.api.patch import managed_fields
from kybern.lib.clock import rfc3339

if TYPE_CHECKING:
    from kybern.api.patch.field_sets import FieldSet
    from kybern.api.scheme import Kind
    from kybern.apiserver.context import RequestContext
    from kybern.apiserver.registry.resource import Resource


def created(ctx: RequestContext, resource: Resource, obj: Any) -> None:
    """Note who set the fields of a new object."""
    reset = reset_of(ctx, resource.kind)
    if resource.node is not None:
        tree = codec.to_tree(obj)
        _keep(obj, managed_fields.on_create(
            tree, manager(ctx), now(ctx), schema=resource.node, reset=reset,
        ))  # fmt: skip
        return
    entries = managed_fields.on_create(obj, manager(ctx), now(ctx), reset=reset)
    managed_fields.store(obj, entries)


def updated(ctx: RequestContext, resource: Resource, obj: Any, old: Any) -> None:
    """Note who changed which fields."""
    if resource.node is not None:
        _keep(obj, managed_fields.on_update(
            codec.to_tree(old), codec.to_tree(obj), manager(ctx), now(ctx), schema=resource.node,
            subresource=ctx.subresource, reset=reset_of(ctx, resource.kind),
        ))  # fmt: skip
        return
    entries = managed_fields.on_update(
        old, obj, manager(ctx), now(ctx), subresource=ctx.subresource,
        reset=reset_of(ctx, resource.kind),
    )  # fmt: skip
    managed_fields.store(obj, entries)


def _keep(obj: Any, entries: list[Any] | None) -> None:
    """Put entries that were found on trees into a typed object."""
    found = entries and [codec.from_tree(entry, ManagedFieldsEntry) for entry in entries]
    obj.metadata.managedFields = found or None


def reset_of(ctx: RequestContext, kind: Kind) -> FieldSet:
    """Return the fields that what is written to leaves as they were."""
    if ctx.subresource == "status":
        return managed_fields.RESET_SPEC
    if not ctx.subresource and kind.has_status:
        return managed_fields.RESET_STATUS
    return managed_fields.NOTHING


def manager(ctx: RequestContext) -> str:
    """Return who is noted: the manager they name, or their program."""
    if ctx.field_manager:
        return ctx.field_manager
    return managed_fields.manager_name("", ctx.request.headers.get("user-agent", ""))


def now(ctx: RequestContext) -> str:
    """Return the time as managedFields have it."""
    return rfc3339(ctx.services.clock.now())
