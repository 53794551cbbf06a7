"""Short requests get a deadline; watches and streams do not.

In:   the verb, and `?timeout=`.
Out:  ctx.timeout in seconds, None where the request may last.
By:   app, after request_info.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import errors
from kybern.apiserver import go_duration

if TYPE_CHECKING:
    from kybern.apiserver.context import RequestContext, Services

LONGEST = 60.0
"""What upstream calls --request-timeout: the most a short request may take."""

LONG_SUBRESOURCES = frozenset(("log", "exec", "attach", "portforward", "proxy"))


class Deadline:
    """Bound how long a request may take."""

    def __init__(self, services: Services) -> None:
        self._longest = services.config.request_timeout

    def enter(self, ctx: RequestContext) -> None:
        """Set the time the rest of the way may take."""
        verb = ctx.verb
        if verb in ("get", "list"):
            # These answer from memory and never wait; a timer would cost more than they do.
            if ctx.request.query and "timeout" in ctx.request.query:
                self._requested(ctx)
            return
        if verb == "watch" or ctx.subresource in LONG_SUBRESOURCES:
            return
        ctx.timeout = self._requested(ctx) if "timeout" in ctx.request.query else self._longest

    def _requested(self, ctx: RequestContext) -> float:
        text = ctx.param("timeout")
        if not text:
            return float(self._longest)
        try:
            seconds = go_duration.parse(text)
        except ValueError:
            raise errors.BadRequest("invalid timeout specified in the request URL") from None
        return float(min(seconds, self._longest) if seconds > 0 else self._longest)
