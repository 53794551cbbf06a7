"""The HTTP client: requests to one server, on connections that are kept and reused.

In:   method, target, headers and body.
Out:  a `ClientResponse`; or a raw stream, when the server agrees to an upgrade.
By:   the API client's transport, webhooks, probes, the kubelet's and the API server's proxying.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kybern.lib.http.answering import BrokenAnswer, ClientConnection, ClientResponse, NoAnswer
from kybern.lib.http.sockets import receive_buffer

if TYPE_CHECKING:
    import ssl as tls
    from collections.abc import AsyncIterator, Iterable, Mapping

    from kybern.lib.http.stream import TransportStream

    Headers = (
        Mapping[str, str] | Mapping[str, tuple[str, ...]] | Mapping[str, str | tuple[str, ...]]
    )

__all__ = [
    "BrokenAnswer",
    "ClientResponse",
    "ConnectTimeout",
    "HttpClient",
    "NoAnswer",
    "UpgradeRefused",
]

_SAFE = frozenset(("GET", "HEAD", "OPTIONS"))
_REPEATABLE = frozenset(("PUT", "DELETE"))  # done twice is as done once
_BODY_EXPECTED = frozenset(("POST", "PUT", "PATCH"))
_REFUSAL_LIMIT = 1 << 20


class ConnectTimeout(TimeoutError):
    """No connection was made in time: the server has not seen the request."""


class UpgradeRefused(Exception):
    """The server answered a request to upgrade with an ordinary response."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        super().__init__(f"the server refused to switch protocols: {status}")
        self.status = status
        self.headers = headers
        self.body = body


