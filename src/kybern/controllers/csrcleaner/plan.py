"""When a certificate request goes.

In:   the request.
Out:  the moment, in seconds since 1970; or never.
By:   csrcleaner.controller. Pure.
"""

from __future__ import annotations

import base64
from math import inf
from typing import TYPE_CHECKING

from kybern.api.certificates import requests as ask
from kybern.lib import pki
from kybern.lib.clock import parse_rfc3339

if TYPE_CHECKING:
    from kybern.api.certificates.v1 import CertificateSigningRequest

DECIDED = 3600.0
PENDING = 24 * 3600.0


def due(request: CertificateSigningRequest) -> float:
    """Return when to delete it.

    An hour after it was signed, denied or failed; a day after it was made, when nobody cared; and
    in any case when its certificate has ended. One that is approved waits for its certificate.

    Raises:
        PkiError: the certificate in it cannot be read.
    """
    conditions, certificate = request.status.conditions or [], request.status.certificate
    if not conditions:
        made = request.metadata.creationTimestamp
        return parse_rfc3339(made) + PENDING if made else inf
    final = {ask.DENIED, ask.FAILED, *([ask.APPROVED] if certificate else [])}
    moments = [
        parse_rfc3339(condition.lastUpdateTime) + DECIDED
        for condition in conditions
        if condition.type in final and condition.lastUpdateTime
    ]
    if certificate and ask.condition(request, ask.APPROVED) is not None:
        moments.append(pki.parse_certificate(base64.b64decode(certificate))[2])
    return min(moments, default=inf)
