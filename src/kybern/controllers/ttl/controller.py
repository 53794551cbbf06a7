"""The TTL controller.

In:   Nodes.
Out:  the annotation by which each kubelet knows how long it may keep Secrets and ConfigMaps.
By:   controllers.all.

A node gets a new value when it is looked at anyway, which its own status causes every few minutes:
the size of a cluster changing does not cause a write to all of its nodes at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api.core.v1 import Node
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.reconcile import DONE, Key, Outcome, key_of
from kybern.controllers.ttl.plan import ANNOTATION, STEPS, step, wanted

if TYPE_CHECKING:
    from kybern.controllers.runtime.host import Context


class TtlController:
    """Keeps one annotation of every node."""

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        self._nodes = ctx.informers.of(Node)
        self._step = 0
        self._loop: Loop[Key] = Loop("ttl", self.reconcile, after=(self._nodes,), workers=1)
        self._nodes.on(
            add=lambda node: self._loop.add(key_of(node)),
            update=lambda _, node: self._loop.add(key_of(node)),
        )

    async def run(self) -> None:
        """Work for ever."""
        await self._loop.run()

    def statistics(self) -> dict[str, int]:
        """Return the loop's counters."""
        return self._loop.statistics()

    async def reconcile(self, key: Key) -> Outcome:
        """Write the annotation of one node."""
        node = self._nodes.get(*key)
        if node is None:
            return DONE
        self._step = step(len(self._nodes.index), self._step)
        value = wanted(node, STEPS[self._step].seconds)
        if value is not None:
            body = {"metadata": {"annotations": {ANNOTATION: value}}}
            await self._client.patch(Node, key.name, "", body, type="strategic")
        return DONE
