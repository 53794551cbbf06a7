"""Hearing from systemd that the machine is about to shut down, and holding that up for a while.

In:   the system bus; how many seconds pods are given.
Out:  True when the machine shuts down, False when that was called off; it waits until let go.
By:   shutdown.py. Where there is no systemd, `follow` ends at once.

An inhibitor lock of mode `delay` holds the shutdown up, for no longer than logind allows; where
that is less than the pods are given, logind is told to allow more, as upstream's kubelet does.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from kybern.lib import logs
from kybern.lib.dbus import Bus, BusError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

log = logs.get("kubelet.shutdown")

SOCKET = "/run/dbus/system_bus_socket"
LOGIND = ("org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager")
SYSTEMD = (
    "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager",
)  # fmt: skip
CONFIGURATION = Path("/etc/systemd/logind.conf.d/99-kubelet.conf")
SIGNAL = (
    "type='signal',interface='org.freedesktop.login1.Manager',member='PrepareForShutdown',"
    "path='/org/freedesktop/login1'"
)
SIGHUP = 1
MICRO = 1_000_000


class Logind:
    """The machine's login manager, which knows when it shuts down."""

    def __init__(self, seconds: float, socket: str = SOCKET) -> None:
        """Take how long a shutdown is to be held up."""
        self._seconds = seconds
        self._socket = socket
        self._lock: int | None = None
        self._bus: Bus | None = None

    @property
    def exists(self) -> bool:
        """Whether this machine has a bus at all."""
        return os.path.exists(self._socket)

    async def follow(self) -> AsyncIterator[bool]:
        """Yield True when a shutdown begins, False when it is called off.

        Raises:
            OSError: there is no bus.
            BusError: there is no logind, it does not allow the time needed, or the bus is gone.
        """
        bus = self._bus = await Bus.connect(self._socket)
        try:
            await self._allow(bus)
            await self.hold()
            log.info("shutdowns of the machine wait for its pods", seconds=self._seconds)
            async for [begins] in bus.signals(SIGNAL):
                yield bool(begins)
        finally:
            self.release()
            bus.close()
        raise BusError("the system bus is gone")

    async def hold(self) -> None:
        """Hold up the next shutdown.

        Raises:
            BusError: logind would not.
        """
        self.release()
        if self._bus is not None:
            what = ("shutdown", "kubelet", "Kubelet needs time to handle node shutdown", "delay")
            [self._lock] = await self._bus.call(*LOGIND, "Inhibit", "ssss", *what)

    def release(self) -> None:
        """Let the machine shut down."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def _allow(self, bus: Bus) -> None:
        """See to it that logind allows the time needed."""
        allowed = await bus.property(*LOGIND, "InhibitDelayMaxUSec") / MICRO
        if allowed >= self._seconds:
            return
        _configure(int(self._seconds))
        signal = ("systemd-logind.service", "all", SIGHUP)
        await bus.call(*SYSTEMD, "KillUnit", "ssi", *signal)
        allowed = await bus.property(*LOGIND, "InhibitDelayMaxUSec") / MICRO
        if allowed < self._seconds:
            raise BusError(
                f"logind allows shutdowns to be held up for {allowed:g}s (InhibitDelayMaxSec), "
                f"and {self._seconds:g}s are needed"
            )


def _configure(seconds: int) -> None:
    CONFIGURATION.parent.mkdir(parents=True, exist_ok=True)
    text = f"# Kubelet logind override\n[Login]\nInhibitDelayMaxSec={seconds}\n"
    CONFIGURATION.write_text(text, encoding="utf-8")
