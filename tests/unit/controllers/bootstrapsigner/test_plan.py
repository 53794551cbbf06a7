"""Which signatures `cluster-info` carries."""

from __future__ import annotations

import base64

from kybern.api.core import bootstrap_tokens as tokens
from kybern.api.core.v1 import ConfigMap, Secret
from kybern.api.meta.v1 import ObjectMeta
from kybern.controllers.bootstrapsigner.plan import plan

SIGNATURE = "eyJhbGciOiJIUzI1NiIsImtpZCI6Impvc2h1YSJ9..VShe2taLd-YTrmWuRkcL_8QTNDHYxQIEBsAYYiIj1_8"


def info(**data):
    return ConfigMap(metadata=ObjectMeta(name="cluster-info"), data=data)


def token(name="abcdef", **more):
    values = {
        "token-id": name,
        "token-secret": "0123456789abcdef",
        "usage-bootstrap-signing": "true",
        **{key.replace("_", "-"): text for key, text in more.items()},
    }
    data = {key: base64.b64encode(text.encode()).decode() for key, text in values.items()}
    return Secret(metadata=ObjectMeta(name=tokens.PREFIX + name), data=data)


def signers(signed):
    found = sorted(signed.data.keys() - {"kubeconfig"})
    return [key.removeprefix(tokens.SIGNATURE) for key in found]


def test_a_signature_is_upstreams():
    content = "Hello from the other side. I must have called a thousand times."
    assert tokens.signature(content, "joshua", "my voice is my passcode") == SIGNATURE


def test_every_token_signs_and_twice_changes_nothing():
    secrets = [token("abcdef"), token("ghijkl", expiration="1970-01-01T00:02:00Z")]
    signed = plan(info(kubeconfig="text"), secrets, 100.0)
    assert signers(signed) == ["abcdef", "ghijkl"]
    assert signed.data["kubeconfig"] == "text"
    assert plan(signed, secrets, 100.0) is None
    assert signers(plan(signed, secrets, 120.0)) == ["abcdef"]
    assert signers(plan(signed, [], 100.0)) == []


def test_another_text_is_signed_anew():
    signed = plan(info(kubeconfig="text"), [token()], 0.0)
    changed = info(**signed.data | {"kubeconfig": "other"})
    again = plan(changed, [token()], 0.0)
    assert again.data["jws-kubeconfig-abcdef"] != signed.data["jws-kubeconfig-abcdef"]


def test_who_may_not_sign():
    for bad in (
        token(usage_bootstrap_signing="false"),
        token(token_id="ghijkl"),
        token(token_secret=""),
        token(expiration="never"),
        token("short"),
    ):
        assert plan(info(kubeconfig="text"), [bad], 0.0) is None
    assert plan(info(), [token()], 0.0) is None
