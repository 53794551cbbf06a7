"""The disruption controller: keeps the books of PodDisruptionBudgets.

In:   budgets, pods, and the controllers of the pods.
Out:  the status of the budgets, from which evictions take; marks taken off pods that stayed.
By:   controllers.all.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from kybern.api import codec, selectors
from kybern.api.core import pods as ask
from kybern.api.core.v1 import Pod, PodCondition
from kybern.api.policy.v1 import PodDisruptionBudget
from kybern.controllers.disruption.plan import failed, forgiven, judge, needs_scale, wanted
from kybern.controllers.disruption.scales import Scales, Unknown
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.reconcile import DONE, After, Key, Outcome, key_of
from kybern.lib.clock import rfc3339

if TYPE_CHECKING:
    from kybern.api.policy.v1 import PodDisruptionBudgetStatus
    from kybern.client.informer import Informer
    from kybern.controllers.runtime.host import Context

UNMANAGED = (
    "Pods selected by this PodDisruptionBudget (selector: {}) were found to be unmanaged. As a "
    "result, the status of the PDB cannot be calculated correctly, which may result in undefined "
    'behavior. To account for these pods please set ".spec.minAvailable" field of the PDB to an '
    "integer value."
)


class DisruptionController:
    """Keeps the status of budgets."""

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        self._clock = ctx.clock
        self._recorder = ctx.recorder
        self._budgets = ctx.informers.of(PodDisruptionBudget)
        self._pods = ctx.informers.of(Pod)
        self._scales = Scales(ctx)
        after: tuple[Informer[Any], ...] = (self._budgets, self._pods, *self._scales.informers)
        self._loop: Loop[Key] = Loop("disruption", self.reconcile, after=after)
        self._marks: Loop[Key] = Loop("stale disruption", self.forgive, after=(self._pods,))
        self._budgets.on_change(lambda budget: self._loop.add(key_of(budget)))
        self._pods.on(add=self._seen, update=self._changed, delete=self._seen)
        for informer in self._scales.informers:
            informer.on(update=self._scaled)

    async def run(self) -> None:
        """Work for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._loop.run(), name="disruption")
            group.create_task(self._marks.run(), name="stale disruption")

    def statistics(self) -> dict[str, int]:
        """Return the loop's counters."""
        return self._loop.statistics()

    async def reconcile(self, key: Key) -> Outcome:
        """Count for one budget."""
        budget = self._budgets.get(*key)
        if budget is None:
            return DONE
        pods = self._selected(budget)
        if not pods:
            self._recorder.event(budget, "Normal", "NoPods", "No matching pods found")
        scale = 0
        if needs_scale(budget):
            try:
                scale, alone = await self._scales.total(pods)
            except Unknown as error:
                return await self._fail(budget, str(error))
            if alone:
                selector = selectors.from_struct(budget.spec.selector)
                self._recorder.event(budget, "Warning", "UnmanagedPods", UNMANAGED.format(selector))
        found = judge(budget, pods, wanted(budget, len(pods), scale), self._clock.now())
        for pod in found.overdue:
            text = f"Pod was expected by PDB {key} to be deleted but it wasn't"
            self._recorder.event(pod, "Warning", "NotDeleted", text)
        await self._write(budget, found.status)
        self._loop.looked(key, len(pods))
        return DONE if found.check_after is None else After(found.check_after)

    async def forgive(self, key: Key) -> Outcome:
        """Take the mark off a pod whose eviction never came."""
        pod = self._pods.get(*key)
        left = None if pod is None else forgiven(pod, self._clock.now())
        if pod is None or left is None:
            return DONE
        if left > 0:
            return After(left)
        mine = codec.clone(pod)
        condition = PodCondition(
            type="DisruptionTarget", status="False", observedGeneration=pod.metadata.generation
        )
        ask.set_condition(mine, condition, rfc3339(self._clock.now()))
        await self._client.update_status(mine)
        return DONE

    async def _fail(self, budget: PodDisruptionBudget, why: str) -> Outcome:
        text = f"Failed to calculate the number of expected pods: {why}"
        self._recorder.event(budget, "Warning", "CalculateExpectedPodCountFailed", text)
        await self._write(budget, failed(budget, why, self._clock.now()))
        return DONE

    async def _write(self, budget: PodDisruptionBudget, status: PodDisruptionBudgetStatus) -> None:
        if codec.equal(status, budget.status):
            return
        mine = codec.clone(budget)
        mine.status = status
        await self._client.update_status(mine)

    # --- from events to keys -----------------------------------------------------------------

    def _selected(self, budget: PodDisruptionBudget) -> list[Pod]:
        """Return the pods of a budget: an empty selector selects all, a missing one none."""
        if budget.spec.selector is None:
            return []
        selector = selectors.from_struct(budget.spec.selector)
        namespace = budget.metadata.namespace
        return [p for p in self._pods.list(namespace) if selector.matches(p.metadata.labels)]

    def _seen(self, pod: Pod) -> None:
        for budget in self._budgets.list(pod.metadata.namespace):
            wanted_labels = budget.spec.selector
            if wanted_labels is not None and selectors.from_struct(wanted_labels).matches(
                pod.metadata.labels
            ):
                self._loop.add(key_of(budget))
        if forgiven(pod, self._clock.now()) is not None:
            self._marks.add(key_of(pod))

    def _changed(self, old: Pod, new: Pod) -> None:
        self._seen(new)
        if old.metadata.labels != new.metadata.labels:
            self._seen(old)

    def _scaled(self, old: Any, new: Any) -> None:
        """A controller wants another number of pods: its budgets may count from that."""
        if old.spec.replicas != new.spec.replicas:
            for budget in self._budgets.list(new.metadata.namespace):
                if needs_scale(budget):
                    self._loop.add(key_of(budget))
