"""The ReplicaSet controller: makes and deletes pods, writes the status.

In:   ReplicaSets and pods.
Out:  pods created and deleted, adopted and released; ReplicaSet status; events.
By:   controllers.all.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kybern.api import codec, errors, selectors
from kybern.api.apps.v1 import ReplicaSet
from kybern.api.core import pods as ask
from kybern.api.core.v1 import Pod
from kybern.client.transport import Unreachable
from kybern.controllers.replicaset.plan import Failure, Plan, changed, new_pod, plan, status
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.expectations import Expectations
from kybern.controllers.runtime.ownership import BY_CONTROLLER, INDEXERS, claim, controller_of
from kybern.controllers.runtime.reconcile import DONE, After, Key, Outcome, key_of

if TYPE_CHECKING:
    from kybern.controllers.runtime.host import Context

CAUGHT_UP = After(10.0)  # how long to wait for the caches before looking again regardless


class ReplicaSetController:
    """Keeps the pods of ReplicaSets."""

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        self._clock = ctx.clock
        self._recorder = ctx.recorder
        self._replica_sets = ctx.informers.of(ReplicaSet, indexers=INDEXERS)
        self._pods = ctx.informers.of(Pod, indexers=INDEXERS)
        self._expected_pods: Expectations[Key] = Expectations(self._pods)
        self._expected_status: Expectations[Key] = Expectations(self._replica_sets)
        self._loop: Loop[Key] = Loop(
            "replicaset",
            self.reconcile,
            after=(self._replica_sets, self._pods),
            workers=ctx.config.workers,
        )
        self._replica_sets.on_change(lambda rs: self._loop.add(key_of(rs)))
        self._pods.on(add=self._pod_seen, update=self._pod_changed, delete=self._pod_seen)

    async def run(self) -> None:
        """Work for ever."""
        await self._loop.run()

    def statistics(self) -> dict[str, int]:
        """Return the loop's counters."""
        return self._loop.statistics()

    async def reconcile(self, key: Key) -> Outcome:
        """Bring the number of pods closer to what is wanted, then write the status."""
        replica_set = self._replica_sets.get(*key)
        if replica_set is None:
            self._expected_pods.forget(key)
            self._expected_status.forget(key)
            return DONE
        if not self._expected_status.satisfied(key):
            return CAUGHT_UP
        selector = selectors.from_struct(replica_set.spec.selector)
        pods, written = await claim(self._client, replica_set, selector, self._pods)
        for pod in written:
            self._expected_pods.wrote(key, pod)
        failure: Failure | None = None
        outcome: Outcome = DONE
        if not self._expected_pods.satisfied(key):
            outcome = CAUGHT_UP
        elif replica_set.metadata.deletionTimestamp is None:
            steps = self._plan(replica_set, pods)
            failure = await self._act(key, replica_set, steps)
            if failure is None and (steps.create or steps.delete):
                return CAUGHT_UP  # the pods' own events bring us back, with something to report
        wait = await self._report(key, replica_set, pods, failure)
        if failure is not None:
            raise errors.ServiceUnavailable(failure.message)
        return After(wait) if outcome is DONE and wait is not None else outcome

    def _plan(self, replica_set: ReplicaSet, pods: list[Pod]) -> Plan:
        active = [pod for pod in pods if ask.is_active(pod)]
        return plan(replica_set, active, self._related(replica_set), self._clock.now())

    def _related(self, replica_set: ReplicaSet) -> list[Pod]:
        """Active pods of all ReplicaSets of the same owner, which is mostly a Deployment."""
        owner = controller_of(replica_set)
        siblings = [replica_set]
        if owner is not None:
            siblings = self._replica_sets.by_index(BY_CONTROLLER, owner.uid)
        return [
            pod
            for sibling in siblings
            for pod in self._pods.by_index(BY_CONTROLLER, sibling.metadata.uid or "")
            if ask.is_active(pod)
        ]

    # --- acting ------------------------------------------------------------------------------

    async def _act(self, key: Key, replica_set: ReplicaSet, steps: Plan) -> Failure | None:
        if steps.create:
            return await self._create(key, replica_set, steps.create)
        if steps.delete:
            return await self._delete(key, replica_set, steps.delete)
        return None

    async def _create(self, key: Key, replica_set: ReplicaSet, count: int) -> Failure | None:
        """Create pods, one, two, four, … at a time: what fails for one mostly fails for all."""
        pod = new_pod(replica_set)
        batch, left = 1, count
        failures: list[str] = []
        while left and not failures:
            batch = min(batch, left)
            async with asyncio.TaskGroup() as group:
                for _ in range(batch):
                    group.create_task(self._create_one(key, replica_set, pod, failures))
            left -= batch
            batch *= 2
        return Failure("FailedCreate", failures[0]) if failures else None

    async def _create_one(
        self, key: Key, replica_set: ReplicaSet, pod: Pod, failures: list[str]
    ) -> None:
        try:
            created = await self._client.create(pod)
        except (errors.ApiError, Unreachable) as error:
            failures.append(str(error))
            if not _namespace_is_terminating(error):
                self._recorder.event(
                    replica_set, "Warning", "FailedCreate", f"Error creating: {error}"
                )
            return
        self._expected_pods.wrote(key, created)
        name = created.metadata.name
        self._recorder.event(replica_set, "Normal", "SuccessfulCreate", f"Created pod: {name}")

    async def _delete(
        self, key: Key, replica_set: ReplicaSet, victims: tuple[Pod, ...]
    ) -> Failure | None:
        failures: list[str] = []
        async with asyncio.TaskGroup() as group:
            for pod in victims:
                group.create_task(self._delete_one(key, replica_set, pod, failures))
        return Failure("FailedDelete", failures[0]) if failures else None

    async def _delete_one(
        self, key: Key, replica_set: ReplicaSet, pod: Pod, failures: list[str]
    ) -> None:
        name, namespace = pod.metadata.name or "", pod.metadata.namespace or ""
        try:
            await self._client.delete(Pod, name, namespace, uid=pod.metadata.uid)
        except (errors.NotFound, errors.Conflict):
            pass  # gone before we came, or another pod by now
        except (errors.ApiError, Unreachable) as error:
            failures.append(str(error))
            self._recorder.event(replica_set, "Warning", "FailedDelete", f"Error deleting: {error}")
            return
        else:
            self._recorder.event(replica_set, "Normal", "SuccessfulDelete", f"Deleted pod: {name}")
        self._expected_pods.deleted(key, pod)

    async def _report(
        self, key: Key, replica_set: ReplicaSet, pods: list[Pod], failure: Failure | None
    ) -> float | None:
        found = status(replica_set, pods, self._clock.now(), failure)
        if changed(replica_set, found.status):
            mine = codec.clone(replica_set)
            mine.status = found.status
            self._expected_status.wrote(key, await self._client.update_status(mine))
        return found.check_after

    # --- from events to keys -----------------------------------------------------------------

    def _pod_seen(self, pod: Pod) -> None:
        if controller_of(pod) is not None:
            self._enqueue_owner(pod)
        elif pod.metadata.deletionTimestamp is None:
            self._enqueue_selecting(pod)

    def _pod_changed(self, old: Pod, new: Pod) -> None:
        before, after = controller_of(old), controller_of(new)
        if before is not None and (after is None or after.uid != before.uid):
            self._enqueue_owner(old)
        if after is not None:
            self._enqueue_owner(new)
        elif before is not None or old.metadata.labels != new.metadata.labels:
            self._enqueue_selecting(new)

    def _enqueue_owner(self, pod: Pod) -> None:
        reference = controller_of(pod)
        if reference is None or reference.kind != "ReplicaSet":
            return
        key = Key(pod.metadata.namespace or "", reference.name)
        owner = self._replica_sets.get(*key)
        if owner is not None and owner.metadata.uid == reference.uid:
            self._loop.add(key)

    def _enqueue_selecting(self, pod: Pod) -> None:
        for replica_set in self._replica_sets.list(pod.metadata.namespace or ""):
            if selectors.from_struct(replica_set.spec.selector).matches(pod.metadata.labels):
                self._loop.add(key_of(replica_set))


def _namespace_is_terminating(error: Exception) -> bool:
    return isinstance(error, errors.ApiError) and any(
        cause.get("reason") == "NamespaceTerminating" for cause in error.causes
    )
