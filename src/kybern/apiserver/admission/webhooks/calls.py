"""Asking one webhook.

In:   a Hook, and the Subject of a request.
Out:  its Answer; `Refused` when it says no, `CallFailed` when it cannot be asked.
By:   mutating, validating. Facts: upstream's `admission/plugin/webhook/{request,generic}`, KEP 492.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from kybern.api import codec, errors
from kybern.apiserver.webhook_client import CallFailed, WebhookClient
from kybern.lib import logs

if TYPE_CHECKING:
    from kybern.apiserver.admission.policies.subjects import Subject
    from kybern.apiserver.admission.webhooks.hooks import Hook
    from kybern.apiserver.context import Services

    Tree = dict[str, Any]

log = logs.get("apiserver.webhooks")

VERSIONS = ("v1", "v1beta1")


class Refused(errors.ApiError):
    """A webhook said no; code and text are its own."""


class Answer(NamedTuple):
    """What a webhook that said yes wants besides."""

    patch: list[Any] | None
    warnings: list[str]


class Caller:
    """Asks webhooks about requests."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._client = WebhookClient(services)

    async def ask(self, hook: Hook, subject: Subject) -> Answer:
        """Ask one webhook.

        Raises:
            Refused: it said no.
            CallFailed: it cannot be asked.
        """
        version = next((v for v in hook.spec.admissionReviewVersions if v in VERSIONS), "")
        uid = self._services.identities.uid()
        body = codec.encode(_review(subject, uid, version))
        tree = await self._client.post(hook.spec.clientConfig, body, hook.timeout)
        return _answer(hook, subject, tree, uid, version)


def _review(subject: Subject, uid: str, version: str) -> Tree:
    asked = {"uid": uid, **subject["request"]}
    for name in ("object", "oldObject"):
        if (shown := subject[name]) is not None:
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
