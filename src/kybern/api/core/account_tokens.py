"""Tokens of service accounts that live in Secrets: good without end, made only on request.

In:   a Secret of type `kubernetes.io/service-account-token`.
Out:  whose it is, what its token claims, when it was used.
By:   apiserver.authn.legacy_tokens, the controllers serviceaccount_token and
      serviceaccount_token_cleaner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.lib.clock import rfc3339

if TYPE_CHECKING:
    from kybern.api.core.v1 import Secret, ServiceAccount

TYPE = "kubernetes.io/service-account-token"
ACCOUNT_NAME = "kubernetes.io/service-account.name"
ACCOUNT_UID = "kubernetes.io/service-account.uid"
TOKEN, AUTHORITY, NAMESPACE = "token", "ca.crt", "namespace"

ISSUER = "kubernetes/serviceaccount"
CLAIM = "kubernetes.io/serviceaccount/"

LAST_USED = "kubernetes.io/legacy-token-last-used"
INVALID_SINCE = "kubernetes.io/legacy-token-invalid-since"
"""Labels with a date."""
TRACKING = "kube-apiserver-legacy-service-account-token-tracking"
"""The ConfigMap of kube-system that says, in `since`, from which day on uses are noted."""


def day(now: float) -> str:
    """Return the date (UTC), such as `2026-01-31`."""
    return rfc3339(now)[:10]


def account_of(secret: Secret) -> tuple[str, str]:
    """Return name and uid of the account; the uid may be ""."""
    annotations = secret.metadata.annotations or {}
    return annotations.get(ACCOUNT_NAME, ""), annotations.get(ACCOUNT_UID, "")


def belongs(secret: Secret, account: ServiceAccount | None) -> bool:
    """Say whether a Secret is this account's; any uid is good where the Secret names none."""
    name, uid = account_of(secret)
    if account is None or account.metadata.name != name:
        return False
    return not uid or account.metadata.uid == uid


def claims(secret: Secret, account: ServiceAccount) -> dict[str, Any]:
    """Return what the token says."""
    meta = account.metadata
    return {
        "iss": ISSUER,
        f"{CLAIM}namespace": meta.namespace,
        f"{CLAIM}secret.name": secret.metadata.name,
        f"{CLAIM}service-account.name": meta.name,
        f"{CLAIM}service-account.uid": meta.uid,
        "sub": f"system:serviceaccount:{meta.namespace}:{meta.name}",
    }
