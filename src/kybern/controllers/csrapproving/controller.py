"""The approver of certificate requests.

In:   CertificateSigningRequests of kubelets.
Out:  the condition Approved, where who asks has the right to get it without being looked at.
By:   controllers.all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import codec, errors
from kybern.api.authorization.v1 import (
    ResourceAttributes,
    SubjectAccessReview,
    SubjectAccessReviewSpec,
)
from kybern.api.certificates import requests as ask
from kybern.api.certificates.v1 import (
    CertificateSigningRequest,
    CertificateSigningRequestCondition,
)
from kybern.controllers.csrapproving.plan import Right, plan
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.reconcile import DONE, Key, Outcome, Terminal, key_of
from kybern.lib.pki import PkiError

if TYPE_CHECKING:
    from kybern.controllers.runtime.host import Context


class CsrApprovingController:
    """Approves what upstream approves by itself."""

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        self._requests = ctx.informers.of(CertificateSigningRequest)
        self._loop: Loop[Key] = Loop("csrapproving", self.reconcile, after=(self._requests,))
        self._requests.on(
            add=lambda request: self._loop.add(key_of(request)),
            update=lambda _, request: self._loop.add(key_of(request)),
        )

    async def run(self) -> None:
        """Work for ever."""
        await self._loop.run()

    def statistics(self) -> dict[str, int]:
        """Return the loop's counters."""
        return self._loop.statistics()

    async def reconcile(self, key: Key) -> Outcome:
        """Approve one request, if one of the rights is there.

        Raises:
            Forbidden: none is; asked again later, as somebody may be about to grant it.
        """
        request = self._requests.get(*key)
        if request is None:
            return DONE
        try:
            rights = plan(request)
        except PkiError as error:
            raise Terminal(f'unable to parse csr "{key.name}": {error}') from error
        for right in rights:
            if await self._may(request, right):
                await self._approve(request, right)
                return DONE
        if rights:
            tried = " ".join(right.subresource for right in rights)
            raise errors.Forbidden(
                f'recognized csr "{key.name}" as [{tried}] but subject access review was not '
                "approved"
            )
        return DONE

    async def _may(self, request: CertificateSigningRequest, right: Right) -> bool:
        spec = request.spec
        wanted = ResourceAttributes(
            group="certificates.k8s.io",
            resource="certificatesigningrequests",
            subresource=right.subresource,
            verb="create",
        )
        review = SubjectAccessReviewSpec(
            user=spec.username,
            uid=spec.uid,
            groups=spec.groups,
            extra=spec.extra,
            resourceAttributes=wanted,
        )
        answer = await self._client.create(SubjectAccessReview(spec=review))
        return answer.status.allowed

    async def _approve(self, request: CertificateSigningRequest, right: Right) -> None:
        mine = codec.clone(request)
        approved = CertificateSigningRequestCondition(
            type=ask.APPROVED, status="True", reason="AutoApproved", message=right.message
        )
        mine.status.conditions = [*(mine.status.conditions or ()), approved]
        await self._client.update(mine, subresource="approval")
