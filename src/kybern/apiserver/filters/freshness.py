"""Answers are never older than the question, also when other API servers write.

In:   the verb and resourceVersion of a request, and whether the store is shared with others.
Out:  nothing; the store has caught up with everything that was answered to anybody before.
By:   app, before anybody looks into the store.

Upstream asks etcd for each get and for the revision of each list, and tries a write that failed on
old data again. Here all requests that arrive at about the same time ask once, and then who may
what, and what stands in the way of a write, are judged on fresh data too. Who says
`resourceVersion=0`, or a revision that has been seen, is content with what is here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.apiserver.handlers.versions import MOST_DIGITS

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from kybern.apiserver.context import RequestContext, Services

READS = frozenset(("get", "list", "watch"))


class Freshness:
    """Wait until the store is as new as the request. It is anyway when nobody else writes."""

    def __init__(self, services: Services) -> None:
        self._store = services.store
        if self._store.shared:
            self.enter = self._catch_up

    def _catch_up(self, ctx: RequestContext) -> Awaitable[None] | None:
        return None if self._is_content(ctx) else self._store.fresh()

    def _is_content(self, ctx: RequestContext) -> bool:
        if not ctx.is_resource:
            return True
        if ctx.verb not in READS or not ctx.request.query or ctx.param("continue"):
            return False
        text = ctx.param("resourceVersion")
        known = text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS
        return known and int(text) <= self._store.revision
