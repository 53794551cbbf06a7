"""What a Secret for a service account's token lacks.

In:   the Secret, the account, the cluster's authority, a way to sign.
Out:  the Secret to write, or None; an account without a Secret that is gone.
By:   serviceaccount_token.controller. Pure.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from kybern.api import codec
from kybern.api.core import account_tokens as tokens

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.api.core.v1 import Secret, ServiceAccount


def plan(
    secret: Secret,
    account: ServiceAccount,
    root_ca: str,
    sign: Callable[[dict[str, Any]], str],
) -> Secret | None:
    """Return the Secret with the token, its namespace and the authority; None if it has them."""
    data = dict(secret.data or {})
    if root_ca:
        data[tokens.AUTHORITY] = _encoded(root_ca)
    if not data.get(tokens.NAMESPACE):
        data[tokens.NAMESPACE] = _encoded(secret.metadata.namespace or "")
    if not data.get(tokens.TOKEN):
        data[tokens.TOKEN] = _encoded(sign(tokens.claims(secret, account)))
    if data == secret.data:
        return None
    mine = codec.clone(secret)
    mine.data = data
    mine.metadata.annotations = {
        **(mine.metadata.annotations or {}),
        tokens.ACCOUNT_NAME: account.metadata.name or "",
        tokens.ACCOUNT_UID: account.metadata.uid or "",
    }
    return mine


def without(account: ServiceAccount, secret: str) -> ServiceAccount | None:
    """Return the account without its reference to a Secret; None if it has none."""
    kept = [each for each in account.secrets or () if each.name != secret]
    if len(kept) == len(account.secrets or ()):
        return None
    mine = codec.clone(account)
    mine.secrets = kept or None
    return mine


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
