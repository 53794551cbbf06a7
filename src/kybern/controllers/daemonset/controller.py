"""The DaemonSet controller: carries plans out.

In:   DaemonSets, their pods and revisions, nodes.
Out:  pods created and deleted; revisions; DaemonSet status; events.
By:   controllers.all.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from kybern.api import codec, errors, selectors
from kybern.api.apps.v1 import DaemonSet, DaemonSetStatus
from kybern.api.core.v1 import Node, Pod
from kybern.client.metadata import Partial
from kybern.controllers.daemonset.failures import Failures
from kybern.controllers.daemonset.placement import HASH, fate, new_pod
from kybern.controllers.daemonset.plan import Plan, plan
from kybern.controllers.history.keeper import Keeper, NameTaken
from kybern.controllers.runtime.batches import FAILURES, namespace_is_terminating, slow_start
from kybern.controllers.runtime.controller import Loop
from kybern.controllers.runtime.dependents import Dependents
from kybern.controllers.runtime.expectations import Expectations
from kybern.controllers.runtime.ownership import INDEXERS, claim
from kybern.controllers.runtime.reconcile import DONE, After, Key, Outcome, key_of

if TYPE_CHECKING:
    from kybern.api.apps.v1 import ControllerRevision
    from kybern.controllers.history.plan import History
    from kybern.controllers.runtime.host import Context

CAUGHT_UP = After(10.0)  # how long to wait for the caches before looking again regardless


class DaemonSetController:
    """Keeps the pods of DaemonSets."""

    def __init__(self, ctx: Context) -> None:
        self._client = ctx.client
        self._clock = ctx.clock
        self._recorder = ctx.recorder
        self._sets = ctx.informers.of(DaemonSet)
        self._pods = ctx.informers.of(Pod, indexers=INDEXERS)
        self._nodes = ctx.informers.of(Node)
        self._history = Keeper(ctx, HASH)
        self._failures = Failures()
        self._expected_pods: Expectations[Key] = Expectations(self._pods)
        self._expected_status: Expectations[Key] = Expectations(self._sets)
        self._loop: Loop[Key] = Loop(
            "daemonset",
            self.reconcile,
            after=(self._sets, self._pods, self._nodes, self._history.informer),
            workers=ctx.config.workers,
        )
        self._sets.on_change(lambda one: self._loop.add(key_of(one)))
        self._sets.on(delete=lambda one: self._failures.forget(one.metadata.uid or ""))
        owned: Dependents[DaemonSet] = Dependents(self._sets, self._loop.add, _selector)
        owned.follow(self._pods)
        self._history.informer.on(delete=owned.seen)
        self._nodes.on(add=self._node_seen, update=self._node_changed, delete=self._node_seen)

    async def run(self) -> None:
        """Work for ever."""
        await self._loop.run()

    def statistics(self) -> dict[str, int]:
        """Return the loop's counters."""
        return self._loop.statistics()

    async def reconcile(self, key: Key) -> Outcome:
        """Give every node what it should have, then replace what is old."""
        daemon_set = self._sets.get(*key)
        if daemon_set is None:
            self._expected_pods.forget(key)
            self._expected_status.forget(key)
            self._history.forget(key)
            return DONE
        expected = (self._expected_status, self._expected_pods, self._history)
        if not all(one.satisfied(key) for one in expected):
            return CAUGHT_UP
        selector = _selector(daemon_set)
        if selector.everything:
            told = "This daemon set is selecting all pods. A non-empty selector is required."
            self._recorder.event(daemon_set, "Warning", "SelectingAll", told)
            return DONE
        if daemon_set.metadata.deletionTimestamp is not None:
            return DONE
        pods, written = await claim(self._client, daemon_set, selector, self._pods)
        for pod in written:
            self._expected_pods.wrote(key, pod)
        try:
            history = await self._history.establish(key, daemon_set, selector)
        except NameTaken as taken:
            await self._count_collision(key, daemon_set)
            raise errors.Conflict(f'the name of revision "{taken}" is taken') from taken
        digest = _digest(history.current)
        await self._drop_duplicates(key, history, pods, digest)
        now, uid = self._clock.now(), daemon_set.metadata.uid or ""

        def rest(node: str) -> float:
            return self._failures.wait((uid, node), now)

        steps = plan(daemon_set, pods, self._nodes.list(), digest, rest, now)
        failure = await self._act(key, daemon_set, steps, digest)
        await self._report(key, daemon_set, steps.status)
        if failure is not None:
            raise failure
        await self._truncate(key, daemon_set, history, pods)
        if not (steps.create or steps.delete):
            self._loop.looked(key, len(pods))
        return After(steps.check_after) if steps.check_after is not None else DONE

    # --- acting ------------------------------------------------------------------------------

    async def _act(
        self, key: Key, daemon_set: DaemonSet, steps: Plan, digest: str
    ) -> Exception | None:
        for news in steps.news:
            self._recorder.event(daemon_set, *news)
        for node in steps.failed:
            self._failures.count((daemon_set.metadata.uid or "", node), self._clock.now())
        create = partial(self._create, key, daemon_set, digest)
        delete = partial(self._delete, key, daemon_set)
        failed_to_create = await slow_start(steps.create, create)
        failed_to_delete = await slow_start(steps.delete, delete, first=len(steps.delete) or 1)
        return failed_to_create or failed_to_delete

    async def _create(self, key: Key, daemon_set: DaemonSet, digest: str, node: str) -> None:
        try:
            created = await self._client.create(new_pod(daemon_set, node, digest), into=Partial)
        except FAILURES as error:
            if not namespace_is_terminating(error):
                told = f"Error creating: {error}"
                self._recorder.event(daemon_set, "Warning", "FailedCreate", told)
            raise
        self._expected_pods.wrote(key, created)
        told = f"Created pod: {created.metadata.name}"
        self._recorder.event(daemon_set, "Normal", "SuccessfulCreate", told)

    async def _delete(self, key: Key, daemon_set: DaemonSet, pod: Pod) -> None:
        name, namespace = pod.metadata.name or "", pod.metadata.namespace or ""
        try:
            await self._client.delete(Pod, name, namespace, uid=pod.metadata.uid)
        except (errors.NotFound, errors.Conflict):
            pass  # gone before we came, or another pod by now
        except FAILURES as error:
            told = f"Error deleting: {error}"
            self._recorder.event(daemon_set, "Warning", "FailedDelete", told)
            raise
        else:
            self._recorder.event(daemon_set, "Normal", "SuccessfulDelete", f"Deleted pod: {name}")
        self._expected_pods.deleted(key, pod)

    async def _report(self, key: Key, daemon_set: DaemonSet, status: DaemonSetStatus) -> None:
        if codec.equal(daemon_set.status, status):
            return
        mine = codec.clone(daemon_set)
        mine.status = status
        self._expected_status.wrote(key, await self._client.update_status(mine, into=Partial))

    # --- revisions ---------------------------------------------------------------------------

    async def _count_collision(self, key: Key, daemon_set: DaemonSet) -> None:
        mine = codec.clone(daemon_set)
        mine.status.collisionCount = (mine.status.collisionCount or 0) + 1
        self._expected_status.wrote(key, await self._client.update_status(mine, into=Partial))

    async def _drop_duplicates(
        self, key: Key, history: History, pods: list[Pod], digest: str
    ) -> None:
        """Keep one of several revisions with one template; their pods are as good as its own."""
        others = {_digest(one) for one in history.duplicates}
        for pod in pods:
            if (pod.metadata.labels or {}).get(HASH) in others:
                patch = {"metadata": {"uid": pod.metadata.uid, "labels": {HASH: digest}}}
                where = (pod.metadata.name or "", pod.metadata.namespace or "")
                self._expected_pods.wrote(key, await self._client.patch(Pod, *where, patch))
        await self._history.delete(key, history.duplicates)

    async def _truncate(
        self, key: Key, daemon_set: DaemonSet, history: History, pods: list[Pod]
    ) -> None:
        limit = daemon_set.spec.revisionHistoryLimit
        if limit is None or len(history.old) <= limit:
            return
        live = {(pod.metadata.labels or {}).get(HASH) for pod in pods}
        unused = [one for one in history.old if _digest(one) not in live]
        await self._history.delete(key, unused[: len(history.old) - limit])

    # --- from events to keys -----------------------------------------------------------------

    def _node_seen(self, node: Node) -> None:
        for daemon_set in self._sets.list():
            if any(fate(daemon_set, node)):
                self._loop.add(key_of(daemon_set))

    def _node_changed(self, old: Node, new: Node) -> None:
        """Nodes report all the time; only their labels and taints matter."""
        same = old.metadata.labels == new.metadata.labels
        if same and codec.equal(old.spec.taints, new.spec.taints):
            return
        for daemon_set in self._sets.list():
            if fate(daemon_set, old) != fate(daemon_set, new):
                self._loop.add(key_of(daemon_set))


def _selector(daemon_set: DaemonSet) -> selectors.Selector:
    return selectors.from_struct(daemon_set.spec.selector)


def _digest(revision: ControllerRevision | None) -> str:
    assert revision is not None
    return (revision.metadata.labels or {}).get(HASH) or revision.metadata.name or ""
