"""Keys, certificates and certificate requests.

In:   names, lifetimes, and the time as a number.
Out:  PEM bytes; what a peer's certificate or a request says.
By:   `kybern up` (makes the cluster's authority), the API server (who is calling?), the
      certificate controllers (sign requests), the kubelet (asks for its own).

Keys are EC P-256: small, and about twenty times faster to sign with than RSA. `cryptography` is
imported at the first call, as most programs that import this module never make a certificate.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import warnings
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

DAY = 86_400.0
BACKDATE = 300.0  # a certificate is valid a little before it was made: clocks differ


class PkiError(ValueError):
    """These bytes are not the key, certificate or request they should be."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its private key, in PEM."""

    certificate: bytes
    key: bytes = field(repr=False)

    def save(self, certificate_path: str | Path, key_path: str | Path) -> None:
        """Write both files, the key readable by its owner only."""
        save(key_path, self.key, 0o600)
        save(certificate_path, self.certificate, 0o644)

    @classmethod
    def load(cls, certificate_path: str | Path, key_path: str | Path) -> KeyPair:
        """Read both files."""
        return cls(Path(certificate_path).read_bytes(), Path(key_path).read_bytes())


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a certificate is for, or is asked for."""

    common_name: str
    organizations: tuple[str, ...] = ()
    dns_names: tuple[str, ...] = ()
    ip_addresses: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()


# --- making ----------------------------------------------------------------------------------


def make_key() -> bytes:
    """Make an EC P-256 private key."""
    from cryptography.hazmat.primitives.asymmetric import ec

    return _key_pem(ec.generate_private_key(ec.SECP256R1()))


def public_key_of(key: bytes) -> bytes:
    """Return the public key (PEM) of a private key (PEM)."""
    from cryptography.hazmat.primitives import serialization as s

    public: Any = _load_key(key).public_key()
    pem: bytes = public.public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo)
    return pem


def make_ca(common_name: str, *, now: float, lifetime: float = 3650 * DAY) -> KeyPair:
    """Make a certificate authority, signed by itself."""
    from cryptography import x509

    key = make_key()
    private = _load_key(key)
    name = _name(Subject(common_name))
    builder = (
        _builder(name, name, private.public_key(), now, lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
    )
    return KeyPair(_sign(builder, private), key)


def issue(
    ca: KeyPair,
    subject: Subject,
    *,
    now: float,
    lifetime: float = 365 * DAY,
    server: bool = False,
    client: bool = False,
) -> KeyPair:
    """Make a key and a certificate for it, to be used by a server, a client or both."""
    key = make_key()
    public = _load_key(key).public_key()
    return KeyPair(_issue(ca, subject, public, now, lifetime, server, client), key)


def make_request(subject: Subject, key: bytes) -> bytes:
    """Make a certificate request (PEM) for a private key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    builder = x509.CertificateSigningRequestBuilder().subject_name(_name(subject))
    names = _alternative_names(subject)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    request = builder.sign(_load_key(key), hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)


def sign_request(
    ca: KeyPair,
    request: bytes,
    *,
    now: float,
    lifetime: float,
    server: bool = False,
    client: bool = False,
) -> bytes:
    """Sign a certificate request as it stands and return the certificate (PEM)."""
    parsed = _load_request(request)
    return _issue(ca, _subject(parsed), parsed.public_key(), now, lifetime, server, client)


# --- reading ---------------------------------------------------------------------------------


def parse_identity(der: bytes) -> tuple[str, tuple[str, ...]]:
    """Return the common name and the organizations in a peer's certificate.

    The signature is not looked at: TLS did that. Callers keep the result per connection.
    """
    from cryptography import x509

    try:
        subject = _subject(x509.load_der_x509_certificate(der))
    except ValueError as error:
        raise PkiError(f"not a certificate: {error}") from None
    return subject.common_name, subject.organizations


def parse_request(pem: bytes) -> Subject:
    """Return whom a certificate request is for, once its signature has been checked."""
    return _subject(_load_request(pem))


def parse_certificate(pem: bytes) -> tuple[Subject, float, float]:
    """Return whom the first certificate is for, and from when to when it is valid."""
    certificate = _load_certificate(pem)
    return (
        _subject(certificate),
        certificate.not_valid_before_utc.timestamp(),
        certificate.not_valid_after_utc.timestamp(),
    )


def key_matches(pair: KeyPair) -> bool:
    """Say whether the certificate is for this key."""
    certificate = _load_certificate(pair.certificate)
    return certificate.public_key() == _load_key(pair.key).public_key()


def public_key_hash(certificate: bytes) -> str:
    """Return `sha256:…` of the first certificate's public key, as kubeadm pins authorities."""
    from cryptography.hazmat.primitives import serialization as s

    public = _load_certificate(certificate).public_key()
    der = public.public_bytes(s.Encoding.DER, s.PublicFormat.SubjectPublicKeyInfo)
    return f"sha256:{hashlib.sha256(der).hexdigest()}"


