"""When a certificate request goes."""

from __future__ import annotations

import base64
from math import inf

import pytest

from kybern.api.certificates.v1 import (
    CertificateSigningRequest,
    CertificateSigningRequestCondition,
    CertificateSigningRequestStatus,
)
from kybern.api.meta.v1 import ObjectMeta
from kybern.controllers.csrcleaner.plan import due
from kybern.lib import pki
from kybern.lib.clock import rfc3339

HOUR = 3600.0


def certificate(ends):
    ca = pki.make_ca("x", now=0.0, lifetime=1000 * HOUR)
    pair = pki.issue(ca, pki.Subject("x"), now=0.0, lifetime=ends)
    return base64.b64encode(pair.certificate).decode()


def request(*conditions, signed=None):
    found = [
        CertificateSigningRequestCondition(type=t, status="True", lastUpdateTime=rfc3339(at))
        for t, at in conditions
    ]
    status = CertificateSigningRequestStatus(
        conditions=found or None, certificate=certificate(signed) if signed else None
    )
    metadata = ObjectMeta(name="r", creationTimestamp=rfc3339(0.0))
    return CertificateSigningRequest(metadata=metadata, status=status)


@pytest.mark.parametrize(
    ("asked", "moment"),
    [
        (request(), 24 * HOUR),
        (request(("Approved", 100.0)), inf),
        (request(("Approved", 100.0), signed=100 * HOUR), HOUR + 100),
        (request(("Approved", 5 * HOUR), signed=2 * HOUR), 2 * HOUR),
        (request(("Denied", 7.0)), HOUR + 7),
        (request(("Approved", 1.0), ("Failed", 7.0)), HOUR + 7),
        (request(("Other", 7.0)), inf),
    ],
)
def test_due(asked, moment):
    assert due(asked) == moment


def test_what_cannot_be_read():
    broken = request(("Approved", 1.0), signed=HOUR)
    broken.status.certificate = "bm90aGluZw=="
    with pytest.raises(pki.PkiError):
        due(broken)
