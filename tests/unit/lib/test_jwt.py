from __future__ import annotations

import base64
import hashlib
import json

import pytest

from kybern.lib import jwt, pki

CLAIMS = {"iss": "https://kubernetes.default.svc", "sub": "system:serviceaccount:a:b", "exp": 5}


@pytest.fixture(scope="module")
def rsa_key():
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048)
    return key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())


@pytest.fixture(scope="module", params=["ES256", "RS256"])
def signer(request, rsa_key):
    signer = jwt.Signer(rsa_key if request.param == "RS256" else pki.make_key())
    assert signer.algorithm == request.param
    return signer


def test_round_trip(signer):
    token = signer.sign(CLAIMS)
    assert jwt.Verifier([signer.public_key]).verify(token) == CLAIMS
    assert jwt.unverified(token) == CLAIMS
    header = json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))
    assert header == {"alg": signer.algorithm, "kid": signer.public_key.kid}


def test_the_key_set_is_enough_to_verify(signer):
    document = json.loads(json.dumps(jwt.key_set([signer.public_key])))
    keys = [jwt.PublicKey.from_jwk(entry) for entry in document["keys"]]
    assert jwt.Verifier(keys).verify(signer.sign(CLAIMS)) == CLAIMS
    assert keys[0].jwk() == document["keys"][0]
    assert document["keys"][0]["use"] == "sig"


def test_key_id_is_the_hash_of_the_public_key():
    from cryptography.hazmat.primitives import serialization as s

    key = pki.make_key()
    public = s.load_pem_private_key(key, None).public_key()
    der = public.public_bytes(s.Encoding.DER, s.PublicFormat.SubjectPublicKeyInfo)
    expected = base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()
    assert jwt.Signer(key).public_key.kid == expected
    assert jwt.PublicKey.from_pem(key).kid == expected
    assert jwt.PublicKey.from_pem(pki.public_key_of(key)).kid == expected


def test_bad_tokens(signer, rsa_key):
    token = signer.sign(CLAIMS)
    verifier = jwt.Verifier([signer.public_key])
    head, claims, signature = token.split(".")
    forged = jwt.Signer(pki.make_key()).sign(CLAIMS)
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    hmac = base64.urlsafe_b64encode(b'{"alg":"HS256"}').rstrip(b"=").decode()
    changed = base64.urlsafe_b64encode(b'{"sub":"root"}').rstrip(b"=").decode()
    for bad in [
        "",
        "a.b",
        "a.b.c",
        "é.é.é",
        forged,
        f"{none}.{claims}.",
        f"{hmac}.{claims}.{signature}",
        f"{head}.{changed}.{signature}",
        f"{head}.{claims}.{signature[:-4]}",
        f"{head}.{claims}.",
        f"{head}.W10.{signature}",
    ]:
        with pytest.raises(jwt.InvalidToken):
            verifier.verify(bad)


def test_several_keys(rsa_key):
    old, new = jwt.Signer(rsa_key), jwt.Signer(pki.make_key())
    verifier = jwt.Verifier([new.public_key, old.public_key])
    assert verifier.verify(old.sign({"n": 1})) == {"n": 1}
    assert verifier.verify(new.sign({"n": 2})) == {"n": 2}


def test_bad_keys():
    with pytest.raises(ValueError):
        jwt.PublicKey.from_jwk({"kty": "oct", "k": "x"})
    with pytest.raises(ValueError):
        jwt.PublicKey.from_jwk({"kty": "RSA"})
