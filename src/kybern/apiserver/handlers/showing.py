"""Show one stored object in the form the client takes.

In:   an Entry or an object.
Out:  a Response: the stored bytes, a Table of one row, or only the metadata.
By:   handlers that answer with one object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from kybern.api import codec
from kybern.apiserver import accept
from kybern.apiserver.answers import NO_CACHE, json_response, written
from kybern.apiserver.registry import table as tables
from kybern.lib.http.messages import Response

if TYPE_CHECKING:
    from kybern.apiserver.context import RequestContext
    from kybern.apiserver.registry.resource import Resource
    from kybern.store.interface import Entry

PARTIAL_HEAD = b'{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/%b","metadata":'


class _OnlyMetadata(msgspec.Struct):
    metadata: msgspec.Raw


_metadata_of = msgspec.json.Decoder(_OnlyMetadata).decode


def show_entry(
    ctx: RequestContext, resource: Resource, entry: Entry, status: int = 200
) -> Response:
    """Answer with a stored object."""
    request = ctx.request
    header = request.headers.get("accept")
    wire = resource.wire(entry)
    if header in (None, "*/*", accept.JSON):
        if ctx.warnings is None and not request.query and "user-agent" not in request.headers:
            return Response(status, wire, accept.JSON, NO_CACHE)
        return json_response(ctx, status, wire)
    form = accept.form(header, accept.OF_ONE, protobuf=resource.kind.in_protobuf)
    if form.view == accept.OBJECT:
        return written(ctx, status, wire, form, resource.struct)
    if form.view == accept.PARTIAL:
        return written(ctx, status, partial(wire, form.version), form)
    return written(ctx, status, table(ctx, resource, [wire], form.version), form)


def show_object(ctx: RequestContext, obj: Any, status: int = 200) -> Response:
    """Answer with an object that is not stored, or shown in another shape."""
    form = accept.form(ctx.request.headers.get("accept"), accept.OF_REVIEW)
    return written(ctx, status, codec.encode(obj), form, type(obj))


def partial(wire: bytes, version: str = "v1") -> bytes:
    """Return only the metadata of an object, as PartialObjectMetadata."""
    raw = bytes(_metadata_of(wire).metadata)
    return b"%b%b}" % (PARTIAL_HEAD % version.encode(), raw)


def table(
    ctx: RequestContext,
    resource: Resource,
    wires: list[bytes],
    version: str,
    meta: dict[str, Any] | None = None,
) -> bytes:
    """Return objects as an encoded Table, with the columns kubectl shows."""
    return codec.encode(table_tree(ctx, resource, wires, version, meta))


def table_tree(
    ctx: RequestContext,
    resource: Resource,
    wires: list[bytes],
    version: str,
    meta: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return objects as a Table."""
    include = ctx.param("includeObject") or "Metadata"
    return tables.render(resource, wires, include, version=version, meta=meta)
