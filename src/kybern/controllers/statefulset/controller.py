"""The StatefulSet controller: carries plans out.

In:   StatefulSets, their pods, claims and revisions.
Out:  pods and claims created, corrected and deleted; revisions; StatefulSet status; events.
By:   controllers.all.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from kybern.api import codec, errors, selectors
from kybern.api.apps.v1 import ControllerRevision, StatefulSet, StatefulSetStatus
from kybern.api.core.v1 import PersistentVolumeClaim, Pod
from kybern.controllers.history.keeper import Keeper, NameTaken
from kybern.controllers.history.plan import History, idle, template_of
from kybern.controllers.runtime.batches import FAILURES, slow_start
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.dependents import Dependents
from kybern.controllers.runtime.expectations import Expectations
from kybern.controllers.runtime.ownership import INDEXERS, claim
from kybern.controllers.runtime.reconcile import DONE, After, Key, Outcome, key_of
from kybern.controllers.statefulset.claims import is_disputed
from kybern.controllers.statefulset.identity import (
    Revision,
    claim_name,
    is_member,
    number_of,
    numbers,
    revision_of,
)
from kybern.controllers.statefulset.plan import Plan, Step, plan

if TYPE_CHECKING:
    from kybern.controllers.runtime.host import Context

CAUGHT_UP = After(10.0)  # how long to wait for the caches before looking again regardless
HASH_LABEL = "controller.kubernetes.io/hash"


class StatefulSetController:
    """Keeps the pods of StatefulSets."""

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        self._clock = ctx.clock
        self._recorder = ctx.recorder
        self._sets = ctx.informers.of(StatefulSet)
        self._pods = ctx.informers.of(Pod, indexers=INDEXERS)
        self._claims = ctx.informers.of(PersistentVolumeClaim)
        self._history = Keeper(ctx, HASH_LABEL)
        self._expected_pods: Expectations[Key] = Expectations(self._pods)
        self._expected_claims: Expectations[Key] = Expectations(self._claims)
        self._expected_status: Expectations[Key] = Expectations(self._sets)
        self._loop: Loop[Key] = Loop(
            "statefulset",
            self.reconcile,
            after=(self._sets, self._pods, self._claims, self._history.informer),
            workers=ctx.config.workers,
        )
        self._sets.on_change(lambda one: self._loop.add(key_of(one)))
        owned: Dependents[StatefulSet] = Dependents(self._sets, self._loop.add, _selector)
        owned.follow(self._pods)
        self._history.informer.on(delete=owned.seen)
        self._claims.on(delete=self._claim_gone)

    async def run(self) -> None:
        """Work for ever."""
        await self._loop.run()

    def statistics(self) -> dict[str, int]:
        """Return the loop's counters."""
        return self._loop.statistics()

    async def reconcile(self, key: Key) -> Outcome:
        """Take the steps that the order allows now; what they bring about calls for the next."""
        stateful_set = self._sets.get(*key)
        if stateful_set is None:
            self._forget(key)
            return DONE
        if not self._caught_up(key):
            return CAUGHT_UP
        selector = _selector(stateful_set)
        pods, written = await claim(
            self._client, stateful_set, selector, self._pods, partial(is_member, stateful_set)
        )
        for pod in written:
            self._expected_pods.wrote(key, pod)
        try:
            history = await self._history.establish(key, stateful_set, selector)
        except NameTaken as taken:
            await self._count_collision(key, stateful_set)
            raise errors.Conflict(f'the name of revision "{taken}" is taken') from taken
        current, update = _revisions(stateful_set, history)
        claims = self._claims_of(stateful_set, pods)
        steps = plan(stateful_set, pods, claims, current, update, self._clock.now())
        failure = await self._act(key, stateful_set, steps)
        await self._report(key, stateful_set, steps.status)
        if failure is not None:
            raise failure
        await self._truncate(key, stateful_set, history, pods, current)
        return After(steps.check_after) if steps.check_after is not None else DONE

    def _claims_of(
        self, stateful_set: StatefulSet, pods: list[Pod]
    ) -> dict[str, PersistentVolumeClaim]:
        """Return the claims there are of the pods that are and of those that should be."""
        everyone = {*numbers(stateful_set), *map(number_of, pods)}
        found = {}
        for template in stateful_set.spec.volumeClaimTemplates or ():
            for number in everyone:
                name = claim_name(template, stateful_set, number)
                one = self._claims.get(stateful_set.metadata.namespace or "", name)
                if one is not None:
                    found[name] = one
        return found

    def _caught_up(self, key: Key) -> bool:
        expected = (
            self._expected_status, self._expected_pods, self._expected_claims, self._history,
        )  # fmt: skip
        return all(one.satisfied(key) for one in expected)

    def _forget(self, key: Key) -> None:
        self._expected_status.forget(key)
        self._expected_pods.forget(key)
        self._expected_claims.forget(key)
        self._history.forget(key)

    # --- acting ------------------------------------------------------------------------------

    async def _act(self, key: Key, stateful_set: StatefulSet, steps: Plan) -> Exception | None:
        do = partial(self._step, key, stateful_set)
        if steps.burst:
            return await slow_start(steps.steps, do)
        for step in steps.steps:
            if (failure := await slow_start((step,), do)) is not None:
                return failure
        return None

    async def _step(self, key: Key, stateful_set: StatefulSet, step: Step) -> None:
        try:
            for one in step.claims:
                await self._create_claim(key, stateful_set, step.pod, one)
            for one in step.owners:
                await self._own(key, stateful_set, step.pod, one)
            if step.verb == "create":
                self._expected_pods.wrote(key, await self._client.create(step.pod))
            elif step.verb == "update":
                self._expected_pods.wrote(key, await self._client.update(step.pod))
            elif step.verb == "delete":
                await self._delete(key, step.pod)
        except errors.AlreadyExists:
            raise  # one of the name that is not ours, or a cache that is behind: no news
        except FAILURES as error:
            self._tell(stateful_set, step, error)
            raise
        if step.verb:
            self._tell(stateful_set, step, None)

    async def _delete(self, key: Key, pod: Pod) -> None:
        metadata = pod.metadata
        try:
            await self._client.delete(
                Pod, metadata.name or "", metadata.namespace or "", uid=metadata.uid
            )
        except errors.NotFound:
            return
        self._expected_pods.deleted(key, pod)

    async def _create_claim(
        self, key: Key, stateful_set: StatefulSet, pod: Pod, one: PersistentVolumeClaim
    ) -> None:
        claimed, name = f"Claim {one.metadata.name}", stateful_set.metadata.name
        try:
            created = await self._client.create(one)
        except errors.AlreadyExists:
            return
        except FAILURES as error:
            told = f"create {claimed} for Pod {pod.metadata.name} in StatefulSet {name} failed"
            self._recorder.event(stateful_set, "Warning", "FailedCreate", f"{told} error: {error}")
            raise
        self._expected_claims.wrote(key, created)
        told = f"create {claimed} Pod {pod.metadata.name} in StatefulSet {name} success"
        self._recorder.event(stateful_set, "Normal", "SuccessfulCreate", told)

    async def _own(
        self, key: Key, stateful_set: StatefulSet, pod: Pod, one: PersistentVolumeClaim
    ) -> None:
        if is_disputed(stateful_set, pod, one):
            told = (
                f"PersistentVolumeClaim {one.metadata.name} has a conflicting OwnerReference that"
                " acts as a managing controller, the retention policy is ignored for this claim"
            )
            self._recorder.event(stateful_set, "Warning", "ConflictingController", told)
        self._expected_claims.wrote(key, await self._client.update(one))

    def _tell(self, stateful_set: StatefulSet, step: Step, error: Exception | None) -> None:
        verb = step.verb or "update"
        told = f"{verb} Pod {step.pod.metadata.name} in StatefulSet {stateful_set.metadata.name}"
        if error is None:
            kind, reason, told = "Normal", f"Successful{verb.title()}", f"{told} successful"
        else:
            kind, reason, told = "Warning", f"Failed{verb.title()}", f"{told} failed error: {error}"
        self._recorder.event(stateful_set, kind, reason, told)

    async def _report(self, key: Key, stateful_set: StatefulSet, status: StatefulSetStatus) -> None:
        if codec.equal(stateful_set.status, status):
            return
        mine = codec.clone(stateful_set)
        mine.status = status
        self._expected_status.wrote(key, await self._client.update_status(mine))

    async def _count_collision(self, key: Key, stateful_set: StatefulSet) -> None:
        mine = codec.clone(stateful_set)
        mine.status.collisionCount = (mine.status.collisionCount or 0) + 1
        self._expected_status.wrote(key, await self._client.update_status(mine))

    async def _truncate(
        self,
        key: Key,
        stateful_set: StatefulSet,
        history: History,
        pods: list[Pod],
        current: Revision,
    ) -> None:
        live = {current.name, *(revision_of(pod) for pod in pods)}
        surplus = idle(history.old, live)
        limit = stateful_set.spec.revisionHistoryLimit
        if limit is not None and limit >= 0:
            await self._history.delete(key, surplus[: max(0, len(surplus) - limit)])

    # --- from events to keys -----------------------------------------------------------------

    def _claim_gone(self, one: PersistentVolumeClaim) -> None:
        """A pod may have waited for the end of its predecessor's claim."""
        name = one.metadata.name or ""
        for stateful_set in self._sets.list(one.metadata.namespace or ""):
            stem = f"-{stateful_set.metadata.name}-"
            templates = stateful_set.spec.volumeClaimTemplates or ()
            if any(name.startswith(f"{each.metadata.name}{stem}") for each in templates):
                self._loop.add(key_of(stateful_set))


def _selector(stateful_set: StatefulSet) -> selectors.Selector:
    return selectors.from_struct(stateful_set.spec.selector)


def _revisions(stateful_set: StatefulSet, history: History) -> tuple[Revision, Revision]:
    """Return the revision that is being left, and that of the template."""
    newest = history.current
    assert newest is not None
    update = Revision(newest.metadata.name or "", stateful_set.spec.template)
    for one in (*history.old, *history.duplicates):
        if one.metadata.name == stateful_set.status.currentRevision:
            return _revision(one, update), update
    return update, update


def _revision(one: ControllerRevision, update: Revision) -> Revision:
    template = template_of(one)
    return update if template is None else Revision(one.metadata.name or "", template)
