"""The token cleaner.

In:   the bootstrap tokens in kube-system.
Out:  those that have ended are deleted.
By:   controllers.all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api.core import bootstrap_tokens as tokens
from kybern.api.core.v1 import Secret
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.reconcile import DONE, After, Key, Outcome, key_of
from kybern.controllers.tokencleaner.plan import due

if TYPE_CHECKING:
    from kybern.controllers.runtime.host import Context


class TokenCleaner:
    """Deletes tokens in time."""

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        self._clock = ctx.clock
        self._secrets = ctx.informers.of(
            Secret, namespace=tokens.NAMESPACE, field_selector=f"type={tokens.TYPE}"
        )
        self._loop: Loop[Key] = Loop(
            "tokencleaner", self.reconcile, after=(self._secrets,), workers=1
        )
        self._secrets.on(
            add=lambda secret: self._loop.add(key_of(secret)),
            update=lambda _, secret: self._loop.add(key_of(secret)),
        )

    async def run(self) -> None:
        """Work for ever."""
        await self._loop.run()

    def statistics(self) -> dict[str, int]:
        """Return the loop's counters."""
        return self._loop.statistics()

    async def reconcile(self, key: Key) -> Outcome:
        """Delete a token that has ended, or come back when it does."""
        secret = self._secrets.get(*key)
        delay = None if secret is None else due(secret, self._clock.now())
        if secret is None or delay is None:
            return DONE
        if delay:
            return After(delay)
        await self._client.delete(Secret, key.name, key.namespace, uid=secret.metadata.uid)
        return DONE
