"""From here on, someone writes it down: a log line and the request metrics.

In:   a request that has a user, and later its answer.
Out:  metrics with upstream's names; a log line for slow and failed requests, for every request
      when the logger is at debug level.
By:   app, after authentication; its `leave` runs when the answer is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.lib import logs
from kybern.lib.metrics import REGISTRY

if TYPE_CHECKING:
    from kybern.apiserver.context import Answer, RequestContext, Services

log = logs.get("apiserver")

SLOW = 1.0

REQUESTS = REGISTRY.counter(
    "apiserver_request_total",
    "Requests by verb, resource and answer.",
    ("verb", "group", "version", "resource", "subresource", "scope", "code"),
)
DURATION = REGISTRY.histogram(
    "apiserver_request_duration_seconds",
    "How long answers took, watches excluded.",
    ("verb", "group", "version", "resource", "subresource", "scope"),
    buckets=(0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10,
             15, 20, 30, 45, 60),
)  # fmt: skip
LASTING = frozenset(("watch", "connect"))


class Audit:
    """Count and log requests."""

    def __init__(self, services: Services) -> None:
        self._clock = services.clock
        self._series: dict[tuple[str, str, str, int, bool], tuple[object, object]] = {}

    def enter(self, ctx: RequestContext) -> None:
        """Note when it began."""
        ctx.started = self._clock.monotonic()

    def leave(self, ctx: RequestContext, answer: Answer | None) -> None:
        """Write down how it ended; None when the client left before."""
        code = answer.status if answer is not None else 499
        if not ctx.started:
            return
        elapsed = self._clock.monotonic() - ctx.started
        key = (ctx.verb, ctx.plural, ctx.subresource, code, not ctx.name)
        series = self._series.get(key)
        if series is None:
            series = self._new_series(ctx, key, code)
        series[0].inc()  # type: ignore[attr-defined]
        if ctx.verb not in LASTING:
            series[1].observe(elapsed)  # type: ignore[attr-defined]
        if code >= 500 or elapsed > SLOW or log.enabled(logs.DEBUG):
            self._log(ctx, code, elapsed)

    def _new_series(
        self, ctx: RequestContext, key: tuple[str, str, str, int, bool], code: int
    ) -> tuple[object, object]:
        if ctx.resource is None:
            # Unknown paths come from outside and must not grow the set of series.
            labels = [ctx.verb if ctx.verb in KNOWN_VERBS else "other", "", "", "", "", ""]
        else:
            scope = "resource" if ctx.name else "namespace" if ctx.namespace else "cluster"
            subresource = ctx.subresource
            if subresource not in ctx.resource.kind.subresources:
                subresource = ""
            verb = ctx.verb.upper()
            labels = [verb, ctx.group, ctx.version, ctx.plural, subresource, scope]
        series = (REQUESTS.labels(*labels, str(code)), DURATION.labels(*labels))
        if ctx.resource is not None:
            if len(self._series) > 4096:
                self._series.clear()
            self._series[key] = series
        return series

    def _log(self, ctx: RequestContext, code: int, elapsed: float) -> None:
        values = {
            "verb": ctx.verb,
            "path": ctx.path,
            "user": ctx.user.name,
            "code": code,
            "seconds": round(elapsed, 4),
        }
        if code >= 500:
            log.error("request", **values)
        elif elapsed > SLOW and ctx.verb not in LASTING:
            log.warning("slow request", **values)
        else:
            log.debug("request", **values)


KNOWN_VERBS = frozenset(("get", "post", "put", "patch", "delete", "head", "options"))
