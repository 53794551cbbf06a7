"""Asking one webhook.

In:   a Hook, and the Subject of a request.
Out:  its Answer; `Refused` when it says no, `CallFailed` when it cannot be asked.
By:   mutating, validating. Facts: upstream's `admission/plugin/webhook/{request,generic}`, KEP 492.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from kybern.api import codec, errors
from kybern.apiserver.addresses import Address, Unresolved, find
from kybern.lib import logs

if TYPE_CHECKING:
    from kybern.api.admissionregistration.v1 import WebhookClientConfig
    from kybern.apiserver.admission.policies.subjects import Subject
    from kybern.apiserver.admission.webhooks.hooks import Hook
    from kybern.apiserver.context import Services
    from kybern.lib.http.client import HttpClient

    Tree = dict[str, Any]

log = logs.get("apiserver.webhooks")

VERSIONS = ("v1", "v1beta1")
LARGEST = 3 << 20  # bytes of an answer
KEPT = 256  # clients
TOO_LATE = "context deadline exceeded"


class Refused(errors.ApiError):
    """A webhook said no; code and text are its own."""


class CallFailed(Exception):
    """A webhook cannot be asked, or what it answered is no answer."""


class Answer(NamedTuple):
    """What a webhook that said yes wants besides."""

    patch: list[Any] | None
    warnings: list[str]


class Caller:
    """Asks webhooks; connections are kept."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._clients: dict[Any, HttpClient] = {}

    async def ask(self, hook: Hook, subject: Subject) -> Answer:
        """Ask one webhook.

        Raises:
            Refused: it said no.
            CallFailed: it cannot be asked.
        """
        version = next((v for v in hook.spec.admissionReviewVersions if v in VERSIONS), "")
        uid = self._services.identities.uid()
        body = codec.encode(_review(subject, uid, version))
        try:
            async with asyncio.timeout(hook.timeout):
                tree = await self._post(hook, body)
        except TimeoutError:
            config, where = hook.spec.clientConfig, ""
            if config.url is not None:
                where = config.url
            elif config.service is not None:
                where = _url(config)
            told = f'failed to call webhook: Post "{where}?timeout={hook.timeout}s": {TOO_LATE}'
            raise CallFailed(told) from None
        return _answer(hook, subject, tree, uid, version)

    async def _post(self, hook: Hook, body: bytes) -> Tree:
        config = hook.spec.clientConfig
        try:
            client, path, url = self._way(config)
        except Unresolved as error:
            raise CallFailed(f"failed to call webhook: {error}") from None
        target = f"{path}{'&' if '?' in path else '?'}timeout={hook.timeout}s"
        headers = {"Content-Type": "application/json", "Accept": "application/json, */*"}
        try:
            response = await client.request("POST", target, headers, body)
            data = await response.read(LARGEST)
        except TimeoutError:
            raise
        except OSError as error:
            told = str(error) or type(error).__name__
            raise CallFailed(
                f'failed to call webhook: Post "{url}?timeout={hook.timeout}s": {told}'
            ) from None
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

    def _way(self, config: WebhookClientConfig) -> tuple[HttpClient, str, str]:
        """Return a client, the path to ask, and what messages call the two.

        Raises:
            Unresolved: the Service leads nowhere.
        """
        if config.url is not None:
            parts = urlsplit(config.url)
            address = Address(parts.hostname or "", parts.port or 443, parts.hostname or "")
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            return self._client(address, config.caBundle), path, config.url
        service = config.service
        assert service is not None
        port = service.port or 443
        found = find(self._services, service.namespace, service.name, port)
        address = found[int(self._services.identities.fraction() * len(found))]
        return self._client(address, config.caBundle), service.path or "/", _url(config)

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
    service = config.service
    assert service is not None
    path = service.path or "/"
    return f"https://{service.name}.{service.namespace}.svc:{service.port or 443}{path}"


def _review(subject: Subject, uid: str, version: str) -> Tree:
    asked = {"uid": uid, **subject["request"]}
    for name, key in (("object", "object"), ("oldObject", "oldObject")):
        if (shown := subject[key]) is not None:
            asked[name] = shown
    return {
        "kind": "AdmissionReview", "apiVersion": f"admission.k8s.io/{version}", "request": asked,
    }  # fmt: skip


def _answer(hook: Hook, subject: Subject, tree: Tree, uid: str, version: str) -> Answer:
    """Read a webhook's answer.

    Raises:
        Refused, CallFailed.
    """
    response = tree.get("response")
    if not isinstance(response, dict):
        raise CallFailed("webhook response was absent")
    if version == "v1":
        wanted = f"admission.k8s.io/{version}"
        if (tree.get("apiVersion"), tree.get("kind")) != (wanted, "AdmissionReview"):
            told = f"{tree.get('apiVersion') or ''}, Kind={tree.get('kind') or ''}"
            raise CallFailed(
                f"expected webhook response of {wanted}, Kind=AdmissionReview, got {told}"
            )
        if response.get("uid") != uid:
            got = response.get("uid") or ""
            raise CallFailed(f'expected response.uid="{uid}", got "{got}"')
    warnings = [str(each) for each in response.get("warnings") or ()]
    for key, value in (response.get("auditAnnotations") or {}).items():
        log.info("audit annotation", key=f"{hook.name}/{key}", value=value)
    if not response.get("allowed"):
        for text in warnings:
            subject.review.ctx.warn(text)
        raise _refusal(hook.name, response.get("status") or response.get("result") or {})
    return Answer(_patch(response, version), warnings)


def _refusal(name: str, status: Tree) -> Refused:
    denied = f'admission webhook "{name}" denied the request'
    message, reason = status.get("message") or "", status.get("reason") or ""
    why = message or reason
    text = f"{denied}: {why}" if why else f"{denied} without explanation"
    refused = Refused(text, status.get("details") or {})
    refused.code = max(int(status.get("code") or 0), 400)
    refused.reason = reason
    return refused


def _patch(response: Tree, version: str) -> list[Any] | None:
    text, kind = response.get("patch"), response.get("patchType")
    if not text:
        if kind and version == "v1":
            raise CallFailed("webhook returned response.patchType but not response.patch")
        return None
    if version == "v1" and not kind:
        raise CallFailed("webhook returned response.patch but not response.patchType")
    if kind not in (None, "JSONPatch"):
        raise CallFailed(f'webhook returned invalid response.patchType of "{kind}"')
    try:
        patch = json.loads(base64.b64decode(text, validate=True))
    except (ValueError, binascii.Error) as error:
        raise CallFailed(f"webhook returned an unreadable response.patch: {error}") from None
    if not isinstance(patch, list):
        raise CallFailed("webhook returned a response.patch that is no list of operations")
    return patch
