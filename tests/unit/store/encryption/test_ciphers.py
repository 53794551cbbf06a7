"""The bytes are upstream's, and nobody but who has the key can read or change them."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kybern.store.encryption.ciphers import PROVIDERS, AesCbc, AesGcm, CannotOpen, Secretbox
from kybern.store.encryption.rules import Resource, Rules, resource_of

KEY = bytes(range(32))
AT = "/registry/secrets/default/x"
EVERY = [cipher("k", KEY) for cipher in PROVIDERS.values()]
VALUE = b'{"kind":"Secret"}'


@pytest.mark.parametrize("cipher", EVERY, ids=lambda cipher: cipher.provider)
def test_there_and_back(cipher):
    @given(st.binary())
    def check(rest):
        value = b"{" + rest
        sealed = cipher.seal(value, AT)
        assert cipher.open(sealed, AT) == value
        assert sealed != cipher.seal(value, AT)  # never the same twice

    check()


@pytest.mark.parametrize("cipher", EVERY, ids=lambda cipher: cipher.provider)
def test_another_key_opens_nothing(cipher):
    sealed = cipher.seal(VALUE, AT)
    other = type(cipher)("k", bytes(32))
    with pytest.raises(CannotOpen):
        other.open(sealed, AT)
    for short in (b"", sealed[:11], sealed[:23]):
        with pytest.raises(CannotOpen):
            cipher.open(short, AT)


@pytest.mark.parametrize("cipher", [AesGcm("k", KEY), Secretbox("k", KEY)])
def test_a_changed_value_opens_nowhere(cipher):
    sealed = bytearray(cipher.seal(VALUE, AT))
    sealed[-1] ^= 1
    with pytest.raises(CannotOpen):
        cipher.open(bytes(sealed), AT)


def test_a_value_opens_only_where_it_belongs():
    sealed = AesGcm("k", KEY).seal(VALUE, AT)
    with pytest.raises(CannotOpen, match="message authentication failed"):
        AesGcm("k", KEY).open(sealed, "/registry/secrets/default/y")


def test_wrong_keys_of_cbc_are_noticed_even_when_the_padding_fits():
    sealed = AesCbc("k", KEY).seal(VALUE, AT)
    for number in range(2000):
        with pytest.raises(CannotOpen):
            AesCbc("k", number.to_bytes(32)).open(sealed, AT)


def test_known_bytes():
    """Made with `openssl enc -aes-256-cbc`, and a start of zeros."""
    stored = base64.b64decode("AAAAAAAAAAAAAAAAAAAAAELhPEZ8ylAuxeEYQ9f5B0g=")
    assert AesCbc("k", KEY).open(stored, AT) == b"{}"


def test_the_prefix():
    rules = Rules({Resource("secrets", ""): (Secretbox("key1", KEY),)})
    sealed = rules.seal(AT, VALUE)
    assert sealed.startswith(b"k8s:enc:secretbox:v1:key1:")
    assert rules.open(AT, sealed)[0] == VALUE
    assert rules.seal("/registry/configmaps/default/x", VALUE) == VALUE


def test_why_a_value_cannot_be_opened():
    def why(ciphers, sealed, key=AT):
        with pytest.raises(CannotOpen) as caught:
            Rules({Resource("secrets", ""): ciphers}).open(key, sealed)
        return str(caught.value)

    gcm, cbc = AesGcm("a", KEY), AesCbc("a", KEY)
    sealed = Rules({Resource("*", "*"): (gcm,)}).seal(AT, VALUE)
    assert why((cbc,), sealed) == "no matching prefix found"
    assert why((AesGcm("b", KEY),), sealed) == (
        "no matching key was found for the provided AES transformer"
    )
    assert why((AesGcm("a", bytes(32)),), sealed) == "cipher: message authentication failed"
    elsewhere = "/registry/configmaps/default/x"
    assert why((gcm,), sealed, elsewhere) == "identity transformer tried to read encrypted data"


@pytest.mark.parametrize(
    ("key", "resource"),
    [
        ("/registry/secrets/default/x", ("secrets", "")),
        ("/registry/minions/n1", ("nodes", "")),
        ("/registry/services/specs/default/x", ("services", "")),
        ("/registry/services/endpoints/default/x", ("endpoints", "")),
        ("/registry/deployments/default/x", ("deployments", "apps")),
        ("/registry/events/default/x", ("events", "")),
        ("/registry/ingress/default/x", ("ingresses", "networking.k8s.io")),
        ("/registry/apiregistration.k8s.io/apiservices/v1.", ("apiservices", "apiregistration.k8s.io")),
        ("/registry/stable.example.com/crontabs/default/x", ("crontabs", "stable.example.com")),
        ("/registry/ranges/serviceips", None),
        ("/registry/masterleases/10.0.0.1", None),
        ("/registry", None),
    ],
)  # fmt: skip
def test_whose_object_lives_where(key, resource):
    assert resource_of(key) == resource
