"""What an HTTP application sees: a request, and three kinds of response.

In:   from the server, or from a transport within the process: a `Request`.
Out:  from the application: a `Response`, a `StreamResponse` or an `UpgradeResponse`.
By:   every application (`App`), the server, and in-process transports.

Bytes on sockets are the server's business; nothing here does I/O.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from kybern.lib.http.pipe import Pipe, TooLarge

if TYPE_CHECKING:
    from kybern.lib.http.stream import Stream

Headers = tuple[tuple[str, str], ...]


class BodyTooLarge(TooLarge):
    """The request's body is larger than the application reads."""


class ClientGone(ConnectionError):
    """The client left before its request was complete."""


class Request:
    """One request.

    Attributes:
        method: upper case.
        path: as sent, still percent-encoded, without the query.
        query: as sent, without the question mark.
        headers: lower-case names; repeated ones are joined with a comma. See `values`.
        remote: the client's address and port, as `1.2.3.4:567` or `[::1]:567`.
        peer_certificate: the client's verified TLS certificate (DER), if it showed one.
        source: the body as given, or the pipe it arrives through; read it with `body` or `stream`.
        extra: for whoever passes requests on within the process, such as the caller's identity.
    """

    __slots__ = (
        "_params",
        "_repeated",
        "extra",
        "headers",
        "keep_alive",
        "method",
        "path",
        "peer_certificate",
        "query",
        "remote",
        "source",
        "version",
    )

    def __init__(
        self,
        method: str,
        path: str,
        query: str = "",
        headers: dict[str, str] | None = None,
        body: bytes | Pipe = b"",
        remote: str = "",
        peer_certificate: bytes | None = None,
        extra: object | None = None,
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = {} if headers is None else headers
        self.remote = remote
        self.peer_certificate = peer_certificate
        self.extra = extra
        self.version = "1.1"
        self.keep_alive = True
        self.source = body
        self._params: dict[str, list[str]] | None = None
        self._repeated: dict[str, list[str]] | None = None

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.target}>"

    @property
    def target(self) -> str:
        """The path with its query, as sent."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def remote_ip(self) -> str:
        """The client's address without its port."""
        return self.remote.rpartition(":")[0].strip("[]")

    @property
    def params(self) -> dict[str, list[str]]:
        """The query's parameters, decoded, in order; parsed on first use."""
        if self._params is None:
            self._params = parse_query(self.query)
        return self._params

    def param(self, name: str, default: str = "") -> str:
        """Return the first value of a query parameter."""
        values = self.params.get(name)
        return values[0] if values else default

    def values(self, name: str) -> list[str]:
        """Return every value of a header, one for each time it was sent."""
        if self._repeated is not None and name in self._repeated:
            return list(self._repeated[name])
        value = self.headers.get(name)
        return [] if value is None else [value]

    def add_header(self, name: str, value: str) -> None:
        """Add a header (lower-case name), joining it to an earlier one of the same name."""
        headers = self.headers
        if name in headers:
            if self._repeated is None:
                self._repeated = {}
            self._repeated.setdefault(name, [headers[name]]).append(value)
            headers[name] = f"{headers[name]}, {value}"
        else:
            headers[name] = value

    async def body(self, limit: int | None = None) -> bytes:
        """Return the whole body; it can be asked for again.

        Raises:
            BodyTooLarge: it is, or announces itself, larger than `limit`.
            ClientGone: the client left before all of it arrived.
        """
        body = self.source
        if isinstance(body, Pipe):
            if limit is not None and int(self.headers.get("content-length", "0")) > limit:
                raise BodyTooLarge(limit)
            try:
                body = self.source = await body.read_all(limit)
            except TooLarge as error:
                raise BodyTooLarge(error.limit) from None
        elif limit is not None and len(body) > limit:
            raise BodyTooLarge(limit)
        return body

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield the body in pieces as they arrive; unlike `body`, only once.

        Raises:
            ClientGone: the client left before all of it arrived.
        """
        body = self.source
        if isinstance(body, Pipe):
            while piece := await body.read():
                yield piece
        elif body:
            yield body


class Response:
    """A complete response; a body given as a list is sent as if joined."""

    __slots__ = ("body", "content_type", "headers", "status")

    def __init__(
        self,
        status: int = 200,
        body: bytes | list[bytes] = b"",
        content_type: str = "application/json",
        headers: Headers = (),
    ) -> None:
        self.status = status
        self.body = body
        self.content_type = content_type
        self.headers = headers


class StreamResponse:
    """A response whose body is made while it is sent.

    `chunks` is iterated by one task; when the client leaves, the iteration is cancelled and
    `aclose()` is awaited if there is one. When the iteration raises, the connection is broken off,
    so that the client can tell it from an end.
    """

    __slots__ = ("chunks", "content_type", "headers", "status")

    def __init__(
        self,
        status: int,
        chunks: AsyncIterator[bytes],
        content_type: str = "application/json",
        headers: Headers = (),
    ) -> None:
        self.status = status
        self.chunks = chunks
        self.content_type = content_type
        self.headers = headers


class UpgradeResponse:
    """Status 101: from here on, `run` speaks another protocol on the raw stream.

    When `run` returns or raises, the stream is closed; when the server shuts down it is cancelled.
    """

    __slots__ = ("headers", "run", "status")

    def __init__(
        self, run: Callable[[Stream], Awaitable[None]], headers: Headers = (), status: int = 101
    ) -> None:
        self.run = run
        self.headers = headers
        self.status = status


AnyResponse = Response | StreamResponse | UpgradeResponse
App = Callable[[Request], Awaitable[AnyResponse]]


def parse_query(query: str) -> dict[str, list[str]]:
    """Decode a query string: name to values, in order; empty values are kept."""
    params: dict[str, list[str]] = {}
    if not query:
        return params
    encoded = "%" in query or "+" in query
    for part in query.split("&"):
        if not part:
            continue
        name, _, value = part.partition("=")
        if encoded:
            name, value = unquote_plus(name), unquote_plus(value)
        if name in params:
            params[name].append(value)
        else:
            params[name] = [value]
    return params