class HttpClient:
    """A client of one server.

    Connections are kept for `idle_timeout` seconds, at most `max_idle` of them. Any number of
    requests can run at a time; each has a connection of its own.
    """

    def __init__(
        self,
        base_url: str,
        *,
        ssl: tls.SSLContext | None = None,
        server_hostname: str | None = None,
        headers: Mapping[str, str] | None = None,
        connect_timeout: float = 10.0,
        idle_timeout: float = 60.0,
        max_idle: int = 32,
    ) -> None:
        """Describe the server; nothing is connected yet.

        Args:
            base_url: such as `https://10.0.0.1:6443`; a path is put before every target.
            ssl: needed for https.
            server_hostname: the name the server's certificate must have, if not the URL's.
            headers: sent with every request.
            connect_timeout: seconds in which a connection must be made.
            idle_timeout: seconds for which a connection is kept for later.
            max_idle: how many are kept.
        """
        url = urlsplit(base_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError(f"not an HTTP URL: {base_url!r}")
        if url.scheme == "https" and ssl is None:
            raise ValueError("https needs a TLS context")
        self.host = url.hostname
        self.port = url.port or (443 if url.scheme == "https" else 80)
        self._prefix = url.path.rstrip("/")
        self._ssl = ssl if url.scheme == "https" else None
        self._server_hostname = (server_hostname or self.host) if self._ssl else None
        self._common = _lines({"Host": url.netloc.rpartition("@")[2], **(headers or {})}.items())
        self.connect_timeout = connect_timeout
        """May be changed; counts for connections made from then on."""
        self._idle_timeout = idle_timeout
        self._max_idle = max_idle
        self._buffer = receive_buffer()
        self._idle: list[ClientConnection] = []
        self._open: set[ClientConnection] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._emptied: asyncio.Event | None = None  # while closing: set with the last connection
        self._closed = False

    async def request(
        self,
        method: str,
        target: str,
        headers: Headers | None = None,
        body: bytes | AsyncIterator[bytes] | None = None,
        *,
        timeout: float | None = None,  # noqa: ASYNC109  # of connecting and the head, not of the body
    ) -> ClientResponse:
        """Send a request and return its response once the head is here.

        A header with several values, in a tuple, is sent once for each.

        A request is sent a second time, on a new connection, when the first ended without any
        answer and either was an old one, which the server may close at any time, or the request
        changes nothing.

        Raises:
            OSError: no connection, or it ended before an answer (`NoAnswer`, `BrokenAnswer`).
            ConnectTimeout: no connection in time.
            TimeoutError: no head of a response within `timeout` seconds.
        """
        head = self._head(method, target, headers, body)
        if timeout is None:
            return await self._request(method, head, body)
        async with asyncio.timeout(timeout):
            return await self._request(method, head, body)

    async def upgrade(
        self,
        target: str,
        protocol: str,
        headers: Headers | None = None,
        *,
        method: str = "GET",
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> TransportStream:
        """Ask the server to switch protocols and return the raw stream.

        The stream's `headers` are those of the response.

        Raises:
            UpgradeRefused: the server answered something else than 101.
            OSError: no connection, or it ended before an answer.
            TimeoutError: no answer within `timeout` seconds.
        """
        wanted = {"Connection": "Upgrade", "Upgrade": protocol, **(headers or {})}
        head = self._head(method, target, wanted, None)
        async with asyncio.timeout(timeout):
            connection = await self._connect()
            response = await connection.exchange(head, None)
            if response.status == 101:
                return connection.take_stream()
            body = await response.read(_REFUSAL_LIMIT)
        connection.close()
        raise UpgradeRefused(response.status, response.headers, body)

    async def close(self) -> None:
        """Break off every connection; responses in progress fail."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in list(self._open):
            if connection in self._idle:
                connection.close()
            else:
                connection.abort()
        self._idle.clear()
        if self._open:
            self._emptied = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._emptied.wait()

    async def __aenter__(self) -> HttpClient:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    def statistics(self) -> dict[str, int]:
        """Return how many connections are open, and how many of them idle."""
        return {"connections": len(self._open), "idle": len(self._idle)}

    async def _request(
        self, method: str, head: bytes, body: bytes | AsyncIterator[bytes] | None
    ) -> ClientResponse:
        connection = self._reuse()
        reused = connection is not None
        if connection is None:
            connection = await self._connect()
        bodiless = method == "HEAD"
        try:
            return await connection.exchange(head, body, bodiless=bodiless)
        except NoAnswer as error:
            again = error.unsent or method in _SAFE or (reused and method in _REPEATABLE)
            if not again or not (body is None or isinstance(body, bytes)):
                raise
        connection = await self._connect()
        return await connection.exchange(head, body, bodiless=bodiless)

    def _head(
        self,
        method: str,
        target: str,
        headers: Headers | None,
        body: bytes | AsyncIterator[bytes] | None,
    ) -> bytes:
        if body is None:
            framing = "Content-Length: 0\r\n" if method in _BODY_EXPECTED else ""
        elif isinstance(body, bytes):
            framing = f"Content-Length: {len(body)}\r\n"
        else:
            framing = "Transfer-Encoding: chunked\r\n"
        if not target.isprintable() or " " in target or not method.isalpha():
            raise ValueError(f"not a request target: {method} {target!r}")
        own = _lines(headers.items()) if headers else ""
        text = f"{method} {self._prefix}{target} HTTP/1.1\r\n{self._common}{own}{framing}\r\n"
        return text.encode()

    def _reuse(self) -> ClientConnection | None:
        oldest = asyncio.get_running_loop().time() - self._idle_timeout
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and connection.idle_since >= oldest:
                return connection
            connection.close()
        return None

    async def _connect(self) -> ClientConnection:
        if self._closed:
            raise RuntimeError("this client is closed")
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.connect_timeout):
                _, connection = await loop.create_connection(
                    lambda: ClientConnection(self._keep, self._forget, self._buffer),
                    self.host,
                    self.port,
                    ssl=self._ssl,
                    server_hostname=self._server_hostname,
                    ssl_shutdown_timeout=2.0 if self._ssl else None,
                )
        except TimeoutError:
            seconds = f"{self.connect_timeout:g} s"
            raise ConnectTimeout(f"no connection within {seconds}") from None
        self._open.add(connection)
        return connection

    def _keep(self, connection: ClientConnection) -> None:
        if self._closed or len(self._idle) >= self._max_idle:
            connection.close()
            return
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        self._idle.append(connection)
        if self._sweeper is None:
            self._sweeper = loop.call_later(self._idle_timeout, self._sweep)

    def _forget(self, connection: ClientConnection) -> None:
        self._open.discard(connection)
        if self._emptied is not None and not self._open:
            self._emptied.set()
        if connection in self._idle:
            self._idle.remove(connection)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweeper = None
        oldest = loop.time() - self._idle_timeout
        for connection in [idle for idle in self._idle if idle.idle_since <= oldest]:
            self._idle.remove(connection)
            connection.close()
        if self._idle:
            wait = self._idle[0].idle_since - oldest
            self._sweeper = loop.call_later(max(wait, 0.001), self._sweep)


def _lines(headers: Iterable[tuple[str, str | tuple[str, ...]]]) -> str:
    lines = [
        f"{name}: {value}\r\n"
        for name, values in headers
        for value in (values if isinstance(values, tuple) else (values,))
    ]
    text = "".join(lines)
    if text.count("\n") != len(lines) or text.count("\r") != len(lines):
        raise ValueError("a header contains a line break")
    return text
