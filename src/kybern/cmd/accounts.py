"""Each controller speaks as its own service account, with a token it asks for.

In:   a client that may make tokens (the controller manager's own), and names of accounts.
Out:  clients whose requests carry the account's token, renewed before it ends.
By:   the entry point of the controller manager, as upstream's `--use-service-account-credentials`.

All accounts share one set of connections, which carry no client certificate.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from kybern.api.authentication.v1 import TokenRequest, TokenRequestSpec
from kybern.api.core.v1 import ServiceAccount
from kybern.api.errors import AlreadyExists, ApiError, NotFound
from kybern.api.meta.v1 import ObjectMeta
from kybern.client.rest import Client
from kybern.client.tls import TlsTransport
from kybern.client.transport import Unreachable
from kybern.lib.clock import parse_rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kybern.client.config import ClientConfig
    from kybern.client.transport import TransportResponse
    from kybern.lib.http.stream import Stream

NAMESPACE = "kube-system"
LIFETIME = 3600
USED_UP = 0.8  # share of its lifetime after which a token is replaced


class Accounts:
    """Clients by account."""

    def __init__(self, main: Client, config: ClientConfig, user_agent: str) -> None:
        self._main = main
        self._user_agent = user_agent
        nobody = replace(config, certificate=b"", key=b"", token="", token_file="")
        self._transport = TlsTransport(nobody)

    def client(self, account: str) -> Client:
        """Return the API server, as seen by a service account of kube-system."""
        transport = AccountTransport(self._transport, self._main, account)
        return Client(transport, self._main.clock, user_agent=f"{self._user_agent}/{account}")

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()


class AccountTransport:
    """Requests with the token of one account."""

    in_process = False

    def __init__(self, transport: TlsTransport, main: Client, account: str) -> None:
        self._transport = transport
        self._main = main
        self._account = account
        self._token = ""
        self._refresh_at = 0.0
        self._asking = asyncio.Lock()

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> TransportResponse:
        """Send a request; a token that is no longer good is forgotten for the next one."""
        headers = {**(headers or {}), "authorization": f"Bearer {await self._valid()}"}
        response = await self._transport.request(
            method, path, query=query, headers=headers, body=body
        )
        if response.status == 401:
            self._refresh_at = 0.0
        return response

    async def upgrade(
        self,
        path: str,
        protocol: str,
        *,
        method: str = "GET",
        query: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Stream:
        """Ask to switch to a protocol."""
        headers = {**(headers or {}), "authorization": f"Bearer {await self._valid()}"}
        return await self._transport.upgrade(
            path, protocol, method=method, query=query, headers=headers
        )

    async def close(self) -> None:
        """Do nothing: the connections are everybody's."""

    async def _valid(self) -> str:
        clock = self._main.clock
        if clock.now() < self._refresh_at:
            return self._token
        async with self._asking:
            if clock.now() >= self._refresh_at:
                try:
                    self._token, self._refresh_at = await self._ask()
                except ApiError as error:
                    why = f"no token for {NAMESPACE}/{self._account}: {error}"
                    raise Unreachable(why) from error
        return self._token

    async def _ask(self) -> tuple[str, float]:
        """Ask for a token, and make the account where there is none yet."""
        request = TokenRequest(spec=TokenRequestSpec(audiences=[], expirationSeconds=LIFETIME))
        asked = self._main.clock.now()
        try:
            answer = await self._request(request)
        except NotFound:
            metadata = ObjectMeta(name=self._account, namespace=NAMESPACE)
            with contextlib.suppress(AlreadyExists):
                await self._main.create(ServiceAccount(metadata=metadata))
            answer = await self._request(request)
        until = parse_rfc3339(answer.status.expirationTimestamp or "")
        return answer.status.token or "", asked + (until - asked) * USED_UP

    async def _request(self, request: TokenRequest) -> TokenRequest:
        return await self._main.create_subresource(
            ServiceAccount, self._account, NAMESPACE, "token", request
        )
