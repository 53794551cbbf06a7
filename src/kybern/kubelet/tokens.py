"""Tokens with which pods speak to the API server, each bound to its pod.

In:   a Pod, an audience and a lifetime.
Out:  a token, and when it should be replaced.
By:   volumes/act.py, for projected serviceAccountToken sources.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kybern.api.authentication.v1 import BoundObjectReference, TokenRequest, TokenRequestSpec
from kybern.api.core.v1 import ServiceAccount
from kybern.lib.clock import parse_rfc3339

if TYPE_CHECKING:
    from kybern.api.core.v1 import Pod
    from kybern.client.rest import Client
    from kybern.lib.clock import Clock

USED_UP = 0.8  # share of its lifetime after which a token is replaced
OLDEST = 24 * 3600.0


class Token(NamedTuple):
    """A token; `refresh_at` is when to ask for the next one."""

    text: str
    refresh_at: float
    expires: str


class Tokens:
    """Asks for tokens, and keeps them until it is time to replace them."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._kept: dict[tuple[str, str, int], Token] = {}

    async def get(self, pod: Pod, audience: str, seconds: int) -> Token:
        """Return a token of the pod's service account."""
        key = (pod.metadata.uid or "", audience, seconds)
        kept = self._kept.get(key)
        if kept is None or kept.refresh_at <= self._clock.now():
            kept = self._kept[key] = await self._request(pod, audience, seconds)
        return kept

    def forget(self, uid: str) -> None:
        """Drop the tokens of a pod."""
        for key in [key for key in self._kept if key[0] == uid]:
            del self._kept[key]

    async def _request(self, pod: Pod, audience: str, seconds: int) -> Token:
        meta = pod.metadata
        request = TokenRequest(
            spec=TokenRequestSpec(
                audiences=[audience] if audience else [],
                expirationSeconds=seconds,
                boundObjectRef=BoundObjectReference(
                    kind="Pod", apiVersion="v1", name=meta.name, uid=meta.uid
                ),
            )
        )
        asked = self._clock.now()
        answer = await self._client.create_subresource(
            ServiceAccount,
            pod.spec.serviceAccountName or "default",
            meta.namespace or "",
            "token",
            request,
        )
        stamp = answer.status.expirationTimestamp or ""
        refresh_at = asked + min((parse_rfc3339(stamp) - asked) * USED_UP, OLDEST)
        return Token(answer.status.token or "", refresh_at, stamp)
