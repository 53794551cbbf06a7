"""The transport to an API server elsewhere, over TLS (or plain HTTP, where the URL says so).

In:   a `ClientConfig`.
Out:  answers from the network; every failure of the connection is `Unreachable`.
By:   every component that runs apart from the API server; the CLI.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING

from kybern.client.config import ConfigError, ssl_context
from kybern.client.transport import Unreachable
from kybern.lib.http.client import HttpClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from kybern.client.config import ClientConfig
    from kybern.lib.http.client import ClientResponse
    from kybern.lib.http.stream import Stream

HEAD_TIMEOUT = 65.0  # a server ends short requests after 60 seconds by itself


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
    """Requests to one server, with the credentials of one configuration."""

    in_process = False

    def __init__(self, config: ClientConfig, *, max_idle: int = 32) -> None:
        self._config = config
        self._token = Token(config.token, config.token_file)
        self._http = HttpClient(
            config.server,
            ssl=ssl_context(config),
            server_hostname=config.server_name or None,
            max_idle=max_idle,
        )
        self._fixed = _fixed_headers(config)

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
        try:
            response = await self._http.request(
                method, target, self._headers(headers), body, timeout=HEAD_TIMEOUT
            )
        except OSError as error:
            raise Unreachable(f"{self._config.server}: {_why(error)}") from error
        return RemoteResponse(response)

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
        try:
            return await self._http.upgrade(
                target, protocol, self._headers(headers), method=method, timeout=HEAD_TIMEOUT
            )
        except OSError as error:
            raise Unreachable(f"{self._config.server}: {_why(error)}") from error

    async def close(self) -> None:
        """Close all connections."""
        await self._http.close()

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


def _why(error: OSError) -> str:
    return str(error) or type(error).__name__
