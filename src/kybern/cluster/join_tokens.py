"""Bootstrap tokens of a cluster: made, listed, deleted.

In:   an administrator's client.
Out:  Secrets in kube-system, as kubeadm writes them.
By:   `kybern token`, `kybern up --nodes`.
"""

from __future__ import annotations

import base64
import secrets
import string
from typing import TYPE_CHECKING, NamedTuple

from kybern.api import errors
from kybern.api.core import bootstrap_tokens as tokens
from kybern.api.core.v1 import Secret
from kybern.api.meta.v1 import ObjectMeta
from kybern.lib.clock import rfc3339

if TYPE_CHECKING:
    from kybern.client.rest import Client

NODES = "system:bootstrappers:kubeadm:default-node-token"
"""The group whose members may ask for a node's certificate."""
HOUR = 3600.0
DESCRIPTION = "description"
_ALPHABET = string.ascii_lowercase + string.digits


class Token(NamedTuple):
    """One token, as `kybern token list` shows it."""

    token: str
    expires: float | None
    usages: tuple[str, ...]
    description: str
    groups: tuple[str, ...]


def invent() -> str:
    """Return a new token, known to nobody yet."""
    picked = [secrets.choice(_ALPHABET) for _ in range(22)]
    return f"{''.join(picked[:6])}.{''.join(picked[6:])}"


async def create(
    client: Client,
    token: str = "",
    *,
    ttl: float = 24 * HOUR,
    description: str = "",
    groups: tuple[str, ...] = (NODES,),
) -> Secret:
    """Let a token be shown, for `ttl` seconds or, with 0, for ever; return its Secret.

    Raises:
        AlreadyExists: there is a token of this id.
    """
    token_id, secret = tokens.split(token or invent()) or ("", "")
    data = {
        tokens.ID: token_id,
        tokens.SECRET: secret,
        tokens.AUTHENTICATION: "true",
        tokens.SIGNING: "true",
    }
    if groups:
        data[tokens.EXTRA_GROUPS] = ",".join(groups)
    if ttl:
        data[tokens.EXPIRATION] = rfc3339(client.clock.now() + ttl)
    if description:
        data[DESCRIPTION] = description
    metadata = ObjectMeta(name=tokens.PREFIX + token_id, namespace=tokens.NAMESPACE)
    encoded = {name: base64.b64encode(value.encode()).decode() for name, value in data.items()}
    return await client.create(Secret(metadata=metadata, type=tokens.TYPE, data=encoded))


def text(secret: Secret) -> str:
    """Return the token in a Secret."""
    return f"{tokens.value(secret.data, tokens.ID)}.{tokens.value(secret.data, tokens.SECRET)}"


async def listing(client: Client) -> list[Token]:
    """Return the tokens there are."""
    found, _ = await client.list(Secret, tokens.NAMESPACE, field_selector=f"type={tokens.TYPE}")
    return [_token(secret) for secret in found]


async def delete(client: Client, token: str) -> bool:
    """Delete a token, given whole or by its id; False when there is none."""
    name = tokens.PREFIX + token.partition(".")[0]
    try:
        await client.delete(Secret, name, tokens.NAMESPACE)
    except errors.NotFound:
        return False
    return True


def _token(secret: Secret) -> Token:
    data = secret.data
    named = (("authentication", tokens.AUTHENTICATION), ("signing", tokens.SIGNING))
    extra = tokens.value(data, tokens.EXTRA_GROUPS)
    return Token(
        text(secret),
        tokens.expires(data),
        tuple(usage for usage, key in named if tokens.value(data, key) == "true"),
        tokens.value(data, DESCRIPTION),
        tuple(extra.split(",")) if extra else (),
    )
