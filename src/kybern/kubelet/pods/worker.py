"""One pod's life on this node.

In:   news: the pod changed or was deleted, a container ended, a probe changed its mind.
Out:  plans carried out one after the other, a status after each, and in the end nothing left.
By:   pods/sources.py, one worker per pod. The phases are lifecycle.py's table.

News only set a mark; the one task of the worker looks at everything that is, plans, acts, and waits
for the next mark or moment. A step which may take long is interrupted when the pod is told to stop.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from typing import TYPE_CHECKING

from kybern.kubelet.pods import act, conditions, containers, image_volumes, sandboxes, specs
from kybern.kubelet.pods.lifecycle import Event, Phase, next_phase
from kybern.kubelet.pods.names import log_directory_name
from kybern.kubelet.pods.plan import Situation, Verdicts, plan
from kybern.kubelet.pods.record import PodRecord
from kybern.kubelet.pods.sandboxes import PodTrouble
from kybern.kubelet.pods.status import FAILED, TERMINAL, Look, Outcome, pod_status
from kybern.kubelet.pods.survey import survey
from kybern.kubelet.pods.tools import NORMAL, WARNING
from kybern.kubelet.pods.view import PodView, State
from kybern.kubelet.probes.act import PodProbes
from kybern.kubelet.runtime.interface import Happened, RuntimeFailure
from kybern.kubelet.volumes.act import NEVER
from kybern.kubelet.volumes.content import VolumeProblem
from kybern.lib import logs
from kybern.lib.backoff import Backoff
from kybern.lib.clock import parse_rfc3339

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from kybern.api.core.v1 import Pod, PodStatus
    from kybern.kubelet.pods.allotment import Allotment, Pending
    from kybern.kubelet.pods.reporting import Reporter
    from kybern.kubelet.pods.specs import Wanted
    from kybern.kubelet.pods.tools import Tools
    from kybern.kubelet.probes.ask import Answer
    from kybern.kubelet.probes.plan import ProbeKind

log = logs.get("kubelet.pods")
TROUBLE = Backoff(initial=0.5, factor=2.0, cap=60.0)
RESIZE_AGAIN = 10.0
LATE = Outcome(
    FAILED,
    "DeadlineExceeded",
    "Pod was active on the node longer than the specified deadline",
)


class PodWorker:
    """Runs one pod. Everything but `run` and `purge` returns at once."""

    def __init__(
        self,
        tools: Tools,
        reporter: Reporter,
        pod: Pod,
        view: PodView,
        freed: Callable[[], None] = lambda: None,
    ) -> None:
        """Take a pod, what the runtime already has of it, and whom to tell when it gives room."""
        self.record = PodRecord(pod, view)
        self.phase = Phase.STARTING
        self.status: PodStatus | None = None
        self._tools = tools
        self._reporter = reporter
        self._freed = freed
        self._outcome: Outcome | None = None
        self._gone = False
        self._was_refused = False
        self._began = tools.clock.now()
        self._wake = asyncio.Event()
        self._wake.set()
        self._look_again = 0.0
        self._changed: set[str] = set()
        self._all_changed = bool(view.sandboxes or view.containers)
        self._step: asyncio.Timeout | None = None
        self._starting_step = False
        self._grace = 0
        self._limit: int | None = None
        self.ended = asyncio.Event()
        self._watchers: list[Callable[[], None]] = []
        self.probes = PodProbes(tools.runtime, tools.clock, self.wake, self._unhealthy)
        if pod.status.phase in TERMINAL or pod.metadata.deletionTimestamp:
            self.tell_to_stop()

    # --- news

    def update(self, pod: Pod) -> None:
        """Take the pod as the API server has it now."""
        before = self.record.desired
        self.record.take(pod)
        self._reporter.seen(pod, self.status)
        if pod.metadata.deletionTimestamp or pod.status.phase in TERMINAL:
            self.tell_to_stop()
        elif _worth_a_look(before, pod):
            self.phase = next_phase(self.phase, Event.SPEC_CHANGED)
            self.record.refresh_at = 0.0
            self.wake()

    def removed(self, pod: Pod | None = None) -> None:
        """Take note that the API server has the pod no more."""
        if pod is not None:
            self.record.take(pod)
        self._gone = True
        self.tell_to_stop()

    def reject(self, outcome: Outcome) -> None:
        """End the pod by decision of the node."""
        self._outcome = outcome
        self._was_refused = not self.record.view.containers and not self.record.view.sandboxes
        self.tell_to_stop()

    def end_within(self, seconds: int, outcome: Outcome) -> None:
        """End the pod by decision of the node, in no more than so many seconds."""
        self._outcome, self._limit = outcome, seconds
        self.tell_to_stop()

    def happened(self, container_id: str, what: Happened) -> None:
        """Take note that something happened to one of the pod's containers or sandboxes."""
        if what is Happened.STARTED:
            return  # it was this worker that started it
        self._changed.add(container_id)
        self.wake()

    def look_at_everything(self) -> None:
        """Compare with the runtime: an event may have been lost."""
        self._all_changed = True
        self.wake()

    def objects_changed(self) -> None:
        """Take note that a ConfigMap or Secret the pod uses has changed."""
        self.record.refresh_at = 0.0
        for held in [h for h in self.record.held.values() if "Config" in h.reason]:
            del self.record.held[held.name]
        self.wake()

    def resized(self, allotment: Allotment) -> None:
        """Take the size the pod asked for, and put it in force soon."""
        self.record.allot(allotment)
        self.record.pending, self.record.resize_error = None, ""
        self.record.refresh_at = 0.0
        self.wake()

    def resize_pending(self, pending: Pending | None) -> None:
        """Take note of why the pod does not get what it asks for; None when it asks for nothing."""
        if pending != self.record.pending:
            self.record.pending = pending
            self.wake()

    def try_again(self) -> None:
        """Do now what did not work before: something it may have been waiting for is there."""
        if self.record.troubles:
            self.wake()

    def tell_to_stop(self) -> None:
        """Let the pod end; a second time, with the grace it has been given meanwhile."""
        self.phase = next_phase(self.phase, Event.TOLD_TO_STOP)
        grace = self._grace_period()
        shorter = grace < self._grace
        self._grace = grace
        if self._step is not None and (self._starting_step or shorter):
            self._interrupt()
        self.wake()

    def wake(self) -> None:
        """Look at the pod soon."""
        self._wake.set()

    @contextlib.contextmanager
    def watch(self, changed: Callable[[], None]) -> Iterator[None]:
        """Have a function called after every change of the pod's status, while in the block."""
        self._watchers.append(changed)
        try:
            yield
        finally:
            self._watchers.remove(changed)

    # --- life

    async def run(self) -> None:
        """Run the pod until nothing of it is left but what logs need."""
        while self.phase is not Phase.FORGOTTEN:
            self._wake.clear()
            try:
                await self._take_step()
            except RuntimeFailure as failure:
                self._note_trouble("runtime failed", failure.described)
            except OSError as error:
                self._note_trouble("the machine refused", str(error))
            except VolumeProblem as problem:
                self._note_trouble("volumes not torn down", str(problem))
            await self._wait()
        self.ended.set()

    async def purge(self) -> None:
        """Remove what is left: containers, sandboxes and logs."""
        runtime, record = self._tools.runtime, self.record
        for sandbox in record.view.sandboxes:
            await runtime.remove_sandbox(sandbox.id)
        for container in record.view.containers:
            await runtime.remove_container(container.id)
        logs_dir = self._tools.config.logs_dir
        directory = logs_dir / log_directory_name(record.namespace, record.name, record.uid)
        await asyncio.to_thread(_remove_directory, str(directory))
        self._tools.puller.forget(record.uid)

    @property
    def holds_resources(self) -> bool:
        """It has, or will have, something of this node."""
        return self.phase is not Phase.FORGOTTEN and not self._was_refused

    @property
    def removed_from_api(self) -> bool:
        """The API server has the pod no more."""
        return self._gone

    def owns(self, container_id: str) -> bool:
        """Say whether a container or sandbox is one of this pod's."""
        view = self.record.view
        return any(c.id == container_id for c in view.containers) or any(
            s.id == container_id for s in view.sandboxes
        )

    def agrees_with(self, found: PodView | None) -> bool:
        """Say whether the runtime has just what is known here."""
        ours = self.record.view
        if found is None:
            return not ours.sandboxes and not ours.containers
        return {(c.id, c.state) for c in ours.containers} == {
            (c.id, c.state) for c in found.containers
        } and {(s.id, s.ready) for s in ours.sandboxes} == {
            (s.id, s.ready) for s in found.sandboxes
        }

    async def _take_step(self) -> None:
        await self._look()
        if self.phase is Phase.STARTING:
            self._starting_step = True
            await self._interruptible(self._keep_running())
        elif self.phase is Phase.STOPPING:
            self._starting_step = False
            await self._interruptible(self._stop())
        elif self.phase is Phase.STOPPED:
            await self._clean_up()

    async def _interruptible(self, step: Awaitable[None]) -> None:
        phase = self.phase
        try:
            async with asyncio.timeout(None) as self._step:
                await step
        except TimeoutError:
            if self.phase is phase and phase is Phase.STARTING:
                raise
            # The view may lack what the step was about to note.
            self._all_changed = True
            self.wake()
        finally:
            self._step = None

    def _interrupt(self) -> None:
        if self._step is not None:
            self._step.reschedule(asyncio.get_running_loop().time())

    async def _keep_running(self) -> None:
        record = self.record
        if self._is_late():
            self._tools.tell(record.pod, NORMAL, LATE.reason, LATE.message)
            self.reject(LATE)
            return
        self._report()
        self.probes.sync(record.pod, record.view)
        steps = plan(self._situation())
        if steps.finished:
            self.phase = next_phase(self.phase, Event.ALL_EXITED)
            self.wake()
            return
        try:
            await act.carry_out(self._tools, record, steps, self._report)
        except PodTrouble:
            record.troubles += 1
            self._look_again = self._tools.clock.now() + TROUBLE.delay(record.troubles - 1)
            self._all_changed = True  # a step may have been half done
            self._report()
            return
        record.troubles = 0
        self._look_again = self._next_look(steps.look_again)
        self._report()
        if steps.start or steps.stop or steps.drop_sandbox:
            self.wake()  # what follows from it may be to be done at once
        if steps.resize_pod and not record.allotment.unfinished:
            self._freed()

    async def _stop(self) -> None:
        record = self.record
        self.probes.stop_liveness()
        await self._look_at_all()
        self._report()
        await act.stop_everything(self._tools, record, self._grace_period())
        self.phase = next_phase(self.phase, Event.ALL_EXITED)
        self.wake()

    async def _clean_up(self) -> None:
        tools, record = self._tools, self.record
        await self.probes.close()
        self._report()
        await sandboxes.end(tools, record)
        await image_volumes.release(tools, record)
        tools.objects.release(record.uid)
        await tools.volumes.tear_down(record.uid)
        tools.cgroups.remove(record.uid)
        if not self._gone:
            await self._reporter.wait_sent(record.uid)
        self.phase = next_phase(self.phase, Event.CLEANED_UP)

    # --- looking

    async def _look(self) -> None:
        if self._all_changed:
            await self._look_at_all()
        sandboxes_known = {s.id: s for s in self.record.view.sandboxes}
        while self._changed:
            container_id = self._changed.pop()
            if container_id in sandboxes_known:
                sandboxes_known[container_id].ready = False
            else:
                await containers.refresh(self._tools, self.record, container_id, ended=True)

    async def _look_at_all(self) -> None:
        self._all_changed = False
        await look_at_runtime(self._tools, self.record)

    def _situation(self) -> Situation:
        record = self.record
        return Situation(
            pod=record.pod,
            view=record.view,
            verdicts=Verdicts(self.probes.dead(), self.probes.started()),
            waits=record.waits,
            held=record.held,
            replacing=frozenset(record.replacing),
            now=self._tools.clock.now(),
            allotment=record.allotment,
        )

    def _grace_period(self) -> int:
        grace = specs.grace_period(self.record.pod)
        return grace if self._limit is None else min(grace, self._limit)

    def _is_late(self) -> bool:
        deadline = self._deadline()
        return deadline is not None and deadline <= self._tools.clock.now()

    def _deadline(self) -> float | None:
        seconds = self.record.pod.spec.activeDeadlineSeconds
        if seconds is None:
            return None
        known = (self.status or self.record.pod.status).startTime
        return (parse_rfc3339(known) if known else self._began) + seconds

    def _next_look(self, planned: float) -> float:
        moments = [planned, self._deadline() or 0.0]
        if self.record.resize_error:
            moments.append(self._tools.clock.now() + RESIZE_AGAIN)
        if self.record.refresh_at != NEVER:
            moments.append(self.record.refresh_at)
        return min((m for m in moments if m > 0), default=0.0)

    async def _wait(self) -> None:
        if self.phase is Phase.FORGOTTEN:
            return
        if not self._look_again:
            await self._wake.wait()
            return
        try:
            async with asyncio.timeout(max(0.0, self._look_again - self._tools.clock.now())):
                await self._wake.wait()
        except TimeoutError:
            self._look_again = 0.0

    # --- telling

    def _report(self) -> None:
        record, tools = self.record, self._tools
        if self.phase in (Phase.STARTING, Phase.STOPPING):
            self.probes.sync(record.pod, record.view)
        ended = self.phase in (Phase.STOPPED, Phase.FORGOTTEN)
        self.status = pod_status(
            Look(
                pod=record.pod,
                view=record.view,
                before=self.status,
                waiting=record.held,
                started=self.probes.started(),
                ready=self.probes.ready(),
                host_ips=tools.node.ips,
                now=tools.clock.now(),
                terminating=self.phase is not Phase.STARTING,
                ended=ended,
                outcome=self._outcome,
                runtime_name=tools.runtime_name,
                start_time=self._began,
                running=record.allotment.running,
                resize=self._resize_state(),
            )
        )
        if not self._gone:
            self._reporter.report(record.pod, self.status)
        for changed in self._watchers:
            changed()

    def _resize_state(self) -> conditions.Resize:
        record = self.record
        return conditions.Resize(
            record.pending,
            in_progress=record.allotment.unfinished,
            error=record.resize_error,
            generation=record.allotment.generation,
        )

    def _unhealthy(self, wanted: Wanted, kind: ProbeKind, answer: Answer) -> None:
        name = kind.value.capitalize()
        how = "errored" if answer.error else "failed"
        self._tools.tell(
            self.record.pod, WARNING, "Unhealthy", f"{name} probe {how}: {answer.said}", wanted
        )

    def _note_trouble(self, what: str, why: str) -> None:
        record = self.record
        record.troubles += 1
        delay = TROUBLE.delay(record.troubles - 1)
        log.warning(
            what, pod=f"{record.namespace}/{record.name}", why=why, phase=self.phase.value,
            again_in=delay,
        )  # fmt: skip
        self._all_changed = True
        self._look_again = self._tools.clock.now() + delay


