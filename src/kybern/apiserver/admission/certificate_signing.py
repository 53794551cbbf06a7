"""Who may issue a certificate.

In:   changes of `certificatesigningrequests/status`.
Out:  Forbidden, unless the user may `sign` for the signer or leaves the certificate alone.
By:   admission.plugins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import errors
from kybern.apiserver.admission.certificate_approval import GROUP, may

if TYPE_CHECKING:
    from kybern.apiserver.context import Services
    from kybern.apiserver.registry.review import Review


class CertificateSigning:
    """Asks the authorizer about the signer."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def handles(self, group: str, plural: str, subresource: str, operation: str) -> bool:
        """Want writes of the certificate."""
        found = (group, plural, subresource)
        return found == (GROUP, "certificatesigningrequests", "status") and operation == "UPDATE"

    def validate(self, review: Review) -> None:
        """Refuse who may not sign for this signer."""
        new, old = review.obj.status, review.old.status
        if new.certificate == old.certificate and new.conditions == old.conditions:
            return
        signer = review.old.spec.signerName
        if not may(self._services, review, "sign", signer):
            raise errors.Forbidden.of(
                review.resource.kind, review.name,
                f'user not permitted to sign requests with signerName "{signer}"',
            )  # fmt: skip
