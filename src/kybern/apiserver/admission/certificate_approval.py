"""Who may say yes to a certificate.

In:   changes of `certificatesigningrequests/approval`.
Out:  Forbidden, unless the user may `approve` for the signer.
By:   admission.plugins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import errors
from kybern.apiserver.context import Attributes

if TYPE_CHECKING:
    from kybern.apiserver.context import Services
    from kybern.apiserver.registry.review import Review

GROUP = "certificates.k8s.io"


class CertificateApproval:
    """Asks the authorizer about the signer."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def handles(self, group: str, plural: str, subresource: str, operation: str) -> bool:
        """Want approvals."""
        found = (group, plural, subresource)
        return found == (GROUP, "certificatesigningrequests", "approval") and operation == "UPDATE"

    def validate(self, review: Review) -> None:
        """Refuse who may not approve for this signer."""
        signer = review.old.spec.signerName
        if not may(self._services, review, "approve", signer):
            raise errors.Forbidden.of(
                review.resource.kind, review.name,
                f'user not permitted to approve requests with signerName "{signer}"',
            )  # fmt: skip


def may(services: Services, review: Review, verb: str, signer: str) -> bool:
    """Say whether the user may do something for a signer, or for all of its domain."""
    if review.ctx.user.master:
        return True
    domain = signer.partition("/")[0]
    return any(
        services.authorizer.authorize(
            Attributes(review.ctx.user, verb, group=GROUP, version="*", plural="signers", name=name)
        ).allowed
        for name in (signer, f"{domain}/*")
    )
