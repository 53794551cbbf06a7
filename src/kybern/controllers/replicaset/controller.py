"""The ReplicaSet controller: makes and deletes pods, writes the status.

In:   ReplicaSets and pods.
Out:  pods created and deleted, adopted and released; ReplicaSet status; events.
By:   controllers.all.

It keeps the pods of anything that is like a ReplicaSet; `Variety` says what the differences are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from kybern.api import codec, errors, selectors
from kybern.api.apps.v1 import ReplicaSet, ReplicaSetStatus
from kybern.api.core import pods as ask
from kybern.api.core.v1 import Pod
from kybern.client.metadata import Partial
from kybern.client.transport import Unreachable
from kybern.controllers.replicaset.plan import Failure, Plan, changed, new_pod, plan, status
from kybern.controllers.runtime.batches import FAILURES, namespace_is_terminating, slow_start
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.dependents import Dependents
from kybern.controllers.runtime.expectations import Expectations
from kybern.controllers.runtime.ownership import BY_CONTROLLER, INDEXERS, claim, controller_of
from kybern.controllers.runtime.reconcile import DONE, After, Key, Outcome, key_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.controllers.runtime.host import Context

CAUGHT_UP = After(10.0)  # how long to wait for the caches before looking again regardless


@dataclass(frozen=True, slots=True)
class Variety:
    """A kind of objects that keep so many pods of a template.

    Attributes:
        name: of the controller.
        type: of the objects.
        selector: what an object selects.
        status: a ReplicaSet's status as one of this kind.
    """

    name: str
    type: type[Any]
    selector: Callable[[Any], selectors.Selector]
    status: Callable[[ReplicaSetStatus], Any]


REPLICA_SET = Variety(
    name="replicaset",
    type=ReplicaSet,
    selector=lambda replica_set: selectors.from_struct(replica_set.spec.selector),
    status=lambda found: found,
)


class ReplicaSetController:
    """Keeps the pods of ReplicaSets."""

    def __init__(self, ctx: Context, variety: Variety = REPLICA_SET) -> None:
        self._client = ctx.client
        self._clock = ctx.clock
        self._recorder = ctx.recorder
        self._variety = variety
        self._sets = ctx.informers.of(variety.type, indexers=INDEXERS)
        self._pods = ctx.informers.of(Pod, indexers=INDEXERS)
        self._expected_pods: Expectations[Key] = Expectations(self._pods)
        self._expected_status: Expectations[Key] = Expectations(self._sets)
        self._unsure: dict[Key, list[Pod]] = {}
        """Pods that may be deleted: the server did not answer."""
        self._loop: Loop[Key] = Loop(
            variety.name,
            self.reconcile,
            after=(self._sets, self._pods),
            workers=ctx.config.workers,
        )
        self._sets.on(add=self._seen, update=self._changed, delete=self._seen)
        Dependents(self._sets, self._loop.add, variety.selector).follow(self._pods)

    async def run(self) -> None:
        """Work for ever."""
        await self._loop.run()

    def statistics(self) -> dict[str, int]:
        """Return the loop's counters."""
        return self._loop.statistics()

    def _seen(self, one: Any) -> None:
        self._loop.add(key_of(one))

    def _changed(self, old: Any, new: Any) -> None:
        if old.metadata.generation != new.metadata.generation:
            self._loop.hurry(key_of(new))
        else:
            self._loop.add(key_of(new))

    async def reconcile(self, key: Key) -> Outcome:
        """Bring the number of pods closer to what is wanted, then write the status."""
        replica_set = self._sets.get(*key)
        if replica_set is None:
            self._expected_pods.forget(key)
            self._expected_status.forget(key)
            self._unsure.pop(key, None)
            return DONE
        if not self._expected_status.satisfied(key):
            return CAUGHT_UP
        await self._make_sure(key)  # before the cache is read: that must not be older
        if not self._expected_pods.satisfied(key):
            return CAUGHT_UP  # what is missing brings us back
        selector = self._variety.selector(replica_set)
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
        check = await self._report(key, replica_set, pods, failure)
        if failure is not None:
            raise errors.ServiceUnavailable(failure.message)
        self._loop.looked(key, len(pods))
        return After(check) if outcome is DONE and check is not None else outcome

    def _plan(self, replica_set: Any, pods: list[Pod]) -> Plan:
        active = [pod for pod in pods if ask.is_active(pod)]
        return plan(replica_set, active, lambda: self._related(replica_set), self._clock.now())

    def _related(self, replica_set: Any) -> list[Pod]:
        """Active pods of all ReplicaSets of the same owner, which is mostly a Deployment."""
        owner = controller_of(replica_set)
        siblings = [replica_set]
        if owner is not None:
            siblings = self._sets.by_index(BY_CONTROLLER, owner.uid)
        return [
            pod
            for sibling in siblings
            for pod in self._pods.by_index(BY_CONTROLLER, sibling.metadata.uid or "")
            if ask.is_active(pod)
        ]

    # --- acting ------------------------------------------------------------------------------

    async def _act(self, key: Key, replica_set: Any, steps: Plan) -> Failure | None:
        if steps.create:
            create = partial(self._create, key, replica_set)
            error = await slow_start([new_pod(replica_set)] * steps.create, create)
            return Failure("FailedCreate", str(error)) if error is not None else None
        delete = partial(self._delete, key, replica_set)
        error = await slow_start(steps.delete, delete, first=max(1, len(steps.delete)))
        return Failure("FailedDelete", str(error)) if error is not None else None

    async def _create(self, key: Key, replica_set: Any, pod: Pod) -> None:
        try:
            created = await self._client.create(pod, into=Partial)
        except FAILURES as error:
            if not namespace_is_terminating(error):
                told = f"Error creating: {error}"
                self._recorder.event(replica_set, "Warning", "FailedCreate", told)
            raise
        self._expected_pods.wrote(key, created)
        told = f"Created pod: {created.metadata.name}"
        self._recorder.event(replica_set, "Normal", "SuccessfulCreate", told)

    async def _delete(self, key: Key, replica_set: Any, pod: Pod) -> None:
        name, namespace = pod.metadata.name or "", pod.metadata.namespace or ""
        try:
            await self._client.delete(Pod, name, namespace, uid=pod.metadata.uid)
        except (errors.NotFound, errors.Conflict):
            pass  # gone before we came, or another pod by now
        except FAILURES as error:
            if isinstance(error, Unreachable):
                self._unsure.setdefault(key, []).append(pod)
            told = f"Error deleting: {error}"
            self._recorder.event(replica_set, "Warning", "FailedDelete", told)
            raise
        else:
            self._recorder.event(replica_set, "Normal", "SuccessfulDelete", f"Deleted pod: {name}")
        self._expected_pods.deleted(key, pod)

    async def _make_sure(self, key: Key) -> None:
        """Ask whether pods are deleted: a cache that lags would have others deleted in their place.

        Raises:
            ApiError, Unreachable: there is still no answer.
        """
        while unsure := self._unsure.get(key):
            pod = unsure[-1]
            # Upstream's policy lets this account list pods, not get one.
            by_name = f"metadata.name={pod.metadata.name}"
            found, _ = await self._client.list(Pod, key.namespace, field_selector=by_name)
            if not found or _is_leaving(found[0], pod):
                self._expected_pods.deleted(key, pod)
            unsure.pop()
        self._unsure.pop(key, None)

    async def _report(
        self, key: Key, replica_set: Any, pods: list[Pod], failure: Failure | None
    ) -> float | None:
        found = status(replica_set, pods, self._clock.now(), failure)
        wanted = self._variety.status(found.status)
        if changed(replica_set, wanted):
            mine = codec.clone(replica_set)
            mine.status = wanted
            self._expected_status.wrote(key, await self._client.update_status(mine, into=Partial))
        return found.check_after


def _is_leaving(found: Pod, pod: Pod) -> bool:
    return found.metadata.uid != pod.metadata.uid or found.metadata.deletionTimestamp is not None
