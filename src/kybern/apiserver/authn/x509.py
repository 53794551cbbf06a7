"""Client certificates: the common name is the user, the organisations are its groups.

In:   a peer's certificate in DER, which the TLS layer has verified against the cluster's CA.
Out:  its User; None for one without a common name.
By:   authn.chain.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from kybern.apiserver.context import AUTHENTICATED, User
from kybern.lib import pki

if TYPE_CHECKING:
    from kybern.lib.clock import Clock

KEPT = 4096


class Certificates:
    """The users of the certificates seen so far."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._users: dict[bytes, tuple[User | None, float]] = {}

    def user(self, der: bytes) -> User | None:
        """Return who presents this certificate.

        Connections outlive certificates, so that the end of validity is looked at each time.
        """
        found = self._users.get(der)
        if found is None:
            found = self._parse(der)
        user, expires = found
        return user if self._clock.now() < expires else None

    def _parse(self, der: bytes) -> tuple[User | None, float]:
        subject, _, expires = pki.parse_certificate(ssl.DER_cert_to_PEM_cert(der).encode())
        user = None
        if subject.common_name:
            user = User(subject.common_name, (*subject.organizations, AUTHENTICATED))
        if len(self._users) >= KEPT:
            self._users.clear()
        self._users[der] = (user, expires)
        return user, expires
