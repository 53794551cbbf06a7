"""Questions about certificate requests.

In:   a CertificateSigningRequest, and whom the request inside it is for.
Out:  answers; what keeps a request from being one that a kubelet makes.
By:   the controllers csrapproving, csrsigning and csrcleaner.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from kybern.lib import pki

if TYPE_CHECKING:
    from kybern.api.certificates.v1 import (
        CertificateSigningRequest,
        CertificateSigningRequestCondition,
    )

APPROVED, DENIED, FAILED = "Approved", "Denied", "Failed"

CLIENT = "kubernetes.io/kube-apiserver-client"
KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
KUBELET_SERVING = "kubernetes.io/kubelet-serving"
LEGACY_UNKNOWN = "kubernetes.io/legacy-unknown"

NODES, NODE_PREFIX = ["system:nodes"], "system:node:"
_OF_CLIENTS = ["client auth", "digital signature", "key encipherment"]
_OF_SERVERS = ["digital signature", "key encipherment", "server auth"]


def condition(
    request: CertificateSigningRequest, type_: str
) -> CertificateSigningRequestCondition | None:
    """Return a condition by its type."""
    return next((c for c in request.status.conditions or () if c.type == type_), None)


def is_approved(request: CertificateSigningRequest) -> bool:
    """Say whether somebody approved it and nobody denied it."""
    return condition(request, APPROVED) is not None and condition(request, DENIED) is None


def is_decided(request: CertificateSigningRequest) -> bool:
    """Say whether somebody approved or denied it."""
    return any(condition(request, type_) is not None for type_ in (APPROVED, DENIED))


def has_failed(request: CertificateSigningRequest) -> bool:
    """Say whether the signer gave up on it."""
    found = condition(request, FAILED)
    return found is not None and found.status == "True"


def pem(request: CertificateSigningRequest) -> bytes:
    """Return the request in PEM."""
    return base64.b64decode(request.spec.request)


def subject(request: CertificateSigningRequest) -> pki.Subject:
    """Return whom it is for.

    Raises:
        PkiError: that cannot be read, or is not signed with its own key.
    """
    return pki.parse_request(pem(request))


def kubelet_client_problem(asked: pki.Subject, usages: list[str] | None) -> str:
    """Return why this is no request for a kubelet's client certificate; "" if it is one."""
    if list(asked.organizations) != NODES:
        return "subject organization is not system:nodes"
    if asked.dns_names:
        return "DNS subjectAltNames are not allowed"
    if asked.emails:
        return "Email subjectAltNames are not allowed"
    if asked.ip_addresses:
        return "IP subjectAltNames are not allowed"
    if asked.uris:
        return "URI subjectAltNames are not allowed"
    if not asked.common_name.startswith(NODE_PREFIX):
        return "subject common name does not begin with system:node:"
    return _usages_problem(usages, _OF_CLIENTS)


def kubelet_serving_problem(asked: pki.Subject, usages: list[str] | None) -> str:
    """Return why this is no request for a kubelet's serving certificate; "" if it is one."""
    if list(asked.organizations) != NODES:
        return "subject organization is not system:nodes"
    if not asked.dns_names and not asked.ip_addresses:
        return "DNS or IP subjectAltName is required"
    if asked.emails:
        return "Email subjectAltNames are not allowed"
    if asked.uris:
        return "URI subjectAltNames are not allowed"
    if problem := _usages_problem(usages, _OF_SERVERS):
        return problem
    if not asked.common_name.startswith(NODE_PREFIX):
        return "subject common name does not begin with system:node:"
    return ""


def client_problem(usages: list[str] | None) -> str:
    """Return why these are not the usages of a client's certificate; "" if they are."""
    for usage in usages or ():
        if usage not in _OF_CLIENTS:
            return f"invalid usage for client certificate: {usage}"
    if "client auth" not in (usages or ()):
        return "missing required usage for client certificate: client auth"
    return ""


def _usages_problem(usages: list[str] | None, wanted: list[str]) -> str:
    """Key encipherment is for RSA keys; others may do without."""
    if {*(usages or ()), "key encipherment"} == set(wanted):
        return ""
    return f"usages did not match [{' '.join(wanted)}]"
