"""The scheduler at work: news in, decisions out.

In:   pods and nodes, through informers.
Out:  bindings, conditions and events, through the API.
By:   cmd, alone or beside the API server.

News (`following`) only changes the cache and the queue, and wakes the loop. The loop takes a pod,
decides, assumes, and hands the binding on. It lets others run every few milliseconds, and costs
nothing while there is nothing to decide.

NumPy is loaded when the scheduler starts to run, not when this module is imported.
"""

from __future__ import annotations

import asyncio
import os
import random
from typing import TYPE_CHECKING, Final

from kybern.api import errors
from kybern.client.events import Recorder
from kybern.client.informer import Informers
from kybern.lib import logs
from kybern.lib.backoff import Backoff
from kybern.lib.tasks import Tasks
from kybern.scheduler import eviction, messages, metrics, report
from kybern.scheduler.announce import Announcer
from kybern.scheduler.binder import Binder
from kybern.scheduler.claim_binder import ClaimBinder
from kybern.scheduler.following import Following
from kybern.scheduler.framework import News
from kybern.scheduler.queue import SchedulingQueue

if TYPE_CHECKING:
    from kybern.client.rest import Client
    from kybern.scheduler.cache import Cache
    from kybern.scheduler.config import SchedulerConfig
    from kybern.scheduler.cycle import Cycle, NoFit
    from kybern.scheduler.pod_info import PodInfo
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
        self._following: Following

    async def run(self) -> None:
        """Schedule for ever; may be run again after it failed, and then begins anew."""
        async with Tasks("scheduler", clock=self._clock) as self._tasks:
            self._prepare()
            self._tasks.spawn_forever(self._recorder.run, "scheduler events")
            self._following.begin(self._shared or Informers(self._client, self._tasks))
            try:
                await self._following.wait_synced()
                self.ready.set()
                log.info("scheduling", nodes=self.cache.nodes.count, waiting=len(self.queue))
                await self._work()
            finally:
                self._following.end()
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
        self._following = Following(
            config.name, self.cache, self.queue, self.cycle, self._clock, self._woken.set
        )
        self._preemption = Preemption(self.cache, self.cycle, self._rng, self._following.budgets_of)
        self._reporter = report.Reporter(self._client, self._tasks)
        nodes = self.cache.nodes
        claims = ClaimBinder(
            self._client, lambda: nodes.volumes, nodes.reaches, self._following.storage_waiters
        )
        self._binder = Binder(self._client, self._tasks, self, config.bindings, claims)
        self._announcer = Announcer(self._recorder, self._clock, self._tasks, self._in_a_rush)
        metrics.watch(self)

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
            self._following.tell(News.EVERYTHING, nomination.node)

    def _in_a_rush(self) -> bool:
        return self._binder.under_way > RUSH

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
            self._following.tell(News.POD_GONE, node)
        self._woken.set()
