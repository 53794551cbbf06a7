"""The scheduler at work: news in, decisions out.

In:   pods and nodes, through informers.
Out:  bindings, conditions and events, through the API.
By:   cmd, alone or beside the API server.

Handlers of news only change the cache and the queue, and wake the loop. The loop takes a pod,
decides, assumes, and hands the binding on. It lets others run every few milliseconds, and costs
nothing while there is nothing to decide.

NumPy is loaded when the scheduler starts to run, not when this module is imported.
"""

from __future__ import annotations

import asyncio
import os
import random
from typing import TYPE_CHECKING, Any, Final

from kybern.api import errors
from kybern.api.core.pods import is_terminal
from kybern.api.core.v1 import Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod
from kybern.api.policy.v1 import PodDisruptionBudget
from kybern.api.storage.v1 import StorageClass
from kybern.client.events import Recorder
from kybern.client.informer import Informers
from kybern.lib import logs
from kybern.lib.backoff import Backoff
from kybern.lib.tasks import Tasks
from kybern.scheduler import eviction, messages, metrics, report
from kybern.scheduler.announce import Announcer
from kybern.scheduler.binder import Binder
from kybern.scheduler.framework import News
from kybern.scheduler.pod_info import Key, PodInfo
from kybern.scheduler.queue import SchedulingQueue
from kybern.scheduler.volumes import Lookups

if TYPE_CHECKING:
    from kybern.client.informer import Informer, Registration
    from kybern.client.rest import Client
    from kybern.scheduler.cache import Cache
    from kybern.scheduler.config import SchedulerConfig
    from kybern.scheduler.cycle import Cycle, NoFit
    from kybern.scheduler.preemption import Nomination, Preemption
    from kybern.scheduler.queue import Waiting

log = logs.get("scheduler")

TURN: Final = 0.002  # seconds of deciding before others get a turn
RUSH: Final = 3  # bindings under way at a time; fewer leave time for other things
TIDY: Final = 60.0  # how often assumptions are looked over, while there are any


