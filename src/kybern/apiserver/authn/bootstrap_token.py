"""Bootstrap tokens: a machine that joins shows one until it has a certificate.

In:   a bearer token `abcdef.0123456789abcdef`.
Out:  the User `system:bootstrap:abcdef` of the groups its Secret names.
By:   authn.chain, where the configuration allows it.

The Secret is looked at with each request, so that deleting it, or its expiry, ends the token.
"""

# msgspec resolves the annotations of Structs: they are not postponed in this file.

import hmac

import msgspec

from kybern.api.core import bootstrap_tokens as tokens
from kybern.apiserver.context import AUTHENTICATED, User
from kybern.lib import logs
from kybern.lib.clock import Clock
from kybern.store.objects import Store

KEYS = f"/registry/secrets/{tokens.NAMESPACE}/{tokens.PREFIX}"

log = logs.get("apiserver")


class _Meta(msgspec.Struct, gc=False):
    deletionTimestamp: str | None = None  # noqa: N815


class _Secret(msgspec.Struct, gc=False):
    """What is looked at in the Secret."""

    metadata: _Meta
    type: str = ""
    data: dict[str, str] | None = None


_decoder = msgspec.json.Decoder(_Secret)


class BootstrapTokens:
    """Recognises the tokens for which there are Secrets."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def user(self, token: str) -> User | None:
        """Return whom a token stands for now."""
        parts = tokens.split(token)
        entry = parts and self._store.get(KEYS + parts[0])
        if not parts or not entry:
            return None
        token_id, shown = parts
        secret = _decoder.decode(entry.held)
        data = secret.data
        if (
            secret.metadata.deletionTimestamp is not None
            or secret.type != tokens.TYPE
            or not hmac.compare_digest(tokens.value(data, tokens.SECRET).encode(), shown.encode())
            or tokens.value(data, tokens.ID) != token_id
            or tokens.expired(data, self._clock.now())
            or tokens.value(data, tokens.AUTHENTICATION) != "true"
        ):
            return None
        groups = tokens.groups(data)
        if groups is None:
            log.warning("a bootstrap token names groups it may not", token=token_id)
            return None
        return User(tokens.USER_PREFIX + token_id, (*groups, AUTHENTICATED))
