"""What expires in etcd: a few leases, each shared by many keys.

In:   for how many seconds a key is to stay.
Out:  a lease that lasts at least so long, and not much longer.
By:   `engine`. As upstream does it: a lease is used for a minute, or a thousand keys.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from kybern.store.kv.etcd import messages as m

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kybern.lib.clock import Clock
    from kybern.store.kv.etcd.connection import Connection

MOST_KEYS = 1000
REUSE_SECONDS = 60.0
REUSE_SHARE = 0.05
"""A lease is granted for that much longer than asked for, at most REUSE_SECONDS."""


class Granted:
    """A lease in use."""

    __slots__ = ("id", "keys", "until")

    def __init__(self, id_: int, until: float) -> None:
        self.id = id_
        self.until = until
        """For whom it lasts long enough: up to this time of the monotonic clock."""
        self.keys = 0


class Leases:
    """Leases by how long they last, in whole seconds."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._granted: dict[int, Granted] = {}
        self._granting = asyncio.Lock()

    async def lease(self, seconds: float) -> int:
        """Return a lease for a key that is to stay so long."""
        wanted = max(1, math.ceil(seconds))
        granted = self._usable(wanted)
        if granted is None:
            async with self._granting:
                granted = self._usable(wanted) or await self._grant(wanted)
        granted.keys += 1
        return granted.id

    def forget(self, lease: int) -> None:
        """Do not use it again: etcd does not have it."""
        for seconds, granted in tuple(self._granted.items()):
            if granted.id == lease:
                del self._granted[seconds]

    async def remaining(self, leases: Iterable[int]) -> dict[int, float]:
        """Return when each lease ends, in seconds since 1970."""
        found: dict[int, float] = {}
        for lease in leases:
            request = m.LeaseTimeToLiveRequest(id=lease)
            answer = await self._connection.call(m.LEASE_TIME_TO_LIVE, request)
            found[lease] = self._clock.now() + max(answer.ttl, 0)
        return found

    def _usable(self, seconds: int) -> Granted | None:
        granted = self._granted.get(seconds)
        if granted is None or granted.keys >= MOST_KEYS:
            return None
        return granted if self._clock.monotonic() <= granted.until else None

    async def _grant(self, seconds: int) -> Granted:
        now = self._clock.monotonic()
        # What has had its time goes, so that odd durations do not collect.
        self._granted = {s: g for s, g in self._granted.items() if now <= g.until}
        longer = math.ceil(min(REUSE_SECONDS, seconds * REUSE_SHARE))
        request = m.LeaseGrantRequest(ttl=seconds + longer)
        answer = await self._connection.call(m.LEASE_GRANT, request)
        granted = self._granted[seconds] = Granted(answer.id, now + answer.ttl - seconds)
        return granted
