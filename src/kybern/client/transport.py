"""Carrying a request to an API server, and its answer back.

In:   method, path, query, headers, body.
Out:  status, headers, and a body that can be read whole or as it comes.
By:   client.rest.

Two ways: over TLS to any server, or straight into an application of this process. Both keep the
promises of `Transport`, and tests/contracts/test_transport.py holds them to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from kybern.lib.http.client import UpgradeRefused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from kybern.lib.http.stream import Stream


__all__ = [
    "MASTER",
    "Identity",
    "Transport",
    "TransportResponse",
    "Unreachable",
    "UpgradeRefused",
    "service_account",
]


class Unreachable(ConnectionError):
    """The server could not be reached, or the connection broke before the answer was complete.

    A request that failed so may or may not have been carried out.
    """


class TransportResponse(Protocol):
    """An answer whose body may still be on its way."""

    @property
    def status(self) -> int:
        """The HTTP status code."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, with lower-case names."""

    async def read(self) -> bytes:
        """Return the whole body, or what is left of it.

        Raises:
            Unreachable: the connection broke before the end.
        """

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate over pieces of the body as they come; the end of them is the body's end.

        Raises:
            Unreachable: the connection broke before the end.
        """

    async def close(self) -> None:
        """Give up the rest of the body; the server learns that nobody reads. May be repeated."""


class Transport(Protocol):
    """A way to one API server, as one identity; usable by many tasks at once."""

    @property
    def in_process(self) -> bool:
        """Whether the server runs in this process, so that bytes cost nothing."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> TransportResponse:
        """Send a request and return the answer as soon as its head is there.

        An answer with a body must be read to its end or closed. Whatever the status, this returns.
        Cancelling the caller gives the request up.

        Raises:
            Unreachable: there is no server, or the connection broke.
        """

    async def upgrade(
        self,
        path: str,
        protocol: str,
        *,
        method: str = "GET",
        query: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Stream:
        """Ask to switch to a protocol and return the raw stream; it must be closed.

        The stream's `headers` are those of the answer.

        Raises:
            Unreachable: as for `request`.
            UpgradeRefused: the server answered with something else than 101.
        """

    async def close(self) -> None:
        """Close idle connections and those in use."""


class Identity(NamedTuple):
    """Who calls, where the server takes the word of its own process for it."""

    name: str
    groups: tuple[str, ...] = ()


MASTER = Identity("kybern", ("system:masters", "system:authenticated"))


def service_account(namespace: str, name: str) -> Identity:
    """Return the identity a service account's token would prove."""
    return Identity(
        f"system:serviceaccount:{namespace}:{name}",
        ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"),
    )