async def look_at_runtime(tools: Tools, record: PodRecord) -> None:
    """Make the view anew from what the runtime has of the pod."""
    found = await survey(tools.runtime, record.uid)
    view = found.get(record.uid, PodView(record.uid, record.name, record.namespace))
    for container in list(view.containers):
        known = next((c for c in record.view.containers if c.id == container.id), None)
        if known is not None and known.state is State.EXITED:
            view.put(known)  # it cannot change any more
    record.view = view
    unknown = [c for c in view.containers if c.state is not State.EXITED or not c.finished_at]
    for container in unknown:
        await containers.refresh(tools, record, container.id)
    for sandbox in view.sandboxes:
        sandbox.host_network = bool(record.pod.spec.hostNetwork)
        if sandbox.ready:
            await sandboxes.note(tools, record, sandbox.id, sandbox.attempt)
    await sandboxes.open_ports(tools, record)


def _worth_a_look(before: Pod, after: Pod) -> bool:
    """Say whether anything but the status has changed."""
    one, other = before.metadata, after.metadata
    return (
        before.spec != after.spec
        or one.labels != other.labels
        or one.annotations != other.annotations
        or one.generation != other.generation
        or (before.status.conditions != after.status.conditions and bool(after.spec.readinessGates))
    )


def _remove_directory(path: str) -> None:
    shutil.rmtree(path, ignore_errors=True)