def signed_by(certificate: bytes, authority: bytes) -> bool:
    """Say whether the first certificate was signed by the authority (both PEM)."""
    from cryptography.exceptions import InvalidSignature

    try:
        _load_certificate(certificate).verify_directly_issued_by(_load_certificate(authority))
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def save(path: str | Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file as a whole or not at all, never readable by more than `mode` allows."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    with suppress(FileNotFoundError):
        temporary.unlink()
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise


# --- details ---------------------------------------------------------------------------------


def _issue(
    ca: KeyPair,
    subject: Subject,
    public_key: Any,
    now: float,
    lifetime: float,
    server: bool,
    client: bool,
) -> bytes:
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    authority, authority_key = _load_certificate(ca.certificate), _load_key(ca.key)
    # Nothing outlives its authority: it could not be verified.
    lifetime = min(lifetime, authority.not_valid_after_utc.timestamp() - now)
    usages = [ExtendedKeyUsageOID.SERVER_AUTH] * server + [ExtendedKeyUsageOID.CLIENT_AUTH] * client
    names = _alternative_names(subject)
    builder = (
        _builder(_name(subject), authority.subject, public_key, now, lifetime)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(authority=False), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()),  # type: ignore[arg-type]
            critical=False,
        )
    )
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return _sign(builder, authority_key)


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: Any, now: float, lifetime: float
) -> x509.CertificateBuilder:
    from cryptography import x509

    made = datetime.fromtimestamp(now, UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(made - timedelta(seconds=BACKDATE))
        .not_valid_after(made + timedelta(seconds=lifetime))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _sign(builder: x509.CertificateBuilder, key: CertificateIssuerPrivateKeyTypes) -> bytes:
    from cryptography.hazmat.primitives import hashes, serialization

    certificate = builder.sign(key, hashes.SHA256())
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(subject: Subject) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, o) for o in subject.organizations]
    if subject.common_name:
        with _long_names():
            parts.append(
                x509.NameAttribute(NameOID.COMMON_NAME, subject.common_name, _validate=False)
            )
    return x509.Name(parts)


@contextmanager
def _long_names() -> Iterator[None]:
    """Permit names of more than the 64 characters of X.520: upstream has them, Go takes them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Attribute's length", category=UserWarning)
        yield


def _alternative_names(subject: Subject) -> list[x509.GeneralName]:
    from cryptography import x509

    names: list[x509.GeneralName] = [x509.DNSName(name) for name in subject.dns_names]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in subject.ip_addresses]
    names += [x509.RFC822Name(email) for email in subject.emails]
    names += [x509.UniformResourceIdentifier(uri) for uri in subject.uris]
    return names


def _subject(source: x509.Certificate | x509.CertificateSigningRequest) -> Subject:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    with _long_names():
        name = source.subject
    names_of = name.get_attributes_for_oid
    # Go takes the last common name when there are several.
    common_name = ("", *(str(part.value) for part in names_of(NameOID.COMMON_NAME)))[-1]
    organizations = tuple(str(part.value) for part in names_of(NameOID.ORGANIZATION_NAME))
    try:
        names = source.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return Subject(common_name, organizations)
    return Subject(
        common_name,
        organizations,
        dns_names=_strings(names.get_values_for_type(x509.DNSName)),
        ip_addresses=_strings(names.get_values_for_type(x509.IPAddress)),
        emails=_strings(names.get_values_for_type(x509.RFC822Name)),
        uris=_strings(names.get_values_for_type(x509.UniformResourceIdentifier)),
    )


def _strings(values: Iterable[object]) -> tuple[str, ...]:
    return tuple(str(value) for value in values)


def _load_certificate(pem: bytes) -> x509.Certificate:
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise PkiError(f"not a certificate: {error}") from None


def _load_request(pem: bytes) -> x509.CertificateSigningRequest:
    from cryptography import x509

    try:
        request = x509.load_pem_x509_csr(pem)
    except ValueError as error:
        raise PkiError(f"not a certificate request: {error}") from None
    if not request.is_signature_valid:
        raise PkiError("the certificate request is not signed with its own key")
    return request


def _load_key(pem: bytes) -> CertificateIssuerPrivateKeyTypes:
    from cryptography.hazmat.primitives import serialization

    try:
        key: Any = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError) as error:
        raise PkiError(f"not a private key: {error}") from None
    return key  # type: ignore[no-any-return]


def _key_pem(key: Any) -> bytes:
    from cryptography.hazmat.primitives import serialization as s

    pem: bytes = key.private_bytes(
        s.Encoding.PEM, s.PrivateFormat.TraditionalOpenSSL, s.NoEncryption()
    )
    return pem