class Scheduler:
    """Finds nodes for pods."""

    def __init__(
        self,
        config: SchedulerConfig,
        client: Client,
        *,
        informers: Informers | None = None,
        rng: random.Random | None = None,
    ) -> None:
        """Make a scheduler; `run` starts it.

        Args:
            config: how it works.
            client: the API.
            informers: those shared with others in this process; its own when there are none.
            rng: chooses between equally good nodes.
        """
        self.config = config
        self.ready = asyncio.Event()
        self.scheduled = self.failed = 0
        self.queue: SchedulingQueue
        self.cache: Cache
        self.cycle: Cycle
        self._client = client
        self._clock = client.clock
        self._shared = informers
        self._rng = rng or random.Random()  # noqa: S311 - a choice between equals, not a secret
        self._recorder = Recorder(client, config.name)
        self._woken = asyncio.Event()
        self._tidied = 0.0
        self._tasks: Tasks
        self._reporter: report.Reporter
        self._binder: Binder
        self._announcer: Announcer
        self._preemption: Preemption
        self._budgets: Informer[PodDisruptionBudget]

    async def run(self) -> None:
        """Schedule for ever; may be run again after it failed, and then begins anew."""
        async with Tasks("scheduler", clock=self._clock) as self._tasks:
            self._prepare()
            self._tasks.spawn_forever(self._recorder.run, "scheduler events")
            following, informers = self._follow(
                self._shared or Informers(self._client, self._tasks)
            )
            try:
                for informer in informers:
                    await informer.wait_synced()
                self.ready.set()
                log.info("scheduling", nodes=self.cache.nodes.count, waiting=len(self.queue))
                await self._work()
            finally:
                for registration in following:
                    registration.remove()
                self.ready.clear()

    def statistics(self) -> dict[str, int]:
        """Return what waits, what runs, and what was done."""
        return {
            **self.queue.statistics(),
            **self.cache.statistics(),
            **self._binder.statistics(),
            "scheduled": self.scheduled,
            "failed": self.failed,
        }

    def _prepare(self) -> None:
        # One thread is enough for arrays of this size, and each more would cost megabytes.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        from kybern.scheduler.cache import Cache
        from kybern.scheduler.cycle import Cycle
        from kybern.scheduler.preemption import Preemption
        from kybern.scheduler.profile import default_profile

        config = self.config
        backoff = Backoff(initial=config.backoff, factor=2.0, cap=config.longest_backoff)
        self.queue = SchedulingQueue(backoff)
        self.cache = Cache()
        self.cycle = Cycle(default_profile(), self.cache.nodes, self._rng)
        self._preemption = Preemption(self.cache, self.cycle, self._rng, self._budgets_of)
        self._reporter = report.Reporter(self._client, self._tasks)
        self._binder = Binder(self._client, self._tasks, self, config.bindings)
        self._announcer = Announcer(self._recorder, self._clock, self._tasks, self._in_a_rush)
        metrics.watch(self)

    def _follow(self, informers: Informers) -> tuple[list[Registration], list[Informer[Any]]]:
        namespaces = informers.of(Namespace)
        nodes, pods = informers.of(Node), informers.of(Pod)
        self._budgets = informers.of(PodDisruptionBudget)
        claims, classes = informers.of(PersistentVolumeClaim), informers.of(StorageClass)
        persistent = informers.of(PersistentVolume)
        self.cache.nodes.volumes = Lookups(
            claims.get,
            lambda name: persistent.get("", name),
            lambda name: classes.get("", name),
        )
        storage: list[Informer[Any]] = [claims, persistent, classes]
        following = [
            *(each.on_change(self._storage_changed) for each in storage),
            namespaces.on_change(self._namespace_changed),
            nodes.on(add=self._node_seen, update=self._node_changed, delete=self._node_gone),
            pods.on(add=self._pod_seen, update=self._pod_changed, delete=self._pod_gone),
        ]
        return following, [namespaces, *storage, nodes, pods, self._budgets]

    # --- deciding ------------------------------------------------------------------------------

    async def _work(self) -> None:
        clock, queue = self._clock, self.queue
        turn_ends = 0.0
        while True:
            now = clock.monotonic()
            waiting = queue.pop(now)
            if waiting is None:
                await self._wait(now)
                turn_ends = clock.monotonic() + TURN
                continue
            self._schedule(waiting, now)
            if self._binder.full:
                await self._binder.wait_room()
            elif now > turn_ends:
                await clock.sleep(0)
                turn_ends = clock.monotonic() + TURN

    async def _wait(self, now: float) -> None:
        """Wait until there may be a pod to try."""
        if now - self._tidied > TIDY:
            self._tidied = now
            if self.cache.expire(now):
                self.queue.tell(News.POD_GONE, now)
        self.queue.flush(now)
        due = self.queue.next_due(now)
        if due is not None and due <= now:
            return
        if self.cache.unconfirmed:
            due = min(due or now + TIDY, now + TIDY)
        self._woken.clear()
        try:
            async with asyncio.timeout(None if due is None else due - now):
                await self._woken.wait()
        except TimeoutError:
            return

    def _schedule(self, waiting: Waiting, now: float) -> None:
        """Try one pod."""
        info = waiting.info
        if info.pod.metadata.deletionTimestamp is not None or self.cache.is_placed(info.uid):
            self.queue.forget(info.key)
            return
        decision = self.cycle.decide(info)
        metrics.CYCLE.observe(self._clock.monotonic() - now)
        if isinstance(decision, tuple):
            self.cycle.nominations.drop(info.uid)
            self.cache.assume(info, decision.row)
            self._binder.bind(waiting, decision.node)
        else:
            self._did_not_fit(waiting, decision, now)

    def _did_not_fit(self, waiting: Waiting, verdict: NoFit, now: float) -> None:
        self.failed += 1
        pod, message, nominated = waiting.info.pod, verdict.message, ""
        if verdict.nodes:
            found = self._preemption.choose(waiting.info, verdict)
            if not isinstance(found, str):
                nominated = found.node
                self._preempt(waiting.info, found)
            elif found == messages.VICTIMS_LEAVING:
                nominated = pod.status.nominatedNodeName or ""
            if isinstance(found, str):
                message = messages.with_preemption(message, found)
        if not nominated:
            self.cycle.nominations.drop(waiting.info.uid)
        self._reporter.report(pod, report.UNSCHEDULABLE, message, nominated)
        self._recorder.event(pod, "Warning", "FailedScheduling", message)
        self.queue.park(waiting, verdict.wakes, now)

    def _preempt(self, info: PodInfo, nomination: Nomination) -> None:
        """Have a node cleared; its room is kept from lesser pods meanwhile."""
        nominations = self.cycle.nominations
        for lesser in nominations.lesser(info, nomination.node):
            # They counted on room that is now someone else's: let them look again.
            nominations.drop(lesser.uid)
            self._reporter.renounce(lesser.pod)
        nominations.put(info, nomination.node)
        self._tasks.spawn(self._evict(info, nomination), name="scheduler preempt")

    async def _evict(self, info: PodInfo, nomination: Nomination) -> None:
        if not await eviction.evict(self._client, self._recorder, info, nomination):
            # Someone stays: the promise cannot be kept, so the pod looks for another node.
            self.cycle.nominations.drop(info.uid)
            self._tell(News.EVERYTHING, nomination.node)

    def _in_a_rush(self) -> bool:
        return self._binder.under_way > RUSH

    def _budgets_of(self, namespace: str) -> list[PodDisruptionBudget]:
        return self._budgets.list(namespace)

    # --- how bindings end ------------------------------------------------------------------------

    def bound(self, waiting: Waiting, node: str) -> None:
        """Note that the API has accepted a binding."""
        info = waiting.info
        self.scheduled += 1
        self.cache.answered(info.uid, self._clock.monotonic())
        if self.queue.get(info.key) is waiting:
            self.queue.forget(info.key)
        self._announcer.announce(info.pod, node)

    def not_bound(self, waiting: Waiting, node: str, error: Exception) -> None:
        """Take a decision back: the pod waits again, and its place is free for others."""
        info, now = waiting.info, self._clock.monotonic()
        freed = self.cache.forget(info.uid)
        if freed and not isinstance(error, errors.NotFound):
            self.failed += 1
            log.warning("binding failed", pod=info.key, node=node, reason=str(error))
            message = f"binding rejected: {error}"
            self._reporter.report(info.pod, report.SCHEDULER_ERROR, message)
            self._recorder.event(info.pod, "Warning", "FailedScheduling", message)
        # A pod that is gone, or was bound by someone else, is forgotten when its news comes.
        self.queue.retry(waiting, now)
        if freed:
            self.queue.tell(News.POD_GONE, now, self._fits_on(node))
        self._woken.set()

    # --- news of pods --------------------------------------------------------------------------

    def _pod_seen(self, pod: Pod) -> None:
        if pod.spec.nodeName:
            self._forget(pod)
            self._tell(self.cache.put_pod(pod), pod.spec.nodeName)
        elif self._is_ours(pod):
            info = PodInfo(pod)
            if pod.status.nominatedNodeName:
                self.cycle.nominations.put(info, pod.status.nominatedNodeName)
            self.queue.add(info, self._clock.monotonic())
            self._woken.set()

    def _pod_changed(self, old: Pod, new: Pod) -> None:
        if new.spec.nodeName:
            if not old.spec.nodeName:
                self._forget(new)
            self._tell(self.cache.put_pod(new), new.spec.nodeName)
        elif not self._is_ours(new):
            self._forget(new)
        elif _may_fit_elsewhere(old, new):
            self.queue.update(PodInfo(new), self._clock.monotonic())
            self._woken.set()
        else:
            self.queue.refresh(new)

    def _pod_gone(self, pod: Pod) -> None:
        self._forget(pod)
        self._tell(self.cache.remove_pod(pod.metadata.uid or ""), pod.spec.nodeName or "")

    def _forget(self, pod: Pod) -> None:
        self.queue.forget(_key(pod))
        if self.cycle.nominations:
            self.cycle.nominations.drop(pod.metadata.uid or "")

    def _is_ours(self, pod: Pod) -> bool:
        return (
            (pod.spec.schedulerName or "default-scheduler") == self.config.name
            and pod.metadata.deletionTimestamp is None
            and not is_terminal(pod)
        )

    # --- news of nodes and other things --------------------------------------------------------

    def _node_seen(self, node: Node) -> None:
        self._tell(self.cache.put_node(node), node.metadata.name or "")

    def _node_changed(self, _old: Node, new: Node) -> None:
        self._tell(self.cache.put_node(new), new.metadata.name or "")

    def _node_gone(self, node: Node) -> None:
        self.cache.remove_node(node.metadata.name or "")
        self._tell(News.NODE_DELETED, "")

    def _namespace_changed(self, namespace: Namespace) -> None:
        labels, name = namespace.metadata.labels or {}, namespace.metadata.name or ""
        known = self.cache.nodes.pods.namespaces
        if known.get(name) != labels:
            # One that was deleted may stay: nothing runs in it.
            known[name] = labels
            self._tell(News.NAMESPACE, "")

    def _storage_changed(self, _changed: Any) -> None:
        self._tell(News.VOLUME, "")

    def _tell(self, news: int, node: str) -> None:
        if news and self.queue.tell(news, self._clock.monotonic(), self._fits_on(node)):
            self._woken.set()

    def _fits_on(self, node: str) -> _FitsOn:
        return _FitsOn(self.cycle, self.cache.nodes.index.get(node))


class _FitsOn:
    """Whether pods fit on one node, as it is now."""

    __slots__ = ("_cycle", "_row")

    def __init__(self, cycle: Cycle, row: int | None) -> None:
        self._cycle = cycle
        self._row = row

    def __call__(self, info: PodInfo) -> bool:
        return self._row is not None and self._cycle.fits_on(info, self._row)


def _key(pod: Pod) -> Key:
    return (pod.metadata.namespace or "", pod.metadata.name or "")


def _may_fit_elsewhere(old: Pod, new: Pod) -> bool:
    """Say whether a change can matter to where a pod may run; those of its status never do."""
    if old.metadata.labels != new.metadata.labels:
        return True
    generation = new.metadata.generation
    if generation is not None and generation == old.metadata.generation:
        return False
    return old.spec != new.spec
