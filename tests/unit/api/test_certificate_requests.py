"""What upstream refuses of certificate requests, and of the certificates in them."""

from __future__ import annotations

import base64

import pytest
from tests.unit.api.objects import make

from kybern.api.scheme import SCHEME
from kybern.api.validation import rules_of
from kybern.lib import pki

API = "certificates.k8s.io/v1"
RULES = rules_of(SCHEME.by_kind(API, "CertificateSigningRequest"))
CA = pki.make_ca("x", now=1.7e9)


def encoded(pem):
    return base64.b64encode(pem).decode()


def request(certificate=None, signer="a.b/c"):
    spec = {
        "request": encoded(pki.make_request(pki.Subject("x"), pki.make_key())),
        "signerName": signer, "usages": ["client auth"],
    }  # fmt: skip
    status = {"certificate": encoded(certificate)} if certificate else {}
    tree = {"metadata": {"name": "r", "resourceVersion": "1"}, "spec": spec, "status": status}
    return make(f"{API}/CertificateSigningRequest", tree)


def test_the_legacy_signer_is_only_for_what_is_there_already():
    legacy = request(signer="kubernetes.io/legacy-unknown")
    assert [str(problem) for problem in RULES.create(legacy)] == [
        'spec.signerName: Invalid value: "kubernetes.io/legacy-unknown": the legacy signerName is '
        "not allowed via this API version"
    ]
    assert RULES.update(legacy, legacy) == []


@pytest.mark.parametrize(
    ("certificate", "problem"),
    [
        (CA.certificate, ""),
        (CA.certificate * 2, ""),
        (b"nothing", "must contain one or more CERTIFICATE PEM blocks"),
        (CA.key, 'only CERTIFICATE PEM blocks are allowed, found "EC PRIVATE KEY"'),
        (CA.certificate.replace(b"E-----\nM", b"E-----\na: b\n\nM", 1),
         "no PEM block headers are permitted"),
        (b"-----BEGIN CERTIFICATE-----\neA==\n-----END CERTIFICATE-----\n", "malformed"),
    ],
)  # fmt: skip
def test_a_certificate_is_one(certificate, problem):
    found = [str(each) for each in RULES.status(request(certificate), request())]
    if problem:
        (text,) = found
        assert text.startswith('status.certificate: Invalid value: "<certificate data>": ')
        assert problem in text
    else:
        assert found == []


def test_a_bad_certificate_that_is_there_stays():
    bad = request(b"nothing")
    assert RULES.status(bad, bad) == []
