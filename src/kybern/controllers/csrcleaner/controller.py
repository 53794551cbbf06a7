"""The cleaner of certificate requests.

In:   CertificateSigningRequests.
Out:  old ones are deleted.
By:   controllers.all.

Upstream looks at all of them every hour; here each is looked at when its time comes.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from kybern.api.certificates.v1 import CertificateSigningRequest
from kybern.controllers.csrcleaner.plan import due
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.reconcile import DONE, After, Key, Outcome, Terminal, key_of
from kybern.lib.pki import PkiError

if TYPE_CHECKING:
    from kybern.controllers.runtime.host import Context


class CsrCleanerController:
    """Deletes requests in time."""

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        self._clock = ctx.clock
        self._requests = ctx.informers.of(CertificateSigningRequest)
        self._loop: Loop[Key] = Loop(
            "csrcleaner", self.reconcile, after=(self._requests,), workers=1
        )
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
        """Delete one request, or come back when it is due."""
        request = self._requests.get(*key)
        if request is None:
            return DONE
        try:
            left = due(request) - self._clock.now()
        except PkiError as error:
            raise Terminal(str(error)) from error
        if left > 0:
            return DONE if left == inf else After(left)
        await self._client.delete(CertificateSigningRequest, key.name, uid=request.metadata.uid)
        return DONE
