"""Asking webhooks: a POST of JSON to a URL or a Service, over TLS.

In:   a WebhookClientConfig, a body, how long to wait.
Out:  the tree of the answer; CallFailed when there is none.
By:   admission.webhooks, custom.conversion.
"""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from kybern.apiserver.addresses import Address, Unresolved, find

if TYPE_CHECKING:
    from kybern.api.admissionregistration import v1 as admission
    from kybern.api.apiextensions import v1 as extensions
    from kybern.apiserver.context import Services
    from kybern.lib.http.client import HttpClient

    WebhookClientConfig = admission.WebhookClientConfig | extensions.WebhookClientConfig
    Tree = dict[str, Any]

LARGEST = 64 << 20  # bytes of an answer
KEPT = 256  # clients
TOO_LATE = "context deadline exceeded"


class CallFailed(Exception):
    """A webhook cannot be asked, or what it answered is no answer."""


class WebhookClient:
    """Asks webhooks; connections are kept."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._clients: dict[Any, HttpClient] = {}

    async def post(self, config: WebhookClientConfig, body: bytes, seconds: int) -> Tree:
        """Return what a webhook answers.

        Raises:
            CallFailed: nothing, too late, or no JSON object.
        """
        url = f"{_url(config)}?timeout={seconds}s"
        try:
            async with asyncio.timeout(seconds):
                return await self._post(config, body, seconds)
        except TimeoutError:
            told = TOO_LATE
        except OSError as error:
            told = str(error) or type(error).__name__
        raise CallFailed(f'failed to call webhook: Post "{url}": {told}')

    async def _post(self, config: WebhookClientConfig, body: bytes, seconds: int) -> Tree:
        try:
            client, path = self._way(config)
        except Unresolved as error:
            raise CallFailed(f"failed to call webhook: {error}") from None
        target = f"{path}{'&' if '?' in path else '?'}timeout={seconds}s"
        headers = {"Content-Type": "application/json", "Accept": "application/json, */*"}
        response = await client.request("POST", target, headers, body)
        data = await response.read(LARGEST)
        if not 200 <= response.status < 300:
            raise CallFailed(
                "failed to call webhook: the server responded with the status code "
                f"{response.status} but did not return more information"
            )
        try:
            tree = json.loads(data)
        except ValueError as error:
            raise CallFailed(f"failed to call webhook: couldn't read the answer: {error}") from None
        if not isinstance(tree, dict):
            raise CallFailed("failed to call webhook: the answer is no object")
        return tree

    def _way(self, config: WebhookClientConfig) -> tuple[HttpClient, str]:
        """Return a client, and the path to ask.

        Raises:
            Unresolved: the Service leads nowhere.
        """
        if config.url is not None:
            parts = urlsplit(config.url)
            address = Address(parts.hostname or "", parts.port or 443, parts.hostname or "")
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            return self._client(address, config.caBundle), path
        service = config.service
        assert service is not None
        found = find(self._services, service.namespace, service.name, service.port or 443)
        address = found[int(self._services.identities.fraction() * len(found))]
        return self._client(address, config.caBundle), service.path or "/"

    def _client(self, address: Address, bundle: str | None) -> HttpClient:
        key = (address, bundle)
        client = self._clients.get(key)
        if client is None:
            # Imported when the first webhook is asked: most servers have none.
            from kybern.lib import tls
            from kybern.lib.http.client import HttpClient

            if len(self._clients) >= KEPT:
                self._clients.clear()
            host = f"[{address.host}]" if ":" in address.host else address.host
            context = tls.client_context(base64.b64decode(bundle) if bundle else None)
            client = self._clients[key] = HttpClient(
                f"https://{host}:{address.port}",
                ssl=context,
                server_hostname=address.server_name,
                headers={"Host": address.server_name},
            )
        return client


def _url(config: WebhookClientConfig) -> str:
    """Return what messages call the webhook."""
    if config.url is not None:
        return config.url
    service = config.service
    assert service is not None
    path = service.path or "/"
    return f"https://{service.name}.{service.namespace}.svc:{service.port or 443}{path}"
