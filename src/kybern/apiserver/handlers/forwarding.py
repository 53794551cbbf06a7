"""Pass a request on to another server and its answer back.

In:   the client's request, a client of the other server, the target there.
Out:  the other server's answer: streamed, or a raw connection when both agree to an upgrade.
By:   the conversations with kubelets, and proxy.

Bytes of an upgraded connection are copied without looking: WebSocket and SPDY are spoken by the
client and the other side.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kybern.api import errors
from kybern.lib.http.client import UpgradeRefused
from kybern.lib.http.messages import Response, StreamResponse, UpgradeResponse
from kybern.lib.http.stream import StreamClosed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from kybern.lib.http.client import ClientResponse, HttpClient
    from kybern.lib.http.messages import AnyResponse, Request
    from kybern.lib.http.stream import Stream

HOP_BY_HOP = frozenset(
    (
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer",
        "transfer-encoding", "upgrade", "content-length", "host", "expect",
    )
)  # fmt: skip
OURS = frozenset(("authorization",))
DIAL_TIMEOUT = 30.0


def is_upgrade(request: Request) -> bool:
    """Say whether the client wants to switch protocols."""
    headers = request.headers
    return "upgrade" in headers and "upgrade" in headers.get("connection", "").lower()


async def forward(
    request: Request,
    client: HttpClient,
    target: str,
    *,
    drop: frozenset[str] = OURS,
    add: Mapping[str, str] | Mapping[str, tuple[str, ...]] | None = None,
) -> AnyResponse:
    """Send the request on and return the answer.

    Args:
        request: the client's.
        client: of the other server.
        target: path and query there.
        drop: headers which it does not get.
        add: headers which it gets besides.

    Raises:
        ServiceUnavailable: the other server cannot be reached.
    """
    headers: dict[str, str | tuple[str, ...]] = {
        name: value
        for name, value in request.headers.items()
        if name not in HOP_BY_HOP and name not in drop and not name.startswith("impersonate-")
    }
    if came := request.remote.rpartition(":")[0].strip("[]"):
        earlier = headers.pop("x-forwarded-for", "")
        headers["X-Forwarded-For"] = f"{earlier}, {came}" if earlier else came
    headers.update(add or {})
    try:
        if is_upgrade(request):
            return await _upgrade(request, client, target, headers)
        body = _body_of(request)
        answer = await client.request(request.method, target, headers, body)
    except (OSError, TimeoutError) as error:
        raise unreachable(client, error) from None
    return relay(answer, request.method)


async def _upgrade(
    request: Request, client: HttpClient, target: str, headers: dict[str, str | tuple[str, ...]]
) -> AnyResponse:
    try:
        other = await client.upgrade(
            target, request.headers["upgrade"], headers, method=request.method,
            timeout=DIAL_TIMEOUT,
        )  # fmt: skip
    except UpgradeRefused as refusal:
        if refusal.status < 400:
            problem = f"invalid upgrade response: status code {refusal.status}"
            raise errors.InternalError.of(problem) from None
        media = refusal.headers.get("content-type", "text/plain")
        return Response(refusal.status, refusal.body, media)
    back = tuple(
        (name, value)
        for name, value in other.headers.items()
        if name not in ("connection", "upgrade", "content-length", "date")
    )
    switched = (("Connection", "Upgrade"), ("Upgrade", request.headers["upgrade"]), *back)
    return UpgradeResponse(Pump(other).run, switched)


class Pump:
    """Copies bytes between two streams until both directions have ended."""

    def __init__(self, other: Stream) -> None:
        self._other = other

    async def run(self, stream: Stream) -> None:
        """Copy until either side is gone."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_copy(stream, self._other), name="to the other side")
                group.create_task(_copy(self._other, stream), name="to the client")
        finally:
            self._other.close()
            stream.close()


async def _copy(source: Stream, sink: Stream) -> None:
    try:
        while data := await source.read():
            sink.write(data)
            await sink.drain()
        sink.write_eof()
    except StreamClosed:
        # One side is gone: so the other has nobody to talk to.
        source.close()
        sink.close()


def relay(answer: ClientResponse, method: str = "GET") -> AnyResponse:
    """Return another server's answer as ours."""
    media = answer.headers.get("content-type", "")
    headers = tuple(
        (name, value)
        for name, value in answer.headers.items()
        if name not in HOP_BY_HOP and name not in ("content-type", "date")
    )
    if method == "HEAD" or answer.status in (204, 304):
        answer.close()
        return Response(answer.status, b"", media, headers)
    return StreamResponse(answer.status, _chunks(answer), media, headers)


async def _chunks(answer: ClientResponse) -> AsyncIterator[bytes]:
    async for piece in answer:
        yield piece


def _body_of(request: Request) -> bytes | AsyncIterator[bytes] | None:
    # Components in this process send theirs whole, and without a header that says so.
    if isinstance(request.source, bytes):
        return request.source or None
    headers = request.headers
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        return request.stream()
    return None


def unreachable(client: HttpClient, error: Exception) -> errors.ApiError:
    """Say that the other server cannot be reached."""
    why = str(error) or type(error).__name__
    return errors.ServiceUnavailable(
        f"error trying to reach service: dial tcp {client.host}:{client.port}: {why}", {}
    )
