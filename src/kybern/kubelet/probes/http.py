"""One HTTP request to a container, as probes and lifecycle hooks make it.

In:   address, path, headers, a time limit.
Out:  the status code; or Unanswered, in the words a Go client would use.
By:   probes/ask.py, pods/hooks.py.

The connection is closed afterwards, certificates are not checked, and a redirect is followed only
on the same host.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urljoin, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.api.core.v1 import HTTPGetAction, HTTPHeader

HEAD_LIMIT = 64 << 10
REDIRECTS = 10


class Unanswered(Exception):
    """No answer came; `str()` says why."""


class Address(NamedTuple):
    """Where to ask."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """Host and port as a URL has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The whole URL."""
        return f"{self.scheme}://{self.authority}{self.path}"


def address_of(action: HTTPGetAction, default_host: str, port: int) -> Address:
    """Return the address an httpGet action names."""
    path = action.path or "/"
    return Address(
        (action.scheme or "HTTP").lower(),
        action.host or default_host,
        port,
        path if path.startswith("/") else f"/{path}",
    )


async def get(
    address: Address, headers: Iterable[HTTPHeader], user_agent: str, seconds: float
) -> int:
    """Make a GET request and return the status code, redirects on the same host followed.

    Raises:
        Unanswered: there was no answer in time, or none that is HTTP.
    """
    try:
        async with asyncio.timeout(seconds):
            for _ in range(REDIRECTS):
                status, location = await _get_once(address, headers, user_agent)
                if status not in (301, 302, 303, 307, 308) or not location:
                    return status
                target = urlsplit(urljoin(address.url, location))
                if target.hostname != address.host:
                    return status
                port = target.port or (443 if target.scheme == "https" else 80)
                path = target.path + (f"?{target.query}" if target.query else "")
                address = Address(target.scheme, target.hostname, port, path or "/")
    except TimeoutError:
        raise Unanswered(
            f'Get "{address.url}": context deadline exceeded '
            "(Client.Timeout exceeded while awaiting headers)"
        ) from None
    raise Unanswered(f'Get "{address.url}": stopped after {REDIRECTS} redirects')


async def connect(
    host: str, port: int, tls: ssl.SSLContext | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection.

    Raises:
        Unanswered: nobody takes it.
    """
    try:
        return await asyncio.open_connection(host, port, ssl=tls, limit=HEAD_LIMIT)
    except ConnectionRefusedError:
        why = "connect: connection refused"
    except ssl.SSLError as error:
        why = f"tls: {error.reason or error}"
    except OSError as error:
        why = f"connect: {(error.strerror or str(error)).lower()}"
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    raise Unanswered(f"dial tcp {where}: {why}")


async def _get_once(
    address: Address, headers: Iterable[HTTPHeader], user_agent: str
) -> tuple[int, str]:
    try:
        tls = _unchecked_tls() if address.scheme == "https" else None
        reader, writer = await connect(address.host, address.port, tls)
        try:
            writer.write(_request(address, headers, user_agent))
            head = await reader.readuntil(b"\r\n\r\n")
        finally:
            writer.close()
    except Unanswered as error:
        raise Unanswered(f'Get "{address.url}": {error}') from None
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
        raise Unanswered(f'Get "{address.url}": EOF') from None
    return _parse(address, head)


def _request(address: Address, headers: Iterable[HTTPHeader], user_agent: str) -> bytes:
    fields = {"Host": address.authority, "User-Agent": user_agent, "Accept": "*/*"}
    known = {name.lower(): name for name in fields}
    for header in headers:
        name = known.get(header.name.lower(), header.name)
        if header.value or name not in fields:
            fields[name] = header.value
        elif name == "Accept":
            del fields[name]  # an empty Accept means none at all
    lines = [f"GET {address.path} HTTP/1.1", *(f"{k}: {v}" for k, v in fields.items())]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1", "replace")


def _parse(address: Address, head: bytes) -> tuple[int, str]:
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].isdigit():
        raise Unanswered(
            f'Get "{address.url}": net/http: HTTP/1.x transport connection broken: '
            f'malformed HTTP response "{lines[0]}"'
        )
    location = ""
    for line in lines[1:]:
        name, _, value = line.partition(":")
        if name.lower() == "location":
            location = value.strip()
    return int(words[1]), location


def _unchecked_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
