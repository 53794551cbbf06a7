"""GET with watch=true: what happens from now on, or from a revision on.

In:   a context that has passed every filter; selectors, resourceVersion, sendInitialEvents.
Out:  a stream of lines, one event each, until the client leaves, time is up, or it is too slow.
By:   routes.

Lines are the frames that the store encoded once for all watchers. With selectors an object that
begins to match is ADDED and one that ceases to match is DELETED, whatever really happened to it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kybern.api import codec, errors
from kybern.api.field_path import Path, Problem, forbidden, not_supported
from kybern.apiserver import accept
from kybern.apiserver.answers import NO_CACHE
from kybern.apiserver.handlers import versions
from kybern.apiserver.handlers.choosing import Choice, choice
from kybern.apiserver.handlers.framing import Framer, framer
from kybern.apiserver.handlers.options import OptionsKind
from kybern.apiserver.query import integer, is_true
from kybern.lib.http.messages import StreamResponse
from kybern.store.interface import Compacted, FutureRevision, WatcherTooSlow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from kybern.apiserver.context import RequestContext
    from kybern.apiserver.registry.resource import Resource
    from kybern.store.interface import Entry
    from kybern.store.watcher import Watcher

SHORTEST = 1800
"""Seconds a watch lasts that names no timeout; up to twice that, so that not all end at once."""
BOOKMARK_EVERY = 60.0
NOT_OLDER = "NotOlderThan"
INITIAL_AT_ONCE = 500
"""Initial events joined into one piece of the answer."""


class Plan:
    """What a watch was asked for."""

    __slots__ = ("bookmarks", "end_marker", "framer", "initial", "known", "seconds")

    def __init__(
        self,
        framer: Framer,
        initial: list[Entry],
        *,
        bookmarks: bool,
        end_marker: int,
        known: int,
        seconds: float,
    ) -> None:
        self.framer = framer
        self.initial = initial
        self.bookmarks = bookmarks
        self.end_marker = end_marker
        self.known = known
        self.seconds = seconds


async def watch(ctx: RequestContext) -> StreamResponse:
    """Answer with the events of a collection."""
    resource: Resource = ctx.resource
    form = accept.form(ctx.request.headers.get("accept"), accept.OF_ONE)
    _check(ctx)
    chosen, name = choice(ctx, resource)
    if ctx.name and not name:
        name = ctx.name
    scope = resource.scope(ctx.namespace, name if ctx.namespace or not resource.namespaced else "")
    framing = framer(ctx, resource, form, chosen)
    try:
        plan, watcher = await _start(ctx, scope, framing, chosen)
    except Compacted as error:
        text = versions.parse(ctx.param("resourceVersion"))
        line = _error_line(errors.Expired.too_old(text, error.oldest))
        return StreamResponse(200, _only(line), accept.JSON, NO_CACHE)
    except FutureRevision as error:
        asked = versions.parse(ctx.param("resourceVersion"))
        raise versions.too_large(asked, error.current) from None
    return StreamResponse(200, _lines(plan, watcher), accept.JSON, NO_CACHE)


def _check(ctx: RequestContext) -> None:
    match = ctx.param("resourceVersionMatch")
    initial = "sendInitialEvents" in ctx.params
    if not match and not initial:
        return
    problems: list[Problem] = []
    where = Path("resourceVersionMatch")
    if initial and match != NOT_OLDER:
        text = f"sendInitialEvents requires setting resourceVersionMatch to {NOT_OLDER}"
        problems.append(forbidden(where, text))
    if match:
        if not initial:
            text = (
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            )
            problems.append(forbidden(where, text))
        if match != NOT_OLDER:
            problems.append(not_supported(where, match, (NOT_OLDER,)))
        if ctx.param("continue"):
            text = "resourceVersionMatch is forbidden when continue is provided"
            problems.append(forbidden(where, text))
    if problems:
        raise errors.Invalid.of(OptionsKind("ListOptions"), "", problems)


async def _start(
    ctx: RequestContext, scope: str, framing: Framer, chosen: Choice | None
) -> tuple[Plan, Watcher]:
    store = ctx.services.store
    text = ctx.param("resourceVersion")
    revision = versions.check_not_newer(ctx, text)
    wants = ctx.param("sendInitialEvents")
    bookmarks = is_true(ctx.param("allowWatchBookmarks"))
    initial: list[Entry] = []
    end_marker = 0
    if is_true(wants) or (not wants and revision == 0):
        listing, watcher = store.snapshot_and_watch(scope)
        if ctx.resource.converts:
            await ctx.resource.ready(listing.entries)
        initial = [e for e in listing.entries if chosen is None or chosen.takes(e)]
        if wants and bookmarks:
            end_marker = listing.revision
    else:
        watcher = store.watch(scope, revision or store.revision)
    plan = Plan(
        framing, initial, bookmarks=bookmarks, end_marker=end_marker,
        known=revision or store.revision, seconds=_seconds(ctx),
    )  # fmt: skip
    return plan, watcher


def _seconds(ctx: RequestContext) -> float:
    text = ctx.param("timeoutSeconds")
    if text:
        try:
            seconds = integer(text)
        except ValueError as error:
            raise errors.BadRequest(str(error)) from None
        if seconds > 0:
            return float(seconds)
    return SHORTEST * (1.0 + float(ctx.services.identities.fraction()))


async def _lines(plan: Plan, watcher: Watcher) -> AsyncIterator[bytes]:
    """Yield the initial objects, then events as they come, with bookmarks in between."""
    framing = plan.framer
    loop = asyncio.get_running_loop()
    end = loop.time() + plan.seconds
    alarm: asyncio.TimerHandle | None = None
    try:
        initial, plan.initial = plan.initial, []
        for start in range(0, len(initial), INITIAL_AT_ONCE):
            yield framing.initial(initial[start : start + INITIAL_AT_ONCE])
        del initial
        if plan.end_marker:
            yield framing.bookmark(plan.end_marker, ends_initial=True)
        sent = plan.known
        alarm = loop.call_at(min(loop.time() + BOOKMARK_EVERY, end), watcher.nudge)
        while True:
            batch = watcher.take()
            if not batch:
                try:
                    batch = await anext(watcher)
                except StopAsyncIteration:
                    return
            if not batch:  # nudged
                now = loop.time()
                if plan.bookmarks and watcher.revision > sent:
                    sent = watcher.revision
                    yield framing.bookmark(sent)
                if now >= end:
                    return
                alarm = loop.call_at(min(now + BOOKMARK_EVERY, end), watcher.nudge)
                continue
            if framing.resource.converts:
                await framing.ready(batch)
            if lines := framing.events(batch):
                sent = batch[-1].revision
                yield lines
    except WatcherTooSlow:
        # The client resumes from the last event it got.
        return
    except Compacted as error:
        yield _error_line(errors.Expired.too_old(watcher.revision, error.oldest))
    except errors.ApiError as error:  # of a webhook that converts
        yield _error_line(error)
    finally:
        if alarm is not None:
            alarm.cancel()
        watcher.close()


async def _only(line: bytes) -> AsyncIterator[bytes]:
    yield line


def _error_line(error: errors.ApiError) -> bytes:
    return b'{"type":"ERROR","object":%b}\n' % codec.encode(error.status())
