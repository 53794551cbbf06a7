"""A certificate says what was asked for, and nothing else."""

from __future__ import annotations

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from kybern.controllers.csrsigning.certificates import sign
from kybern.lib import pki

NOW = 1_700_000_000.0
CA = pki.make_ca("kubernetes", now=NOW, lifetime=100 * pki.DAY)


def issue(subject, usages, seconds=pki.DAY):
    request = pki.make_request(subject, pki.make_key())
    made = sign(CA, request, usages, seconds, NOW)
    assert pki.signed_by(made, CA.certificate)
    return made, x509.load_pem_x509_certificate(made)


def test_names_and_usages_are_kept():
    subject = pki.Subject("n1", ("nodes",), ("n1", "n1.local"), ("10.0.0.1",))
    made, parsed = issue(subject, ["server auth", "digital signature", "key encipherment"])
    assert pki.parse_certificate(made)[0] == subject
    usage = parsed.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert usage.value.key_encipherment
    assert not usage.value.key_cert_sign
    extended = parsed.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(extended) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert not parsed.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_rare_usages():
    _, parsed = issue(pki.Subject("x"), ["any", "s/mime", "email protection", "encipher only"])
    extended = parsed.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [oid.dotted_string for oid in extended] == ["1.3.6.1.5.5.7.3.4", "2.5.29.37.0"]
    _, parsed = issue(pki.Subject("x"), ["key agreement", "decipher only"])
    assert parsed.extensions.get_extension_for_class(x509.KeyUsage).value.decipher_only


def test_lifetimes():
    def validity(seconds):
        _, start, end = pki.parse_certificate(issue(pki.Subject("x"), ["any"], seconds)[0])
        return start - NOW, end - NOW

    assert validity(3600) == (-300, 3600)
    assert validity(8 * 3600) == (-300, 8 * 3600 - 300)
    assert validity(1000 * pki.DAY) == (-300, 100 * pki.DAY)  # not longer than its authority
