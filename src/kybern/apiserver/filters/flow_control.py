"""Wait for a seat, or 429.

In:   a request with a user.
Out:  ctx.seated, and the seat back when the answer is known.
By:   app, before authorization.

Seats bound how many writes are under way at once, so that a flood of them costs its senders and
not the server's memory. Reads answer from memory without waiting and need no seat; streams would
keep theirs for hours. system:masters and the control plane in this process are never refused, as
upstream's `exempt` level.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from kybern.api import errors
from kybern.lib.metrics import REGISTRY

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from kybern.apiserver.context import Answer, RequestContext, Services

REJECTED = REGISTRY.counter(
    "apiserver_flowcontrol_rejected_requests_total", "Requests refused for want of a seat.", ()
)
INFLIGHT = REGISTRY.gauge(
    "apiserver_current_inflight_requests", "Writes under way.", ("request_kind",)
).labels("mutating")

WITHOUT_SEAT = frozenset(("get", "list", "watch"))
LASTING = frozenset(("log", "exec", "attach", "portforward", "proxy"))


class FlowControl:
    """A fixed number of seats and a queue of fixed length before them."""

    def __init__(self, services: Services) -> None:
        self._seats = services.config.max_mutating_requests
        self._queue_length = services.config.max_queued_requests
        self._patience = services.config.request_timeout
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def enter(self, ctx: RequestContext) -> Awaitable[None] | None:
        """Take a seat; the result is awaited when none was free."""
        if ctx.verb in WITHOUT_SEAT or not ctx.is_resource or ctx.subresource in LASTING:
            return None
        if self._taken < self._seats or ctx.user.master:
            self._take(ctx)
            return None
        if len(self._waiting) >= self._queue_length:
            REJECTED.inc()
            raise errors.TooManyRequests.of("Too many requests, please try again later.", 1)
        return self._wait(ctx)

    def leave(self, ctx: RequestContext, answer: Answer | None) -> None:
        """Give the seat back."""
        del answer
        if not ctx.seated:
            return
        ctx.seated = False
        self._taken -= 1
        INFLIGHT.set(self._taken)
        self._call_next()

    def statistics(self) -> dict[str, int]:
        """Return how many seats are taken and how many requests wait for one."""
        return {"taken": self._taken, "waiting": len(self._waiting)}

    def _take(self, ctx: RequestContext) -> None:
        ctx.seated = True
        self._taken += 1
        INFLIGHT.set(self._taken)

    def _call_next(self) -> None:
        while self._waiting and self._taken < self._seats:
            free = self._waiting.popleft()
            if not free.done():
                free.set_result(None)
                break

    async def _wait(self, ctx: RequestContext) -> None:
        free: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(free)
        try:
            async with asyncio.timeout(self._patience):
                await free
        except BaseException:
            if free.done() and not free.cancelled():
                self._call_next()  # it was called just now: somebody else may have the seat
            raise
        self._take(ctx)
