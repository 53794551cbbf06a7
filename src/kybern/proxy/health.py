"""Health check node ports: whether this node has an endpoint, for load balancers elsewhere.

In:   per Service with externalTrafficPolicy `Local`: a port, how many endpoints are here.
Out:  HTTP on that port: 200 with endpoints, 503 without, and upstream's JSON.
By:   sync.py.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from kybern.lib import logs
from kybern.lib.http.messages import Response
from kybern.lib.http.server import serve

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kybern.lib.http.messages import Request
    from kybern.lib.http.server import Server
    from kybern.proxy.model import Check

log = logs.get("proxy")

GRACE = 0.1  # seconds for requests under way when a port is closed


def answer(service: str, endpoints: int, *, healthy: bool) -> Response:
    """Return what a load balancer is told; the words are upstream's."""
    namespace, _, name = service.partition("/")
    said = {
        "service": {"namespace": namespace, "name": name},
        "localEndpoints": endpoints,
        "serviceProxyHealthy": healthy,
    }
    headers = (
        ("X-Content-Type-Options", "nosniff"),
        ("X-Load-Balancing-Endpoint-Weight", str(endpoints)),
    )
    status = 200 if endpoints and healthy else 503
    return Response(status, json.dumps(said, indent="\t").encode(), "application/json", headers)


class HealthPorts:
    """One server for each port."""

    def __init__(self, healthy: Callable[[], bool]) -> None:
        self._healthy = healthy
        self._checks: dict[str, Check] = {}
        self._servers: dict[str, Server] = {}

    async def update(self, checks: Mapping[str, Check | None], hosts: Sequence[str]) -> None:
        """Open, change and close ports; None closes a Service's."""
        for service, check in checks.items():
            before = self._checks.get(service)
            if before and (check is None or before.port != check.port):
                await self._close(service)
            if check is None:
                continue
            self._checks[service] = check
            if service not in self._servers:
                await self._open(service, check, hosts)

    async def close(self) -> None:
        """Close all ports."""
        for service in list(self._checks):
            await self._close(service)

    async def _open(self, service: str, check: Check, hosts: Sequence[str]) -> None:
        async def app(_request: Request) -> Response:
            return answer(service, self._checks[service].endpoints, healthy=self._healthy())

        try:
            self._servers[service] = await serve(app, hosts or "", check.port)
        except OSError as error:
            log.error(
                "a health check node port cannot be had",
                service=service, port=check.port, error=str(error),
            )  # fmt: skip

    async def _close(self, service: str) -> None:
        self._checks.pop(service, None)
        if server := self._servers.pop(service, None):
            await server.close(GRACE)
