"""What CertificateSigningRequests must be.

In:   a CertificateSigningRequest; for updates also the old one.
Out:  problems; the table `VALIDATORS`.
By:   `api.validation`. Facts: upstream's `pkg/apis/certificates/validation/validation.go`.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from kybern.api import names
from kybern.api.bad_value import quote
from kybern.api.certificates.requests import LEGACY_UNKNOWN
from kybern.api.field_path import (
    Path,
    Problem,
    duplicate,
    invalid,
    not_supported,
    required,
    too_long,
)
from kybern.api.meta.validation import SPEC, STATUS, check_immutable, check_meta_update
from kybern.api.rules import Rules, rules

if TYPE_CHECKING:
    from kybern.api.certificates.v1 import CertificateSigningRequest

USAGES: Final = frozenset(
    (
        "signing", "digital signature", "content commitment", "key encipherment",
        "key agreement", "data encipherment", "cert sign", "crl sign", "encipher only",
        "decipher only", "any", "server auth", "client auth", "code signing",
        "email protection", "s/mime", "ipsec end system", "ipsec tunnel", "ipsec user",
        "timestamping", "ocsp signing", "microsoft sgc", "netscape sgc",
    )
)  # fmt: skip
SHORTEST: Final = 600
SIGNER_PATH_MAX: Final = 253 + 63 + 1
STATUSES: Final = ("True", "False", "Unknown")
_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\n([^\n]*)\n")
APPROVED: Final = "Approved"
DENIED: Final = "Denied"


def any_name(_name: str) -> tuple[str, ...]:
    """Requests may be called anything."""
    return ()


def check_request(obj: CertificateSigningRequest, out: list[Problem]) -> None:
    """A request that can be read, for a known purpose, from a named signer."""
    spec = obj.spec
    if error := _unreadable(spec.request):
        out.append(invalid(SPEC / "request", spec.request, error))
    _check_usages(spec.usages or [], SPEC / "usages", out)
    check_signer_name(spec.signerName, SPEC / "signerName", out)
    seconds = spec.expirationSeconds
    if seconds is not None and seconds < SHORTEST:
        told = "may not specify a duration less than 600 seconds (10 minutes)"
        out.append(invalid(SPEC / "expirationSeconds", seconds, told))
    _check_conditions(obj, STATUS / "conditions", out)


def _unreadable(request: str) -> str:
    """What is wrong with the PEM block inside, in Go's words where it has them."""
    from cryptography import x509

    try:
        data = binascii.a2b_base64(request)
    except ValueError as error:
        return str(error)
    if b"-----BEGIN CERTIFICATE REQUEST-----" not in data:
        return "PEM block type must be CERTIFICATE REQUEST"
    try:
        parsed = x509.load_pem_x509_csr(data)
    except ValueError as error:
        return f"asn1: structure error: {error}"
    return "" if parsed.is_signature_valid else "x509: signature is not valid"


def _check_usages(usages: list[str], place: Path, out: list[Problem]) -> None:
    if not usages:
        out.append(required(place, ""))
    for index, usage in enumerate(usages):
        if usage not in USAGES:
            out.append(not_supported(place[index], usage, sorted(USAGES)))
        if usage in usages[:index]:
            out.append(duplicate(place[index], usage))


def check_signer_name(name: str, place: Path, out: list[Problem]) -> None:
    """A domain, a slash and a name, such as `example.com/serving`."""
    if not name:
        out.append(required(place))
        return
    segments = name.split("/")
    if len(segments) != 2:
        told = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
        out.append(invalid(place, name, told))
        return
    domain, path = segments
    if names.size(domain) > names.SUBDOMAIN_MAX:
        out.append(too_long(place, names.SUBDOMAIN_MAX))
    labels = domain.split(".")
    for label in labels:
        for message in names.dns1123_label(label):
            out.append(invalid(place, domain, f"validating label {quote(label)}: {message}"))
    if len(labels) < 2:
        told = "should be a domain with at least two segments separated by dots"
        out.append(invalid(place, domain, told))
    for label in path.split("."):
        for message in names.dns1123_subdomain(label):
            out.append(invalid(place, path, f"validating label {quote(label)}: {message}"))
    if names.size(path) > SIGNER_PATH_MAX:
        out.append(too_long(place, SIGNER_PATH_MAX))


