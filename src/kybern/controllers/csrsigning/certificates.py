"""A certificate as it was asked for.

In:   an authority, a request in PEM, usages by their names in the API, seconds.
Out:  the certificate in PEM.
By:   csrsigning.controller.

Subject, alternative names and key are the request's; its other extensions are not.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography import x509

    from kybern.lib.pki import KeyPair

BACKDATE = 300.0
SHORT_LIVED = 8 * 3600.0
"""Certificates shorter than this are dated back too, but do not end earlier for it."""

_KEY_USAGES = {
    "signing": "digital_signature",
    "digital signature": "digital_signature",
    "content commitment": "content_commitment",
    "key encipherment": "key_encipherment",
    "key agreement": "key_agreement",
    "data encipherment": "data_encipherment",
    "cert sign": "key_cert_sign",
    "crl sign": "crl_sign",
    "encipher only": "encipher_only",
    "decipher only": "decipher_only",
}
_EXTENDED = {
    "any": "2.5.29.37.0",
    "server auth": "1.3.6.1.5.5.7.3.1",
    "client auth": "1.3.6.1.5.5.7.3.2",
    "code signing": "1.3.6.1.5.5.7.3.3",
    "email protection": "1.3.6.1.5.5.7.3.4",
    "s/mime": "1.3.6.1.5.5.7.3.4",
    "ipsec end system": "1.3.6.1.5.5.7.3.5",
    "ipsec tunnel": "1.3.6.1.5.5.7.3.6",
    "ipsec user": "1.3.6.1.5.5.7.3.7",
    "timestamping": "1.3.6.1.5.5.7.3.8",
    "ocsp signing": "1.3.6.1.5.5.7.3.9",
    "microsoft sgc": "1.3.6.1.4.1.311.10.3.3",
    "netscape sgc": "2.16.840.1.113730.4.1",
}


def sign(ca: KeyPair, request: bytes, usages: Iterable[str], seconds: float, now: float) -> bytes:
    """Return a certificate; it never outlives its authority."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    authority = x509.load_pem_x509_certificate(ca.certificate)
    key: Any = serialization.load_pem_private_key(ca.key, None)
    asked = x509.load_pem_x509_csr(request)
    made = datetime.fromtimestamp(now, UTC)
    lifetime = seconds if seconds < SHORT_LIVED else seconds - BACKDATE
    builder = (
        x509.CertificateBuilder()
        .subject_name(asked.subject)
        .issuer_name(authority.subject)
        .public_key(asked.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(made - timedelta(seconds=BACKDATE))
        .not_valid_after(min(made + timedelta(seconds=lifetime), authority.not_valid_after_utc))
    )
    for extension, critical in _extensions(asked, authority, list(usages)):
        builder = builder.add_extension(extension, critical)
    certificate = builder.sign(key, hashes.SHA256())
    return certificate.public_bytes(serialization.Encoding.PEM)


def _extensions(
    asked: x509.CertificateSigningRequest, authority: x509.Certificate, usages: list[str]
) -> Iterable[tuple[x509.ExtensionType, bool]]:
    """Return what the certificate says, and what who does not understand it must refuse."""
    from cryptography import x509

    if key_usage := _key_usage({_KEY_USAGES[usage] for usage in usages if usage in _KEY_USAGES}):
        yield key_usage, True
    if extended := sorted({_EXTENDED[usage] for usage in usages if usage in _EXTENDED}):
        yield x509.ExtendedKeyUsage([x509.ObjectIdentifier(oid) for oid in extended]), False
    yield x509.BasicConstraints(ca=False, path_length=None), True
    public: Any = authority.public_key()
    yield x509.AuthorityKeyIdentifier.from_issuer_public_key(public), False
    try:
        names = asked.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return
    yield names.value, not list(asked.subject)


def _key_usage(bits: set[str]) -> x509.KeyUsage | None:
    from cryptography import x509

    if not bits:
        return None
    if "key_agreement" not in bits:
        bits -= {"encipher_only", "decipher_only"}  # without it they mean nothing (RFC 5280)
    return x509.KeyUsage(**{bit: bit in bits for bit in set(_KEY_USAGES.values())})
