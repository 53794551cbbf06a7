"""The signer of certificate requests.

In:   CertificateSigningRequests that somebody approved.
Out:  their certificates; or the condition Failed for those that no signer of ours may sign.
By:   controllers.all.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from kybern.api import codec
from kybern.api.certificates import requests as ask
from kybern.api.certificates.v1 import (
    CertificateSigningRequest,
    CertificateSigningRequestCondition,
)
from kybern.controllers.csrsigning.certificates import sign
from kybern.controllers.csrsigning.plan import Fail, Sign, plan
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.reconcile import DONE, Key, Outcome, Terminal, key_of
from kybern.lib.clock import rfc3339
from kybern.lib.pki import PkiError

if TYPE_CHECKING:
    from kybern.controllers.runtime.host import Context


class CsrSigningController:
    """Signs for the signers of which there is a key."""

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        self._clock = ctx.clock
        self._authorities = ctx.config.signers
        self._longest = ctx.config.signing_duration
        self._requests = ctx.informers.of(CertificateSigningRequest)
        self._loop: Loop[Key] = Loop("csrsigning", self.reconcile, after=(self._requests,))
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
        """Sign one request, or say why not."""
        request = self._requests.get(*key)
        if request is None:
            return DONE
        authority = self._authorities.get(request.spec.signerName)
        if authority is None:
            return DONE
        try:
            step = plan(request, self._longest)
        except PkiError as error:
            raise Terminal(f'unable to parse csr "{key.name}": {error}') from error
        if step is None:
            return DONE
        mine = codec.clone(request)
        now = self._clock.now()
        match step:
            case Fail(message):
                failed = CertificateSigningRequestCondition(
                    type=ask.FAILED,
                    status="True",
                    reason="SignerValidationFailure",
                    message=message,
                    lastUpdateTime=rfc3339(now),
                )
                mine.status.conditions = [*(mine.status.conditions or ()), failed]
            case Sign(seconds):
                made = sign(authority, ask.pem(request), request.spec.usages or (), seconds, now)
                mine.status.certificate = base64.b64encode(made).decode()
        await self._client.update_status(mine)
        return DONE
