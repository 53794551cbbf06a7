"""Tokens of service accounts that live in a Secret.

In:   the claims of a token that one of our keys signed; the Secret it came from.
Out:  whom it stands for; a note in the Secret on which day it was last used.
By:   authn.service_accounts.

Such a token never expires. It is good as long as the Secret holds it, the account is the same, and
nobody marked the Secret.
"""

# msgspec resolves the annotations of Structs: they are not postponed in this file.

import base64
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import msgspec

from kybern.api.core import account_tokens as tokens
from kybern.lib import logs
from kybern.lib.channels import Channel, Overflow
from kybern.lib.clock import Clock
from kybern.store.interface import Entry
from kybern.store.objects import Store

KEPT = 4096
UNWRITTEN = 1000
SECRETS = "/registry/secrets/"

log = logs.get("apiserver")


class Claimed(NamedTuple):
    """What such a token says."""

    namespace: str
    account: str
    uid: str
    secret: str


class _Meta(msgspec.Struct, gc=False):
    labels: dict[str, str] | None = None
    deletionTimestamp: str | None = None  # noqa: N815


class _Secret(msgspec.Struct, gc=False):
    """What is looked at in the Secret."""

    metadata: _Meta
    data: dict[str, str] | None = None


_decoder = msgspec.json.Decoder(_Secret)


def read(claims: dict[str, Any]) -> Claimed | None:
    """Return what the claims say, if they say all of it and agree with each other."""
    names = ("namespace", "service-account.name", "service-account.uid", "secret.name")
    found = Claimed(*(str(claims.get(tokens.CLAIM + name) or "") for name in names))
    subject = f"system:serviceaccount:{found.namespace}:{found.account}"
    return found if all(found) and claims.get("sub") == subject else None


class LegacyTokens:
    """Judges them against their Secrets, and notes when they are used."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._judged: dict[str, tuple[Entry, _Secret]] = {}
        self._used: Channel[str] = Channel(UNWRITTEN, Overflow.DROP_NEWEST)
        self._noting: set[str] = set()

    def good(self, claimed: Claimed, token: str) -> bool:
        """Say whether the Secret is there, still holds the token, and is not marked."""
        key = f"{SECRETS}{claimed.namespace}/{claimed.secret}"
        entry = self._store.get(key)
        if entry is None:
            return False
        secret = self._look(key, entry)
        meta, held = secret.metadata, (secret.data or {}).get(tokens.TOKEN, "")
        if meta.deletionTimestamp is not None or base64.b64decode(held) != token.encode():
            return False
        labels = meta.labels or {}
        if labels.get(tokens.INVALID_SINCE):
            log.warning(
                "a token was used that is marked as no longer good: take one from the TokenRequest"
                " API, or remove the label from its Secret for now",
                label=tokens.INVALID_SINCE,
                namespace=claimed.namespace,
                secret=claimed.secret,
                account=claimed.account,
            )
            return False
        if labels.get(tokens.LAST_USED) != tokens.day(self._clock.now()):
            self._note(key)
        return True

    async def track(self, label: Callable[[str, str, dict[str, str]], Awaitable[None]]) -> None:
        """Write down uses, for ever; `label` puts labels on a Secret."""
        async for key in self._used:
            namespace, name = key.removeprefix(SECRETS).split("/")
            try:
                await label(namespace, name, {tokens.LAST_USED: tokens.day(self._clock.now())})
            finally:
                self._noting.discard(key)

    def _note(self, key: str) -> None:
        if key not in self._noting and self._used.try_send(key):
            self._noting.add(key)

    def _look(self, key: str, entry: Entry) -> _Secret:
        known = self._judged.get(key)
        if known is not None and known[0] is entry:
            return known[1]
        secret = _decoder.decode(entry.held)
        if len(self._judged) >= KEPT:
            self._judged.clear()
        self._judged[key] = (entry, secret)
        return secret
