"""GET on a collection: many objects.

In:   a context that has passed every filter; selectors, limit and continue, resourceVersion.
Out:  200 and a list, a Table or a list of metadata; 410 when a continue token is too old.
By:   routes.

The items are the stored bytes, joined. Which state of the collection is meant is decided in
`_state`, with upstream's rules for resourceVersion and resourceVersionMatch.
"""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from kybern.api import codec, errors
from kybern.api.field_path import Path, Problem, forbidden, not_supported
from kybern.apiserver import accept
from kybern.apiserver.answers import NO_CACHE, wants_pretty, written
from kybern.apiserver.handlers import continuation, showing, versions
from kybern.apiserver.handlers.choosing import Choice, choice
from kybern.apiserver.handlers.options import OptionsKind
from kybern.apiserver.query import integer
from kybern.lib.http.messages import StreamResponse
from kybern.store.interface import Compacted, FutureRevision, Listing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from kybern.apiserver.context import RequestContext
    from kybern.apiserver.registry.resource import Resource
    from kybern.lib.http.messages import Response
    from kybern.store.interface import Entry

AT_ONCE = 200
LARGE = 256 * 1024
"""Objects, and bytes, in one piece of a long list."""
EXACT, NOT_OLDER = "Exact", "NotOlderThan"


class Page(NamedTuple):
    """A part of a list."""

    entries: list[Entry]
    revision: int
    token: str
    remaining: int | None


async def list_(ctx: RequestContext) -> Response | StreamResponse:
    """Answer with the objects of a collection that the query chooses."""
    resource: Resource = ctx.resource
    header = ctx.request.headers.get("accept")
    form = accept.form(header, accept.OF_LIST, protobuf=resource.kind.in_protobuf)
    if not ctx.request.query:
        found = ctx.services.store.list(resource.scope(ctx.namespace))
        page = Page(found.entries, found.revision, "", None)
        if resource.converts:
            await resource.ready(page.entries)
    else:
        _check(ctx)
        page = await _page(ctx, resource)
    if _is_long(page.entries) and not wants_pretty(ctx):
        pieces = _pieces_of(form, ctx, resource, page)
        if pieces is not None:
            return StreamResponse(200, pieces, form.media, NO_CACHE)
    if form.view == accept.OBJECT:
        body: bytes | list[bytes] = _list_body(resource, page)
    elif form.view == accept.PARTIAL_LIST:
        body = _partial_body(resource, page, form.version)
    else:
        body = _table_body(ctx, resource, page, form.version)
    return written(ctx, 200, body, form, resource.kind.list_struct if form.media else None)


def _check(ctx: RequestContext) -> None:
    params = ctx.params
    problems: list[Problem] = []
    match = ctx.param("resourceVersionMatch")
    if "sendInitialEvents" in params:
        problems.append(
            forbidden(Path("sendInitialEvents"), "sendInitialEvents is forbidden for list")
        )
    if match:
        where = Path("resourceVersionMatch")
        version = ctx.param("resourceVersion")
        if not version:
            text = "resourceVersionMatch is forbidden unless resourceVersion is provided"
            problems.append(forbidden(where, text))
        if ctx.param("continue"):
            text = "resourceVersionMatch is forbidden when continue is provided"
            problems.append(forbidden(where, text))
        if match not in (EXACT, NOT_OLDER):
            problems.append(not_supported(where, match, (EXACT, NOT_OLDER, "")))
        if match == EXACT and version == "0":
            text = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
            problems.append(forbidden(where, text))
    if problems:
        raise errors.Invalid.of(OptionsKind("ListOptions"), "", problems)


async def _page(ctx: RequestContext, resource: Resource) -> Page:
    chosen, name = choice(ctx, resource)
    limit = _limit(ctx)
    token = ctx.param("continue")
    revision, after, exact = _state(ctx, limit, token)
    scope = resource.scope(ctx.namespace)
    if name and not token and not exact:
        return await _single(ctx, resource, chosen, name)
    start = scope + after if after else ""
    try:
        if not exact:
            store = ctx.services.store
            found = store.list(scope, start_after=start, limit=0 if chosen else limit)
        else:
            found = await ctx.services.store.list_at(
                scope, revision, start_after=start, limit=0 if chosen else limit
            )
    except Compacted as error:
        if token:
            raise continuation.expired(after) from None
        raise errors.Expired.too_old(revision, error.oldest) from None
    except FutureRevision as error:
        raise versions.too_large(revision, error.current) from None
    if resource.converts:
        await resource.ready(found.entries)
    return _cut(found, chosen, limit, scope)


def _limit(ctx: RequestContext) -> int:
    text = ctx.param("limit")
    if not text:
        return 0
    try:
        return max(integer(text), 0)
    except ValueError as error:
        raise errors.BadRequest(str(error)) from None


def _state(ctx: RequestContext, limit: int, token: str) -> tuple[int, str, bool]:
    """Return which revision is meant, after which key, and whether exactly that one."""
    text = ctx.param("resourceVersion")
    if token:
        if text and text != "0":
            raise errors.BadRequest(
                "specifying resource version is not allowed when using continue"
            )
        revision, after = continuation.decode(token)
        return revision, after, revision > 0
    revision = versions.check_not_newer(ctx, text)
    match = ctx.param("resourceVersionMatch")
    # Without a match, a limit has always meant the very revision that is named.
    exact = revision > 0 and (match == EXACT or (not match and limit > 0))
    return revision, "", exact