def _check_conditions(obj: CertificateSigningRequest, place: Path, out: list[Problem]) -> None:
    seen: set[str] = set()
    for index, condition in enumerate(obj.status.conditions or ()):
        where = place[index]
        if not condition.type:
            out.append(required(where / "type"))
        if not condition.status:
            out.append(required(where / "status"))
        elif condition.status not in STATUSES:
            out.append(not_supported(where / "status", condition.status, STATUSES))
        elif condition.type in (APPROVED, DENIED, "Failed") and condition.status != "True":
            out.append(not_supported(where / "status", condition.status, ("True",)))
        if condition.type in (APPROVED, DENIED) and {APPROVED, DENIED} <= seen | {condition.type}:
            other = DENIED if condition.type == APPROVED else APPROVED
            told = f"{other} and {condition.type} conditions are mutually exclusive"
            out.append(invalid(where / "type", condition.type, told))
        if condition.type in seen:
            out.append(duplicate(where / "type", condition.type))
        seen.add(condition.type)


def check_request_change(
    new: CertificateSigningRequest, old: CertificateSigningRequest, out: list[Problem]
) -> None:
    """What was asked for stays."""
    check_immutable(new.spec, old.spec, SPEC, out)


def validate_request_status_update(
    new: CertificateSigningRequest, old: CertificateSigningRequest
) -> list[Problem]:
    """Approval and certificate; a verdict stands once it is given."""
    out: list[Problem] = []
    check_meta_update(new.metadata, old.metadata, out)
    _check_conditions(new, STATUS / "conditions", out)
    now = {condition.type for condition in new.status.conditions or ()}
    given = {condition.type for condition in old.status.conditions or ()}
    for verdict in (APPROVED, DENIED):
        if verdict in given and verdict not in now:
            place = STATUS / "conditions"
            told = f"updates may not remove a condition of type {quote(verdict)}"
            out.append(invalid(place, None, told))
    before, after = old.status.certificate, new.status.certificate
    told = _no_certificates(after) if after and after != before else ""
    if told:
        out.append(invalid(STATUS / "certificate", "<certificate data>", told))
    if before and after != before:
        told = "updates may not modify or remove the existing certificate"
        out.append(invalid(STATUS / "certificate", "<certificate data>", told))
    return out


def _no_certificates(text: str) -> str:
    """What keeps a base64 text from being PEM blocks of certificates, in Go's words."""
    from cryptography import x509

    try:
        data = binascii.a2b_base64(text)
    except ValueError as error:
        return str(error)
    blocks = _BLOCK.findall(data)
    for title, headers in blocks:
        if title != b"CERTIFICATE":
            return f"only CERTIFICATE PEM blocks are allowed, found {quote(title.decode())}"
        if b": " in headers:
            return "no PEM block headers are permitted"
    if not blocks:
        return "must contain one or more CERTIFICATE PEM blocks"
    try:
        x509.load_pem_x509_certificates(data)
    except ValueError as error:
        return f"x509: malformed certificate: {error}"
    return ""


def create_request(obj: CertificateSigningRequest) -> list[Problem]:
    """As ever, but not for the signer that only requests of before version 1 may name."""
    out = _REQUEST.create(obj)
    if obj.spec.signerName == LEGACY_UNKNOWN:
        told = "the legacy signerName is not allowed via this API version"
        out.append(invalid(SPEC / "signerName", LEGACY_UNKNOWN, told))
    return out


_REQUEST: Final = rules(
    check_request,
    namespaced=False,
    name=any_name,
    change=check_request_change,
    status=validate_request_status_update,
)

VALIDATORS: Final[dict[str, Rules]] = {
    "CertificateSigningRequest": replace(_REQUEST, create=create_request),
}
