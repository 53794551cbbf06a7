"""Is the server alive, and is it ready?

In:   GET on /healthz, /livez, /readyz, or one check below them; `?verbose`, `?exclude=`.
Out:  200 `ok`, or 500 with the checks that failed.
By:   routes, and whoever waits for the server to come up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.apiserver.answers import text_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.apiserver.context import Handler, RequestContext
    from kybern.lib.http.messages import Response

    Check = Callable[[], str]

ENDPOINTS = ("healthz", "livez", "readyz")


class Health:
    """Named checks; each returns what is wrong, or ""."""

    def __init__(self) -> None:
        self._checks: dict[str, dict[str, Check]] = {name: {} for name in ENDPOINTS}

    def add(self, name: str, check: Check, endpoints: tuple[str, ...] = ENDPOINTS) -> None:
        """Let a check count for some endpoints."""
        for endpoint in endpoints:
            self._checks[endpoint][name] = check

    def paths(self) -> dict[str, Handler]:
        """Return who answers which path."""
        found: dict[str, Handler] = {}
        for endpoint in ENDPOINTS:
            found[f"/{endpoint}"] = found[f"/{endpoint}/"] = self.answer
        return found

    def prefixes(self) -> list[tuple[str, Handler]]:
        """Return who answers paths that begin so."""
        return [(f"/{endpoint}/", self.one) for endpoint in ENDPOINTS]

    def failing(self, endpoint: str) -> dict[str, str]:
        """Return the failing checks of an endpoint and what is wrong."""
        found = {name: check() for name, check in self._checks[endpoint].items()}
        return {name: problem for name, problem in found.items() if problem}

    async def answer(self, ctx: RequestContext) -> Response:
        """Run all checks of an endpoint."""
        endpoint = ctx.path.strip("/")
        excluded = set(ctx.params.get("exclude", ())) if ctx.request.query else set()
        lines, failed = [], []
        for name, check in self._checks[endpoint].items():
            if name in excluded:
                lines.append(f"[+]{name} excluded: ok")
                continue
            problem = check()
            if problem:
                failed.append(name)
                lines.append(f"[-]{name} failed: {problem}")
            else:
                lines.append(f"[+]{name} ok")
        if failed:
            return text_response(500, "\n".join([*lines, f"{endpoint} check failed", ""]))
        if "verbose" not in ctx.params:
            return text_response(200, "ok")
        return text_response(200, "\n".join([*lines, f"{endpoint} check passed", ""]))

    async def one(self, ctx: RequestContext) -> Response:
        """Run one check."""
        endpoint, _, name = ctx.path.strip("/").partition("/")
        check = self._checks[endpoint].get(name)
        if check is None:
            return text_response(404, "404 page not found\n")
        problem = check()
        if problem:
            return text_response(500, f"internal server error: {problem}\n")
        return text_response(200, "ok")