async def _single(
    ctx: RequestContext, resource: Resource, chosen: Choice | None, name: str
) -> Page:
    store = ctx.services.store
    if resource.namespaced and not ctx.namespace:
        entries = [e for e in store.list(resource.prefix).entries if e.key.endswith("/" + name)]
    else:
        entry = store.get(resource.key(ctx.namespace, name))
        entries = [] if entry is None else [entry]
    if resource.converts:
        await resource.ready(entries)
    kept = [e for e in entries if chosen is None or chosen.takes(e)]
    return Page(kept, store.revision, "", None)


def _cut(found: Listing, chosen: Choice | None, limit: int, scope: str) -> Page:
    if chosen is None:
        if not limit or not found.more:
            return Page(found.entries, found.revision, "", None)
        token = continuation.encode(found.revision, found.entries[-1].key[len(scope) :])
        return Page(found.entries, found.revision, token, found.remaining)
    matching = (entry for entry in found.entries if chosen.takes(entry))
    if not limit:
        return Page(list(matching), found.revision, "", None)
    kept = list(islice(matching, limit))
    token = ""
    if next(matching, None) is not None:
        token = continuation.encode(found.revision, kept[-1].key[len(scope) :])
    return Page(kept, found.revision, token, None)


def _list_meta(page: Page) -> bytes:
    meta = b'{"resourceVersion":"%d"' % page.revision
    if page.token:
        meta += b',"continue":"%b"' % page.token.encode()
    if page.remaining is not None:
        meta += b',"remainingItemCount":%d' % page.remaining
    return meta + b"}"


def _list_head(resource: Resource, page: Page) -> bytes:
    kind = resource.kind
    return b'{"kind":"%b","apiVersion":"%b","metadata":%b,"items":[' % (
        kind.list_kind.encode(),
        kind.api_version.encode(),
        _list_meta(page),
    )


def _list_body(resource: Resource, page: Page) -> list[bytes]:
    return [_list_head(resource, page), resource.items(page.entries), b"]}"]


def _pieces_of(
    form: accept.Form, ctx: RequestContext, resource: Resource, page: Page
) -> AsyncIterator[bytes] | None:
    """Return a long list in pieces; None for forms that have none."""
    if form is accept.PLAIN:
        return _pieces(resource, page)
    if form.view == accept.TABLE and form.media == accept.JSON:
        return _table_pieces(ctx, resource, page, form.version)
    if form.view == accept.OBJECT and form.media == accept.PROTOBUF and resource.kind.list_struct:
        return _protobuf_pieces(resource, page)
    return None


async def _pieces(resource: Resource, page: Page) -> AsyncIterator[bytes]:
    """Yield a long list in pieces, so that it is never whole in memory."""
    piece = _list_head(resource, page)
    for entries in _batches(page.entries):
        yield piece + resource.items(entries)
        piece = b","
    yield b"]}"


async def _table_pieces(
    ctx: RequestContext, resource: Resource, page: Page, version: str
) -> AsyncIterator[bytes]:
    """Yield the rows of a long Table in pieces, each made when the one before it is sent."""
    piece = b""
    for entries in _batches(page.entries):
        wires = [resource.wire(entry) for entry in entries]
        tree = showing.table_tree(ctx, resource, wires, version, _table_meta(page))
        rows = codec.encode(tree.pop("rows"))[1:-1]
        piece = piece or codec.encode(tree)[:-1] + b',"rows":['
        yield piece + rows
        piece = b","
    yield b"]}"


async def _protobuf_pieces(resource: Resource, page: Page) -> AsyncIterator[bytes]:
    """Yield a long list as protobuf, made in pieces, so that others have their turn in between.

    The length comes first, so that all pieces are made before the first is sent.
    """
    from kybern.api import protobuf

    kind = resource.kind
    pieces = []
    for entries in _batches(page.entries):
        items = b'{"items":[%b]}' % resource.items(entries)
        pieces.append(protobuf.message(codec.decode(items, kind.list_struct)))
        await asyncio.sleep(0)
    # Last, for readers to whom the last one counts: each piece has metadata, which are empty.
    head = codec.decode(_list_head(resource, page) + b"]}", kind.list_struct)
    pieces.append(protobuf.message(head))
    yield protobuf.envelope(kind.api_version, kind.list_kind, sum(map(len, pieces)))
    pieces.reverse()
    while pieces:
        yield pieces.pop()


def _is_long(entries: list[Entry]) -> bool:
    return len(entries) > AT_ONCE or sum(len(entry.held) for entry in entries) > LARGE


def _batches(entries: list[Entry]) -> Iterator[list[Entry]]:
    """Cut a list where it has become many objects, or many bytes."""
    batch: list[Entry] = []
    size = 0
    for entry in entries:
        batch.append(entry)
        size += len(entry.held)
        if size > LARGE or len(batch) == AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _partial_body(resource: Resource, page: Page, version: str) -> list[bytes]:
    head = (
        b'{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/%b","metadata":%b,'
        b'"items":[' % (version.encode(), _list_meta(page))
    )
    items = [showing.partial(resource.wire(entry), version) for entry in page.entries]
    return [head, b",".join(items), b"]}"]


def _table_body(ctx: RequestContext, resource: Resource, page: Page, version: str) -> bytes:
    wires = [resource.wire(entry) for entry in page.entries]
    return showing.table(ctx, resource, wires, version, _table_meta(page))


def _table_meta(page: Page) -> dict[str, object]:
    meta: dict[str, object] = {"resourceVersion": str(page.revision)}
    if page.token:
        meta["continue"] = page.token
    if page.remaining is not None:
        meta["remainingItemCount"] = page.remaining
    return meta
