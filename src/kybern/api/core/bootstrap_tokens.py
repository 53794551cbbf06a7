"""Bootstrap tokens: with what a machine shows that it may join, before it has a certificate.

In:   `abcdef.0123456789abcdef`, and the data of a Secret `kube-system/bootstrap-token-abcdef`.
Out:  what the Secret allows, to whom, until when.
By:   apiserver.authn.bootstrap_token, the controllers bootstrapsigner and tokencleaner, whoever
      makes such a token.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from typing import TYPE_CHECKING

from kybern.lib.clock import parse_rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMESPACE = "kube-system"
TYPE = "bootstrap.kubernetes.io/token"
PREFIX = "bootstrap-token-"
USER_PREFIX = "system:bootstrap:"
GROUP = "system:bootstrappers"
ID, SECRET, EXPIRATION = "token-id", "token-secret", "expiration"
AUTHENTICATION, SIGNING = "usage-bootstrap-authentication", "usage-bootstrap-signing"
EXTRA_GROUPS = "auth-extra-groups"

INFO_NAMESPACE, INFO = "kube-public", "cluster-info"
"""The ConfigMap that tells a machine which joins where the cluster is and whom to trust."""
KUBECONFIG, SIGNATURE = "kubeconfig", "jws-kubeconfig-"
"""Its keys: what it says, and before the id of a token what that token says to it."""

_TOKEN = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")
_ID = re.compile(r"[a-z0-9]{6}")
_GROUP = re.compile(r"system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]")


def split(token: str) -> tuple[str, str] | None:
    """Return a token's id and secret; None for what is no bootstrap token."""
    match = _TOKEN.fullmatch(token)
    return None if match is None else (match[1], match[2])


def value(data: Mapping[str, str] | None, key: str) -> str:
    """Return what a Secret holds under a key, as text; "" when it holds nothing readable."""
    try:
        return base64.b64decode((data or {}).get(key, ""), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def expires(data: Mapping[str, str] | None) -> float | None:
    """Return when a token ends: None for never, 0 when its Secret says it unreadably."""
    text = value(data, EXPIRATION)
    if not text:
        return None
    try:
        return parse_rfc3339(text)
    except ValueError:
        return 0.0


def expired(data: Mapping[str, str] | None, now: float) -> bool:
    """Say whether a token has ended."""
    end = expires(data)
    return end is not None and end <= now


def groups(data: Mapping[str, str] | None) -> list[str] | None:
    """Return the groups of who shows the token; None when the Secret names one it may not."""
    extra = value(data, EXTRA_GROUPS)
    named = extra.split(",") if extra else []
    if not all(_GROUP.fullmatch(name) for name in named):
        return None
    return sorted({GROUP, *named})


def signing(name: str, data: Mapping[str, str] | None, now: float) -> tuple[str, str] | None:
    """Return id and secret of a token that may sign `cluster-info`; None for another."""
    token_id, secret = value(data, ID), value(data, SECRET)
    if not _ID.fullmatch(token_id) or name != PREFIX + token_id or not secret:
        return None
    if expired(data, now) or value(data, SIGNING) != "true":
        return None
    return token_id, secret


def signature(content: str, token_id: str, secret: str) -> str:
    """Return the detached JSON Web Signature (HS256, RFC 7515 appendix F) of a text."""
    header = _encode(f'{{"alg":"HS256","kid":"{token_id}"}}'.encode())
    signed = f"{header}.{_encode(content.encode())}".encode()
    return f"{header}..{_encode(hmac.digest(secret.encode(), signed, 'sha256'))}"


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
