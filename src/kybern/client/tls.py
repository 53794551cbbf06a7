"""The transport to API servers elsewhere, over TLS (or plain HTTP, where the URL says so).

In:   a `ClientConfig`, and where there are several servers, which.
Out:  answers from the network; every failure of the connection is `Unreachable`.
By:   every component that runs apart from the API server; the CLI.

With several servers, a request goes to the next one when the first cannot have carried it out, or
when it only reads. What a server that died may or may not have done is `Unreachable`, as ever:
only the caller knows whether to do it again.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from kybern.client.config import ConfigError, ssl_context
from kybern.client.servers import Servers
from kybern.client.transport import Unreachable
from kybern.lib.http.client import BrokenAnswer, ConnectTimeout, HttpClient, NoAnswer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from kybern.client.config import ClientConfig
    from kybern.lib.http.client import ClientResponse
    from kybern.lib.http.stream import Stream

HEAD_TIMEOUT = 65.0  # a server ends short requests after 60 seconds by itself
CONNECT_TIMEOUT = 10.0
SHORT_TIMEOUT = 1.0  # where there may be another server to try
ROUNDS = 2  # how often each server is tried, the second time with more patience
READING = frozenset(("GET", "HEAD", "OPTIONS"))

T = TypeVar("T")


class RemoteResponse:
    """An answer from the network."""

    __slots__ = ("_response", "headers", "status")

    def __init__(self, response: ClientResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self._response = response

    async def read(self) -> bytes:
        """Return the whole body, or what is left of it."""
        try:
            return await self._response.read()
        except OSError as error:
            raise Unreachable(str(error)) from error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._response:
                yield chunk
        except OSError as error:
            raise Unreachable(str(error)) from error
        finally:
            self._response.close()

    async def close(self) -> None:
        """Give up the rest of the body."""
        self._response.close()


class Token:
    """A bearer token; one in a file is read again when the file has changed."""

    def __init__(self, token: str, file: str) -> None:
        self._token = token
        self._file = Path(file) if file else None
        self._read_at = 0

    def value(self) -> str:
        """Return the token as it is now, or ''."""
        if self._file is None:
            return self._token
        try:
            changed = self._file.stat().st_mtime_ns
            if changed != self._read_at:
                self._token = self._file.read_text(encoding="utf-8").strip()
                self._read_at = changed
        except OSError as error:
            if not self._token:
                raise Unreachable(f"cannot read the token {self._file}: {error}") from error
        return self._token


class TlsTransport:
    """Requests with the credentials of one configuration."""

    in_process = False

    def __init__(
        self, config: ClientConfig, *, servers: Servers | None = None, max_idle: int = 32
    ) -> None:
        """Describe the servers; nothing is connected yet.

        Args:
            config: who we are, and the server.
            servers: more than that one, shared with other transports.
            max_idle: how many connections to one server are kept for later.
        """
        self._config = config
        self._token = Token(config.token, config.token_file)
        self._servers = servers or Servers((config.server,))
        self._patience = CONNECT_TIMEOUT if servers is None else SHORT_TIMEOUT
        self._ssl = ssl_context(config)
        self._max_idle = max_idle
        self._https: dict[str, HttpClient] = {}
        self._fixed = _fixed_headers(config)
        self._client(config.server)  # a URL that is none should end the start, not a request

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> RemoteResponse:
        """Send a request and return the answer as soon as its head is there."""
        target = f"{path}?{query}" if query else path

        async def send(http: HttpClient) -> ClientResponse:
            return await http.request(
                method, target, self._headers(headers), body, timeout=HEAD_TIMEOUT
            )

        return RemoteResponse(await self._somewhere(send, repeatable=method in READING))

    async def upgrade(
        self,
        path: str,
        protocol: str,
        *,
        method: str = "GET",
        query: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Stream:
        """Ask to switch to a protocol and return the raw stream."""
        target = f"{path}?{query}" if query else path

        async def send(http: HttpClient) -> Stream:
            return await http.upgrade(
                target, protocol, self._headers(headers), method=method, timeout=HEAD_TIMEOUT
            )

        return await self._somewhere(send, repeatable=False)

    async def _somewhere(
        self, send: Callable[[HttpClient], Awaitable[T]], *, repeatable: bool
    ) -> T:
        """Send to the server whose turn it is, and on to the others while that does no harm."""
        left = len(self._servers) * (1 if len(self._servers) == 1 else ROUNDS)
        while True:
            server = self._servers.current
            http = self._client(server)
            try:
                answer = await send(http)
            except OSError as error:
                left -= 1
                self._servers.failed(server)
                if isinstance(error, ConnectTimeout):  # it is away, or this machine is busy
                    http.connect_timeout = min(2 * http.connect_timeout, CONNECT_TIMEOUT)
                if not left or not (repeatable or _not_done(error)):
                    raise Unreachable(f"{server}: {_why(error)}") from error
            else:
                http.connect_timeout = self._patience
                return answer

    def _client(self, server: str) -> HttpClient:
        http = self._https.get(server)
        if http is None:
            http = self._https[server] = HttpClient(
                server,
                ssl=self._ssl,
                server_hostname=self._config.server_name or None,
                connect_timeout=self._patience,
                max_idle=self._max_idle,
            )
        return http

    async def close(self) -> None:
        """Close all connections."""
        for http in self._https.values():
            await http.close()

    def _headers(self, headers: Mapping[str, str] | None) -> dict[str, str]:
        all_of_them = {**(headers or {}), **self._fixed}
        if token := self._token.value():
            all_of_them["authorization"] = f"Bearer {token}"
        return all_of_them


def _fixed_headers(config: ClientConfig) -> dict[str, str]:
    headers: dict[str, str] = {}
    if config.username:
        pair = base64.b64encode(f"{config.username}:{config.password}".encode()).decode()
        headers["authorization"] = f"Basic {pair}"
    if config.impersonate_user:
        headers["impersonate-user"] = config.impersonate_user
        if len(config.impersonate_groups) > 1:
            raise ConfigError("acting with more than one group is not supported")
        if config.impersonate_groups:
            headers["impersonate-group"] = config.impersonate_groups[0]
    return headers


def _not_done(error: OSError) -> bool:
    """Whether the server cannot have carried the request out."""
    if isinstance(error, NoAnswer):
        return error.unsent
    if isinstance(error, BrokenAnswer):
        return False
    return isinstance(error, ConnectTimeout) or not isinstance(error, TimeoutError)


def _why(error: OSError) -> str:
    return str(error) or type(error).__name__
