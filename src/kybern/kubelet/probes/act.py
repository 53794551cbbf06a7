"""Asking again and again.

In:   which containers of which pods run.
Out:  what their probes say, by container; a call when that changes; events on failures.
By:   pods/worker.py. One task per probe sleeps from question to question; a container without
      probes costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kybern.kubelet.pods import specs
from kybern.kubelet.pods.view import State
from kybern.kubelet.probes import ask as asking
from kybern.kubelet.probes.plan import ProbeKind, Tally, assumed, count, next_time, probes_of
from kybern.lib.tasks import Tasks

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from kybern.api.core.v1 import Pod, Probe
    from kybern.kubelet.pods.specs import Wanted
    from kybern.kubelet.pods.view import ContainerView, PodView
    from kybern.kubelet.runtime.interface import Runtime
    from kybern.lib.clock import Clock

REPORTED = 1024  # characters of a failure which go into an event


@dataclass(slots=True)
class Probed:
    """One running container under watch."""

    name: str
    target: asking.Target
    probes: dict[ProbeKind, Probe]
    tallies: dict[ProbeKind, Tally]
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def started(self) -> bool:
        """The startup probe has passed, or there is none."""
        tally = self.tallies.get(ProbeKind.STARTUP)
        return tally is None or tally.passing

    @property
    def ready(self) -> bool:
        """The readiness probe passes, or there is none."""
        tally = self.tallies.get(ProbeKind.READINESS)
        return self.started and (tally is None or tally.passing)

    @property
    def failed(self) -> ProbeKind | None:
        """Which probe says that the container has to be killed."""
        for kind in (ProbeKind.STARTUP, ProbeKind.LIVENESS):
            tally = self.tallies.get(kind)
            if tally is not None and tally.decided and not tally.passing:
                return kind
        return None


class PodProbes:
    """The probes of one pod.

    `changed` is called when a verdict changes, `unhealthy(container, kind, answer)` on failures.
    """

    def __init__(
        self,
        runtime: Runtime,
        clock: Clock,
        changed: Callable[[], None],
        unhealthy: Callable[[Wanted, ProbeKind, asking.Answer], None],
    ) -> None:
        self._runtime = runtime
        self._clock = clock
        self._changed = changed
        self._unhealthy = unhealthy
        self._tasks: Tasks | None = None
        self._probed: dict[str, Probed] = {}

    def sync(self, pod: Pod, view: PodView) -> None:
        """Watch exactly the containers which run."""
        running = {c.id: c for c in view.containers if c.state is State.RUNNING}
        for container_id in [i for i in self._probed if i not in running]:
            self._stop(self._probed.pop(container_id))
        for container_id, container in running.items():
            if container_id not in self._probed:
                wanted = specs.find(pod, container.name)
                if wanted is not None and wanted.role not in (
                    specs.Role.INIT,
                    specs.Role.EPHEMERAL,
                ):
                    self._probed[container_id] = self._watch(pod, view, wanted, container)

    def started(self) -> frozenset[str]:
        """Return the names of the running containers which have started up."""
        return frozenset(p.name for p in self._probed.values() if p.started)

    def ready(self) -> frozenset[str]:
        """Return the names of the running containers which are ready."""
        return frozenset(p.name for p in self._probed.values() if p.ready)

    def dead(self) -> dict[str, str]:
        """Return the containers to be killed, and the kind of probe which says so."""
        return {p.name: p.failed.value for p in self._probed.values() if p.failed is not None}

    async def close(self) -> None:
        """Stop asking."""
        if self._tasks is not None:
            await self._tasks.close()
        self._probed.clear()

    def stop_liveness(self) -> None:
        """Stop asking what would kill a container: the pod ends anyway. Readiness goes on."""
        for probed in self._probed.values():
            for task in probed.tasks:
                if not task.get_name().endswith(ProbeKind.READINESS.value):
                    task.cancel()
            for kind in (ProbeKind.STARTUP, ProbeKind.LIVENESS):
                if kind in probed.tallies and probed.started:
                    probed.tallies[kind] = Tally(passing=True)

    def _watch(self, pod: Pod, view: PodView, wanted: Wanted, container: ContainerView) -> Probed:
        sandbox = view.sandbox
        ips = sandbox.ips if sandbox is not None and sandbox.ips else ()
        ip = ips[0] if ips else (pod.status.hostIP or "127.0.0.1")
        probes = probes_of(wanted.spec)
        probed = Probed(
            wanted.name,
            asking.Target(wanted.spec, container.id, ip),
            probes,
            {kind: assumed(kind) for kind in probes},
        )
        self._remember(pod, container, probed)
        if probes:
            if self._tasks is None:
                self._tasks = Tasks(f"probes {pod.metadata.namespace}/{pod.metadata.name}")
            first = (
                [ProbeKind.STARTUP]
                if not probed.started
                else [k for k in probes if k is not ProbeKind.STARTUP]
            )
            for kind in first:
                self._begin(wanted, probed, kind, container.started_at)
        return probed

    def _remember(self, pod: Pod, container: ContainerView, probed: Probed) -> None:
        """Take over what an earlier kubelet had found out about the same container."""
        for status in (
            *(pod.status.containerStatuses or ()),
            *(pod.status.initContainerStatuses or ()),
        ):
            if status.name == probed.name and (status.containerID or "").endswith(container.id):
                if status.started and ProbeKind.STARTUP in probed.tallies:
                    probed.tallies[ProbeKind.STARTUP] = Tally(passing=True, decided=True)
                if status.ready and ProbeKind.READINESS in probed.tallies:
                    probed.tallies[ProbeKind.READINESS] = Tally(passing=True)

    def _begin(self, wanted: Wanted, probed: Probed, kind: ProbeKind, started_at: float) -> None:
        assert self._tasks is not None
        name = f"probe {wanted.name} {kind.value}"
        probed.tasks.append(
            self._tasks.spawn(self._keep_asking(wanted, probed, kind, started_at), name=name)
        )

    def _stop(self, probed: Probed) -> None:
        for task in probed.tasks:
            task.cancel()

    async def _keep_asking(
        self, wanted: Wanted, probed: Probed, kind: ProbeKind, started_at: float
    ) -> None:
        probe = probed.probes[kind]
        clock = self._clock
        await clock.sleep(started_at + (probe.initialDelaySeconds or 0) - clock.now())
        began = clock.now()
        while True:
            answer = await asking.ask(probe, probed.target, self._runtime)
            if not answer.healthy:
                self._unhealthy(wanted, kind, answer)
            # A question which could not be put says nothing about the container.
            if not answer.error and self._note(wanted, probed, kind, answer.healthy, started_at):
                return
            await clock.sleep(next_time(began, probe, clock.now()) - clock.now())

    def _note(
        self, wanted: Wanted, probed: Probed, kind: ProbeKind, healthy: bool, started_at: float
    ) -> bool:
        """Count an answer; True when there is nothing more to ask."""
        before = probed.tallies[kind]
        after = probed.tallies[kind] = count(before, healthy, probed.probes[kind])
        done = kind is ProbeKind.STARTUP and after.passing
        if done:
            for other in probed.probes:
                if other is not kind:
                    self._begin(wanted, probed, other, started_at)
        if (after.passing, after.decided) != (before.passing, before.decided):
            self._changed()
        # A container to be killed is not asked again: its successor is.
        return done or probed.failed is not None
