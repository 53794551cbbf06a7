"""What becomes of a certificate request."""

from __future__ import annotations

import base64
import functools

import pytest

from kybern.api.certificates.v1 import (
    CertificateSigningRequest,
    CertificateSigningRequestCondition,
    CertificateSigningRequestSpec,
    CertificateSigningRequestStatus,
)
from kybern.api.meta.v1 import ObjectMeta
from kybern.controllers.csrsigning.plan import Fail, Sign, plan
from kybern.lib import pki

KEY = pki.make_key()
CLIENT = ["client auth", "digital signature", "key encipherment"]
SERVER = ["server auth", "digital signature", "key encipherment"]
NODE = pki.Subject("system:node:n1", ("system:nodes",))
LONGEST = 86400.0


@functools.cache
def pem(subject):
    return base64.b64encode(pki.make_request(subject, KEY)).decode()


def request(signer, subject=NODE, usages=CLIENT, conditions=("Approved",), **spec):
    status = CertificateSigningRequestStatus(
        conditions=[CertificateSigningRequestCondition(type=t, status="True") for t in conditions]
    )
    return CertificateSigningRequest(
        metadata=ObjectMeta(name="r"),
        spec=CertificateSigningRequestSpec(
            request=pem(subject), signerName=f"kubernetes.io/{signer}", usages=usages, **spec
        ),
        status=status,
    )


def node(**more):
    return pki.Subject("system:node:n1", ("system:nodes",), **more)


@pytest.mark.parametrize(
    ("seconds", "granted"), [(None, LONGEST), (2 * 86400, LONGEST), (3600, 3600.0), (60, 600.0)]
)
def test_how_long_it_lives(seconds, granted):
    asked = request("kube-apiserver-client", expirationSeconds=seconds)
    assert plan(asked, LONGEST) == Sign(granted)


def test_what_is_left_alone():
    signer = "kube-apiserver-client"
    assert plan(request(signer, conditions=()), LONGEST) is None
    assert plan(request(signer, conditions=("Denied",)), LONGEST) is None
    assert plan(request(signer, conditions=("Approved", "Denied")), LONGEST) is None
    assert plan(request(signer, conditions=("Approved", "Failed")), LONGEST) is None
    signed = request(signer)
    signed.status.certificate = "Y2VydA=="
    assert plan(signed, LONGEST) is None
    foreign = request(signer)
    foreign.spec.signerName = "example.com/mine"
    assert plan(foreign, LONGEST) is None


ANY = pki.Subject("joe", ("devs",), dns_names=("a",), emails=("a@b.c",))
SERVED = node(dns_names=("n1",), ip_addresses=("10.0.0.1",))


@pytest.mark.parametrize(
    ("signer", "subject", "usages"),
    [
        ("kube-apiserver-client", ANY, ["client auth"]),
        ("kube-apiserver-client-kubelet", NODE, CLIENT),
        ("kube-apiserver-client-kubelet", NODE, ["client auth", "digital signature"]),
        ("kubelet-serving", SERVED, SERVER),
        ("kubelet-serving", SERVED, ["server auth", "digital signature"]),
        ("legacy-unknown", ANY, ["any", "code signing"]),
    ],
)
def test_signed(signer, subject, usages):
    assert plan(request(signer, subject, usages), LONGEST) == Sign(LONGEST)


@pytest.mark.parametrize(
    ("signer", "subject", "usages", "problem"),
    [
        ("kube-apiserver-client", ANY, ["server auth"],
         "invalid usage for client certificate: server auth"),
        ("kube-apiserver-client", ANY, ["digital signature"],
         "missing required usage for client certificate: client auth"),
        ("kube-apiserver-client-kubelet", ANY, CLIENT, "subject organization is not system:nodes"),
        ("kube-apiserver-client-kubelet", SERVED, CLIENT, "DNS subjectAltNames are not allowed"),
        ("kube-apiserver-client-kubelet", node(ip_addresses=("10.0.0.1",)), CLIENT,
         "IP subjectAltNames are not allowed"),
        ("kube-apiserver-client-kubelet", node(uris=("a://b",)), CLIENT,
         "URI subjectAltNames are not allowed"),
        ("kube-apiserver-client-kubelet", pki.Subject("n1", ("system:nodes",)), CLIENT,
         "subject common name does not begin with system:node:"),
        ("kube-apiserver-client-kubelet", NODE, SERVER,
         "usages did not match [client auth digital signature key encipherment]"),
        ("kubelet-serving", NODE, SERVER, "DNS or IP subjectAltName is required"),
        ("kubelet-serving", node(dns_names=("n",), emails=("a@b.c",)), SERVER,
         "Email subjectAltNames are not allowed"),
        ("kubelet-serving", SERVED, CLIENT,
         "usages did not match [digital signature key encipherment server auth]"),
    ],
)  # fmt: skip
def test_refused(signer, subject, usages, problem):
    assert plan(request(signer, subject, usages), LONGEST) == Fail(problem)


def test_unreadable():
    broken = request("legacy-unknown")
    broken.spec.request = "bm90aGluZw=="
    with pytest.raises(pki.PkiError):
        plan(broken, LONGEST)
