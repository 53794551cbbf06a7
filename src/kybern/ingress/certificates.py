"""From a Secret to what haproxy reads.

In:   a Secret with `tls.crt` and `tls.key`, or that there is none.
Out:  a Certificate: chain and key in one PEM, or why there is none.
By:   sync.py, whenever the Secret changes. Pure.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from kybern.api.core.v1 import Secret


class Certificate(NamedTuple):
    """What a Secret has for us; neither while nobody knows yet."""

    pem: bytes = b""
    problem: str = ""


UNKNOWN = Certificate()


def certificate(name: str, secret: Secret | None) -> Certificate:
    """Return the certificate in a Secret."""
    from kybern.lib import pki

    if secret is None:
        return Certificate(problem=f'Secret "{name}" not found')
    data = secret.data or {}
    if missing := [field for field in ("tls.crt", "tls.key") if not data.get(field)]:
        return Certificate(problem=f'Secret "{name}" has no {" and no ".join(missing)}')
    try:
        chain, key = (base64.b64decode(data[field]) for field in ("tls.crt", "tls.key"))
        matches = pki.key_matches(pki.KeyPair(chain, key))
    except (pki.PkiError, binascii.Error) as error:
        return Certificate(problem=f'Secret "{name}" has no usable certificate: {error}')
    if not matches:
        return Certificate(problem=f'Secret "{name}" has a key that is not its certificate\'s')
    return Certificate(pem=chain.rstrip(b"\n") + b"\n" + key)
