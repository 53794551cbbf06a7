"""The status of ValidatingAdmissionPolicies.

In:   ValidatingAdmissionPolicies; the API server's documents about kinds that are not built in.
Out:  `status.typeChecking` and `status.observedGeneration`, once for each generation.
By:   controllers.all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.api import codec, errors
from kybern.api.admissionregistration.v1 import ValidatingAdmissionPolicy
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.reconcile import DONE, Key, Outcome, key_of

if TYPE_CHECKING:
    from kybern.controllers.runtime.host import Context
    from kybern.controllers.validatingadmissionpolicystatus.plan import Known

MANAGER = "validatingadmissionpolicy-status"


class PolicyStatusController:
    """Checks types."""

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        self._policies = ctx.informers.of(ValidatingAdmissionPolicy)
        self._loop: Loop[Key] = Loop(MANAGER, self.reconcile, after=(self._policies,))
        self._policies.on_change(lambda policy: self._loop.add(key_of(policy)))

    async def run(self) -> None:
        """Work for ever."""
        await self._loop.run()

    def statistics(self) -> dict[str, int]:
        """Return the loop's counters."""
        return self._loop.statistics()

    async def reconcile(self, key: Key) -> Outcome:
        """Check the expressions of one policy, unless they have been."""
        policy = self._policies.get(*key)
        if policy is None:
            return DONE
        generation = policy.metadata.generation or 0
        if generation <= (policy.status.observedGeneration or 0):
            return DONE
        # The language is brought along when there is something to read in it.
        from kybern.controllers.validatingadmissionpolicystatus import plan

        learned = [known for where in plan.unknown(policy) for known in await self._learn(*where)]
        found = [codec.to_tree(each) for each in plan.warnings(policy, learned)]
        checked = {"expressionWarnings": found} if found else {}
        body = {
            "apiVersion": policy.apiVersion,
            "kind": policy.kind,
            "metadata": {"name": key.name},
            "status": {"observedGeneration": generation, "typeChecking": checked},
        }
        await self._client.patch(
            ValidatingAdmissionPolicy, key.name, "", body, type="apply", subresource="status",
            field_manager=MANAGER, force=True,
        )  # fmt: skip
        return DONE

    async def _learn(self, group: str, version: str) -> list[Known]:
        """Return what the API server says about the kinds of a group; nothing when it has none."""
        from kybern.api.expressions import openapi
        from kybern.controllers.validatingadmissionpolicystatus.plan import Known

        path = f"apis/{group}/{version}"
        try:
            served = codec.decode_tree(await self._client.raw("GET", f"/{path}"))
            document = codec.decode_tree(await self._client.raw("GET", f"/openapi/v3/{path}"))
        except errors.NotFound:
            return []
        found: list[Known] = []
        for each in served["resources"]:
            held = openapi.type_of(document, group, version, each["kind"])
            if held is not None and "/" not in each["name"]:
                found.append(Known(group, version, each["kind"], each["name"], held))
        return found
