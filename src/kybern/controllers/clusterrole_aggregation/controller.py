"""The ClusterRole aggregation controller.

In:   ClusterRoles.
Out:  the rules of those with an aggregationRule.
By:   controllers.all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import codec
from kybern.api.rbac.v1 import ClusterRole
from kybern.controllers.clusterrole_aggregation.plan import rules
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.reconcile import DONE, Key, Outcome, key_of

if TYPE_CHECKING:
    from kybern.controllers.runtime.host import Context

MANAGER = "clusterrole-aggregation-controller"
"""Whose the rules are: nobody else's apply takes them for missing."""


class ClusterRoleAggregationController:
    """Keeps aggregated ClusterRoles."""

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        self._roles = ctx.informers.of(ClusterRole)
        self._loop: Loop[Key] = Loop(
            "clusterrole-aggregation", self.reconcile, after=(self._roles,)
        )
        self._roles.on_change(self._changed)

    async def run(self) -> None:
        """Work for ever."""
        await self._loop.run()

    def statistics(self) -> dict[str, int]:
        """Return the loop's counters."""
        return self._loop.statistics()

    async def reconcile(self, key: Key) -> Outcome:
        """Write the rules of one role."""
        role = self._roles.get(*key)
        if role is None or role.aggregationRule is None:
            return DONE
        wanted = rules(role, self._roles.list())
        if codec.equal(role.rules or [], wanted):
            return DONE
        body = {
            "apiVersion": role.apiVersion,
            "kind": role.kind,
            "metadata": {"name": key.name},
            "rules": [codec.to_tree(rule) for rule in wanted],
        }
        await self._client.patch(
            ClusterRole, key.name, "", body, type="apply", field_manager=MANAGER, force=True
        )
        return DONE

    def _changed(self, role: ClusterRole) -> None:
        """A change can matter to every aggregated role; there are few of them."""
        del role
        for other in self._roles.list():
            if other.aggregationRule is not None:
                self._loop.add(key_of(other))
