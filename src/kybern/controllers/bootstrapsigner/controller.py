"""The bootstrap signer.

In:   `kube-public/cluster-info`, and the bootstrap tokens in kube-system.
Out:  that ConfigMap with the tokens' signatures.
By:   controllers.all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api.core import bootstrap_tokens as tokens
from kybern.api.core.v1 import ConfigMap, Secret
from kybern.controllers.bootstrapsigner.plan import plan
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.reconcile import DONE, Key, Outcome

if TYPE_CHECKING:
    from kybern.controllers.runtime.host import Context

INFO = Key(tokens.INFO_NAMESPACE, tokens.INFO)


class BootstrapSigner:
    """Keeps the signatures of one ConfigMap."""

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        self._clock = ctx.clock
        self._maps = ctx.informers.of(
            ConfigMap, namespace=INFO.namespace, field_selector=f"metadata.name={INFO.name}"
        )
        self._secrets = ctx.informers.of(
            Secret, namespace=tokens.NAMESPACE, field_selector=f"type={tokens.TYPE}"
        )
        self._loop: Loop[Key] = Loop(
            "bootstrapsigner", self.reconcile, after=(self._maps, self._secrets), workers=1
        )
        self._maps.on_change(lambda _: self._loop.add(INFO))
        self._secrets.on_change(lambda _: self._loop.add(INFO))

    async def run(self) -> None:
        """Work for ever."""
        await self._loop.run()

    def statistics(self) -> dict[str, int]:
        """Return the loop's counters."""
        return self._loop.statistics()

    async def reconcile(self, key: Key) -> Outcome:
        """Sign, when a signature is missing, wrong or left over."""
        info = self._maps.get(*key)
        if info is None:
            return DONE
        signed = plan(info, self._secrets.list(), self._clock.now())
        if signed is not None:
            await self._client.update(signed)
        return DONE
