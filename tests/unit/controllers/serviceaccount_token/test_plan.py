"""What a Secret for a token lacks."""

from __future__ import annotations

import base64

from kybern.api.core.v1 import ObjectReference, Secret, ServiceAccount
from kybern.api.meta.v1 import ObjectMeta
from kybern.controllers.serviceaccount_token.plan import plan, without

ACCOUNT = ServiceAccount(metadata=ObjectMeta(name="robot", namespace="shop", uid="u1"))


def secret(**data):
    held = {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}
    name = {"kubernetes.io/service-account.name": "robot"}
    metadata = ObjectMeta(name="robot-token", namespace="shop", annotations=name)
    return Secret(metadata=metadata, data=held)


def text(secret):
    return {key: base64.b64decode(value).decode() for key, value in secret.data.items()}


def test_filled_once():
    signed = []

    def sign(claims):
        signed.append(claims)
        return "a.b.c"

    filled = plan(secret(own="kept"), ACCOUNT, "PEM", sign)
    assert text(filled) == {"own": "kept", "token": "a.b.c", "namespace": "shop", "ca.crt": "PEM"}
    assert filled.metadata.annotations == {
        "kubernetes.io/service-account.name": "robot",
        "kubernetes.io/service-account.uid": "u1",
    }
    assert signed == [{
        "iss": "kubernetes/serviceaccount",
        "sub": "system:serviceaccount:shop:robot",
        "kubernetes.io/serviceaccount/namespace": "shop",
        "kubernetes.io/serviceaccount/secret.name": "robot-token",
        "kubernetes.io/serviceaccount/service-account.name": "robot",
        "kubernetes.io/serviceaccount/service-account.uid": "u1",
    }]  # fmt: skip
    assert plan(filled, ACCOUNT, "PEM", sign) is None
    assert text(plan(filled, ACCOUNT, "NEW", sign))["ca.crt"] == "NEW"
    assert len(signed) == 1  # the token stays
    assert "ca.crt" not in text(plan(secret(), ACCOUNT, "", sign))


def test_references():
    refers = ServiceAccount(
        metadata=ACCOUNT.metadata,
        secrets=[ObjectReference(name="robot-token"), ObjectReference(name="pull")],
    )
    left = without(refers, "robot-token")
    assert [each.name for each in left.secrets] == ["pull"]
    assert without(left, "robot-token") is None
    assert len(refers.secrets) == 2
