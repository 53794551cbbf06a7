"""DELETE on a collection: delete what the query chooses.

In:   a context that has passed every filter; selectors and DeleteOptions.
Out:  200 and the list of what was deleted.
By:   routes. Objects that vanish in the meantime are somebody else's success.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kybern.api import codec, errors
from kybern.apiserver.answers import json_response
from kybern.apiserver.handlers.choosing import choice
from kybern.apiserver.handlers.delete import delete_options
from kybern.apiserver.registry import generic

if TYPE_CHECKING:
    from kybern.api.meta.v1 import DeleteOptions
    from kybern.apiserver.context import RequestContext
    from kybern.apiserver.registry.resource import Resource
    from kybern.lib.http.messages import Response
    from kybern.store.interface import Entry

AT_ONCE = 32
"""Deletions under way at a time: they share the store's commits."""


async def delete_collection(ctx: RequestContext) -> Response:
    """Delete every object of the collection that the query chooses."""
    resource: Resource = ctx.resource
    chosen, _ = choice(ctx, resource)
    options = await delete_options(ctx)
    found = ctx.services.store.list(resource.scope(ctx.namespace))
    if resource.converts:
        await resource.ready(found.entries)
    entries = [e for e in found.entries if chosen is None or chosen.takes(e)]
    kept: list[Entry] = []
    for start in range(0, len(entries), AT_ONCE):
        kept += await _delete_some(ctx, resource, entries[start : start + AT_ONCE], options)
    kind = resource.kind
    head = b'{"kind":"%b","apiVersion":"%b","metadata":{"resourceVersion":"%d"},"items":[' % (
        kind.list_kind.encode(),
        kind.api_version.encode(),
        ctx.services.store.revision,
    )
    return json_response(ctx, 200, [head, resource.items(kept), b"]}"])


async def _delete_some(
    ctx: RequestContext, resource: Resource, entries: list[Entry], options: DeleteOptions
) -> list[Entry]:
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_delete(ctx, resource, entry, options)) for entry in entries]
    except ExceptionGroup as failures:
        # The client gets one answer: the first refusal.
        raise failures.exceptions[0] from None
    return [entry for task in tasks if (entry := task.result()) is not None]


async def _delete(
    ctx: RequestContext, resource: Resource, entry: Entry, options: DeleteOptions
) -> Entry | None:
    peek = resource.fields.look(entry.held)
    where = ctx.at(peek.metadata.namespace, peek.metadata.name)
    try:
        done = await generic.delete(where, resource, where.name, codec.clone(options))
    except errors.NotFound:
        return None
    return done.entry
