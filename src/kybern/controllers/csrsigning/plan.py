"""What becomes of a certificate request that is for one of our signers.

In:   the request, how long a certificate may live.
Out:  `Sign`, `Fail`, or None when there is nothing to do.
By:   csrsigning.controller. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kybern.api.certificates import requests as ask

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.api.certificates.v1 import CertificateSigningRequest
    from kybern.lib.pki import Subject

SHORTEST = 600.0
"""Twice what a certificate is dated back: it must not have ended when it is made."""

CHECKS: dict[str, Callable[[Subject, list[str] | None], str]] = {
    ask.CLIENT: lambda _, usages: ask.client_problem(usages),
    ask.KUBELET_CLIENT: ask.kubelet_client_problem,
    ask.KUBELET_SERVING: ask.kubelet_serving_problem,
    ask.LEGACY_UNKNOWN: lambda _subject, _usages: "",
}
"""Signer → what is wrong with a request; "" for nothing."""


@dataclass(frozen=True, slots=True)
class Sign:
    """Issue a certificate that is good for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Fail:
    """Tell whoever asked why they get none."""

    message: str


def plan(request: CertificateSigningRequest, longest: float) -> Sign | Fail | None:
    """Return what to do.

    Raises:
        PkiError: the request cannot be read.
    """
    check = CHECKS.get(request.spec.signerName)
    if check is None or request.status.certificate:
        return None
    if not ask.is_approved(request) or ask.has_failed(request):
        return None
    if problem := check(ask.subject(request), request.spec.usages):
        return Fail(problem)
    wanted = request.spec.expirationSeconds
    if wanted is None or wanted > longest:
        return Sign(longest)
    return Sign(max(float(wanted), SHORTEST))
