"""Which unused tokens go."""

from __future__ import annotations

import pytest

from kybern.api.core.v1 import ObjectReference, Secret, ServiceAccount
from kybern.api.meta.v1 import ObjectMeta
from kybern.controllers.serviceaccount_token_cleaner.plan import (
    Verdict,
    judge,
    tracked_long_enough,
)
from kybern.lib.clock import parse_rfc3339

NOW = parse_rfc3339("2026-06-15T12:00:00Z")
YEAR = 365 * 86400.0
LAST, INVALID = "kubernetes.io/legacy-token-last-used", "kubernetes.io/legacy-token-invalid-since"


def secret(made="2024-01-01T00:00:00Z", uid="u1", **labels):
    names = {"last": LAST, "invalid": INVALID}
    return Secret(
        metadata=ObjectMeta(
            name="t", namespace="shop", creationTimestamp=made,
            labels={names[key]: value for key, value in labels.items()},
            annotations={
                "kubernetes.io/service-account.name": "robot",
                "kubernetes.io/service-account.uid": uid,
            },
        )
    )  # fmt: skip


def account(*secrets):
    return ServiceAccount(
        metadata=ObjectMeta(name="robot", namespace="shop", uid="u1"),
        secrets=[ObjectReference(name=name) for name in secrets],
    )


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (secret(), Verdict.MARK),
        (secret(last="2025-06-14"), Verdict.MARK),
        (secret(last="2025-06-15"), Verdict.KEEP),
        (secret(last="long ago"), Verdict.KEEP),
        (secret(made="2025-06-15T12:00:00Z"), Verdict.KEEP),
        (secret(uid="u0"), Verdict.KEEP),
        (secret(invalid="2025-06-14"), Verdict.DELETE),
        (secret(invalid="2025-06-15"), Verdict.KEEP),
        (secret(invalid="yes"), Verdict.MARK),
    ],
)
def test_judged(found, verdict):
    assert judge(found, account("t"), (), NOW, YEAR) is verdict


def test_what_is_needed_or_was_made_by_hand_stays():
    assert judge(secret(), account("t"), ("t",), NOW, YEAR) is Verdict.KEEP
    assert judge(secret(), account("other"), (), NOW, YEAR) is Verdict.KEEP
    assert judge(secret(), None, (), NOW, YEAR) is Verdict.KEEP


def test_uses_have_to_be_known():
    assert not tracked_long_enough("2025-06-15", NOW, YEAR)
    assert tracked_long_enough("2025-06-14", NOW, YEAR)
    with pytest.raises(ValueError, match="not a date"):
        tracked_long_enough("", NOW, YEAR)
