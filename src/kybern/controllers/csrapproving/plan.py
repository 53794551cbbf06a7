"""Which right would get a certificate request approved.

In:   the request.
Out:  the rights to ask for, in order, each with the reason given on approval.
By:   csrapproving.controller. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kybern.api.certificates import requests as ask

if TYPE_CHECKING:
    from kybern.api.certificates.v1 import CertificateSigningRequest


@dataclass(frozen=True, slots=True)
class Right:
    """`create` of a subresource of certificatesigningrequests, which exists only as a right."""

    subresource: str
    message: str


SELF = Right(
    "selfnodeclient", "Auto approving self kubelet client certificate after SubjectAccessReview."
)
NODE = Right("nodeclient", "Auto approving kubelet client certificate after SubjectAccessReview.")


def plan(request: CertificateSigningRequest) -> tuple[Right, ...]:
    """Return the rights of which one suffices; none when it is not ours to approve.

    Raises:
        PkiError: the request cannot be read.
    """
    if request.status.certificate or ask.is_decided(request):
        return ()
    if request.spec.signerName != ask.KUBELET_CLIENT:
        return ()
    subject = ask.subject(request)
    if ask.kubelet_client_problem(subject, request.spec.usages):
        return ()
    return (SELF, NODE) if request.spec.username == subject.common_name else (NODE,)
