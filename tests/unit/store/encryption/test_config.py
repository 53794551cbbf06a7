"""The file: what is accepted, and what is said about what is not."""

from __future__ import annotations

import base64

import pytest

from kybern.store.encryption.config import ConfigError, load, parse

KEY = base64.b64encode(bytes(32)).decode()
HEAD = "kind: EncryptionConfiguration\napiVersion: apiserver.config.k8s.io/v1\n"


def group(resources, *providers):
    return {"resources": resources, "providers": list(providers)}


def keys(*pairs):
    return {"keys": [{"name": name, "secret": secret} for name, secret in pairs]}


def read(*groups):
    import msgspec

    tree = {
        "kind": "EncryptionConfiguration", "apiVersion": "apiserver.config.k8s.io/v1",
        "resources": list(groups),
    }  # fmt: skip
    return parse(msgspec.yaml.encode(tree))


def refused(*groups):
    with pytest.raises(ConfigError) as caught:
        read(*groups)
    return str(caught.value)


SECRETBOX = {"secretbox": keys(("k", KEY))}


def test_upstreams_example():
    rules = parse(
        (
            HEAD
            + f"""
resources:
  - resources: [secrets, configmaps, pandas.awesome.bears.example]
    providers:
      - identity: {{}}
      - aesgcm: {{keys: [{{name: key1, secret: c2VjcmV0IGlzIHNlY3VyZQ==}}]}}
      - aescbc: {{keys: [{{name: key1, secret: {KEY}}}, {{name: key2, secret: {KEY}}}]}}
      - secretbox: {{keys: [{{name: key1, secret: {KEY}}}]}}
  - resources: [events]
    providers: [identity: {{}}]
  - resources: ['*.apps']
    providers: [aescbc: {{keys: [{{name: key2, secret: {KEY}}}]}}]
  - resources: ['*.*']
    providers: [aescbc: {{keys: [{{name: key3, secret: {KEY}}}]}}]
"""
        ).encode()
    )

    def writers(key):
        return [cipher.prefix for cipher in rules.ciphers(key)]

    assert writers("/registry/secrets/default/x") == [
        b"", b"k8s:enc:aesgcm:v1:key1:", b"k8s:enc:aescbc:v1:key1:", b"k8s:enc:aescbc:v1:key2:",
        b"k8s:enc:secretbox:v1:key1:",
    ]  # fmt: skip
    assert writers("/registry/events/default/x") == [b""]
    assert writers("/registry/deployments/default/x") == [b"k8s:enc:aescbc:v1:key2:"]
    assert len(writers("/registry/awesome.bears.example/pandas/default/x")) == 5
    assert writers("/registry/pods/default/x") == [b"k8s:enc:aescbc:v1:key3:"]
    assert writers("/registry/ranges/serviceips") == [b""]


@pytest.mark.parametrize(
    ("groups", "problem"),
    [
        ((), "resources: Required value: at least one resources is required"),
        ((group([], SECRETBOX),),
         "resources[0].resources: Required value: at least one resources[0].resources is required"),
        ((group(["secrets"]),),
         "resources[0].providers: Required value: at least one resources[0].providers is required"),
        ((group(["secrets", "secrets"], SECRETBOX),),
         "the same resource cannot be specified multiple times"),
        ((group(["secrets", "*."], SECRETBOX),), "they will be masked"),
        ((group(["secrets", "*.*"], SECRETBOX),), "they will be masked"),
        ((group(["Secrets"], SECRETBOX),), "should not contain capital letters"),
        ((group(["*"], SECRETBOX),), "use '*.' to encrypt all the resources from core API group"),
        ((group(["apiserveripinfo"], SECRETBOX),), "do not have REST API/s"),
        ((group(["events.events.k8s.io"], SECRETBOX),), "Use 'events' instead"),
        ((group(["ingresses.extensions"], SECRETBOX),), "'extensions' group has been removed"),
        ((group(["secrets.*"], SECRETBOX),), "across groups is not supported"),
        ((group(["secrets"], {}),), "does not contain any of the expected providers"),
        ((group(["secrets"], SECRETBOX | {"identity": {}}),), "more than one provider specified"),
        ((group(["secrets"], {"aesgcm": keys()}),),
         "resources[0].providers[0].aesgcm.keys: Required value: at least one keys is required"),
        ((group(["secrets"], {"aescbc": keys(("", KEY))}),),
         "keys[0].name: Required value: name is a mandatory field for a key"),
        ((group(["secrets"], {"aescbc": keys(("k", ""))}),),
         "keys[0].secret: Required value: secret is a mandatory field for a key"),
        ((group(["secrets"], {"aescbc": keys(("k", "not base64"))}),),
         'keys[0].secret: Invalid value: "REDACTED": secrets must be base64 encoded'),
        ((group(["secrets"], {"secretbox": keys(("k", "c2VjcmV0IGlzIHNlY3VyZQ=="))}),),
         'Invalid value: "REDACTED": secret is not of the expected length, got 16, expected one of '
         "[32]"),
        ((group(["secrets"], {"kms": {"name": "vault", "apiVersion": "v2"}}),),
         "resources[0].providers[0].kms: Forbidden: kms is not supported"),
        ((group(["secrets"], {"rot13": {}}),), "rot13"),
    ],
)  # fmt: skip
def test_refused(groups, problem):
    assert problem in refused(*groups)


def test_what_is_no_configuration(tmp_path):
    file = tmp_path / "encryption.yaml"
    with pytest.raises(ConfigError, match="cannot read .*: No such file"):
        load(file)
    for text in ("kind: Pod\napiVersion: v1\nresources: []", "a: [", "[]", HEAD + "kind: x"):
        file.write_text(text)
        with pytest.raises(ConfigError, match=r"encryption\.yaml cannot be used: "):
            load(file)
