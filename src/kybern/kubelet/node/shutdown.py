"""Ending a node's pods in good order before the machine shuts down.

In:   the word that the machine shuts down: from logind, or as a signal to this process.
Out:  pods ended group by group, those of higher priority later; no new ones; a node not ready; the
      shutdown let go on.
By:   agent.py.

Facts: upstream's `pkg/kubelet/nodeshutdown`. Without periods in the configuration nothing is done.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kybern.kubelet.node.logind import Logind
from kybern.kubelet.pods.status import FAILED, Outcome
from kybern.lib import logs
from kybern.lib.dbus import BusError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kybern.kubelet.config import KubeletConfig
    from kybern.kubelet.pods.roster import Roster
    from kybern.kubelet.pods.worker import PodWorker
    from kybern.lib.clock import Clock

log = logs.get("kubelet.shutdown")

CRITICAL = 2_000_000_000  # the priority of system-cluster-critical
RECONNECT = 1.0
ENDED = Outcome(
    FAILED,
    "Terminated",
    "Pod was terminated in response to imminent node shutdown.",
    disruption="TerminationByKubelet",
)
BEGINS = "Shutdown manager detected shutdown event"
CANCELLED = "Shutdown manager detected shutdown cancellation"


@dataclass(frozen=True, slots=True)
class Period:
    """Pods of this priority and above, up to the next period's, have so many seconds."""

    priority: int
    seconds: int


def periods(config: KubeletConfig) -> tuple[Period, ...]:
    """Return the periods, lowest priority first; none when shutdowns are not waited for."""
    if config.shutdown_by_priority:
        return tuple(Period(*each) for each in sorted(config.shutdown_by_priority))
    whole, critical = int(config.shutdown_grace), int(config.shutdown_grace_critical)
    if not whole or critical > whole:
        return ()
    return Period(0, whole - critical), Period(CRITICAL, critical)


def groups(
    parts: Iterable[Period], workers: Iterable[PodWorker]
) -> list[tuple[Period, list[PodWorker]]]:
    """Return who ends in which period; pods below the lowest priority belong to it."""
    found: list[tuple[Period, list[PodWorker]]] = [(part, []) for part in parts]
    for worker in workers:
        priority = worker.record.pod.spec.priority or 0
        fitting = [members for part, members in found if part.priority <= priority]
        (fitting[-1] if fitting else found[0][1]).append(worker)
    return [(part, members) for part, members in found if members]


class Shutdown:
    """Waits for the machine's end, and prepares the node for it."""

    def __init__(
        self,
        config: KubeletConfig,
        roster: Roster,
        clock: Clock,
        changed: Callable[[bool], None],
        tell: Callable[[str, str], None],
        logind: Logind | None = None,
    ) -> None:
        """`changed` is told whether the machine shuts down; `tell` records events of the node."""
        self._periods = periods(config)
        self._roster = roster
        self._clock = clock
        self._changed = changed
        self._tell = tell
        self._logind = logind or Logind(sum(part.seconds for part in self._periods))
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Begin as if the machine shut down: for machines where nobody else says so."""
        self._asked.set()

    async def run(self) -> None:
        """Wait for shutdowns, for ever."""
        if not self._periods:
            await self._asked.wait()
            log.warning("told of a shutdown, but no graceful period is configured")
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(self._when_asked(), name="asked to shut down")
            if self._logind.exists:
                group.create_task(self._when_told(), name="told to shut down")
            else:
                log.info("no system bus: send SIGUSR1 before the machine shuts down")

    async def _when_asked(self) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            await self.begin()

    async def _when_told(self) -> None:
        """Follow logind; where it is restarted, follow it again."""
        why = ""
        while True:
            try:
                async for begins in self._logind.follow():
                    if begins:
                        await self.begin()
                        self._logind.release()
                    else:
                        self.cancel()
                        await self._logind.hold()
            except (OSError, BusError) as error:
                if str(error) != why:
                    why = str(error)
                    log.warning("shutdowns of the machine are not heard of", why=why)
            await self._clock.sleep(RECONNECT)

    async def begin(self) -> None:
        """End all pods; return when they have ended, or their time is over."""
        log.info("the machine shuts down")
        self._tell("NodeShutdown", BEGINS)
        self._roster.closed = True
        self._changed(True)
        active = [w for w in self._roster.workers() if w.holds_resources]
        for part, workers in groups(self._periods, active):
            for worker in workers:
                worker.end_within(part.seconds, ENDED)
            try:
                async with asyncio.timeout(part.seconds):
                    for worker in workers:
                        await worker.ended.wait()
            except TimeoutError:
                log.warning("pods have not ended in time", priority=part.priority)
        log.info("the machine may shut down")

    def cancel(self) -> None:
        """Take pods again: the machine goes on."""
        self._tell("NodeShutdown", CANCELLED)
        self._roster.closed = False
        self._changed(False)
