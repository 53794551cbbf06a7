"""The transport into an application of this process.

In:   calls to `Transport`.
Out:  the application's own response objects, wrapped; no sockets, no encoding, no TLS.
By:   cmd, where several components share a process; tests.

A streamed answer is iterated by its reader, so a slow reader slows the producer and nobody else.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from kybern.client.transport import Identity, Unreachable, UpgradeRefused
from kybern.lib import logs
from kybern.lib.http.messages import Request, Response, UpgradeResponse
from kybern.lib.http.stream import MemoryStream, memory_pair
from kybern.lib.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from kybern.lib.http.messages import AnyResponse, App, StreamResponse
    from kybern.lib.http.stream import Stream

log = logs.get("client.transport")

REMOTE = "127.0.0.1:0"  # what the server's audit log shows as our address


class WholeResponse:
    """A complete answer."""

    __slots__ = ("_response", "headers", "status")

    def __init__(self, response: Response) -> None:
        self.status = response.status
        self.headers = _headers(response)
        self._response: Response | None = response

    async def read(self) -> bytes:
        """Return the body."""
        response, self._response = self._response, None
        if response is None:
            return b""
        body = response.body
        return body if isinstance(body, bytes) else b"".join(body)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if body := await self.read():
            yield body

    async def close(self) -> None:
        """Give up the body."""
        self._response = None


class StreamedResponse:
    """An answer that is made while it is read."""

    __slots__ = ("_chunks", "_closed", "headers", "status")

    def __init__(self, response: StreamResponse) -> None:
        self.status = response.status
        self.headers = _headers(response)
        self._chunks = response.chunks
        self._closed = False

    async def read(self) -> bytes:
        """Return the whole body."""
        return b"".join([chunk async for chunk in self])

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._closed:
            return
        try:
            async for chunk in self._chunks:
                yield chunk
        except Exception as error:
            # What breaks the connection of a client elsewhere must look the same here.
            log.exception("the server broke off an answer", error=error)
            raise Unreachable(f"the server broke off: {error}") from error
        finally:
            await self.close()

    async def close(self) -> None:
        """Tell the producer that nobody reads any more."""
        if self._closed:
            return
        self._closed = True
        aclose = getattr(self._chunks, "aclose", None)
        if aclose is not None:
            # A generator that is waiting inside somebody's `anext` ends with that task.
            with contextlib.suppress(RuntimeError):
                await aclose()


class InProcessTransport:
    """Calls an application directly, as one identity."""

    in_process = True

    def __init__(self, app: App, identity: Identity) -> None:
        self._app = app
        self._identity = identity
        self._upgrades: Tasks | None = None

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> WholeResponse | StreamedResponse:
        """Call the application and return its answer."""
        answer = await self._call(method, path, query, headers, body)
        if isinstance(answer, Response):
            return WholeResponse(answer)
        if isinstance(answer, UpgradeResponse):
            raise Unreachable("the server upgraded a request that did not ask for it")
        return StreamedResponse(answer)

    async def upgrade(
        self,
        path: str,
        protocol: str,
        *,
        method: str = "GET",
        query: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Stream:
        """Call the application and run what it upgrades to on one end of a pair of streams."""
        asked = {"connection": "Upgrade", "upgrade": protocol, **(headers or {})}
        answer = await self._call(method, path, query, asked, None)
        if isinstance(answer, Response):
            body = await WholeResponse(answer).read()
            raise UpgradeRefused(answer.status, _headers(answer), body)
        if not isinstance(answer, UpgradeResponse):
            await StreamedResponse(answer).close()
            raise UpgradeRefused(answer.status, _headers(answer), b"")
        ours, theirs = memory_pair()
        ours.headers = _headers(answer)
        if self._upgrades is None:
            self._upgrades = Tasks("in-process upgrades")
        self._upgrades.spawn(_serve(answer, theirs), name=f"upgraded {path}")
        return ours

    async def close(self) -> None:
        """End what was upgraded."""
        if self._upgrades is not None:
            await self._upgrades.close()
            self._upgrades = None

    async def _call(
        self,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str] | None,
        body: bytes | None,
    ) -> AnyResponse:
        request = Request(
            method, path, query, dict(headers or {}), body or b"", REMOTE, extra=self._identity
        )
        return await self._app(request)


async def _serve(answer: UpgradeResponse, stream: MemoryStream) -> None:
    try:
        await answer.run(stream)
    finally:
        stream.close()


def _headers(response: AnyResponse) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in response.headers:
        name = name.lower()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    content_type = getattr(response, "content_type", "")
    if content_type:
        headers["content-type"] = content_type
    return headers
