"""How soon a daemon pod that failed is made again.

In:   failures, as they are found.
Out:  seconds to wait.
By:   daemonset.controller. Pure.

A kubelet that refuses a pod would refuse the next one as well; without a pause the two would keep
each other busy for ever.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from kybern.lib.backoff import Backoff

DELAYS: Final = Backoff(initial=1.0, factor=2.0, cap=900.0)

Place = tuple[str, str]
"""The uid of a DaemonSet and the name of a node."""


class _Failed(NamedTuple):
    times: int
    at: float


class Failures:
    """The failures of some time."""

    def __init__(self) -> None:
        self._failed: dict[Place, _Failed] = {}

    def wait(self, place: Place, now: float) -> float:
        """Return for how long a failed pod must stay; 0 when it may be replaced."""
        failed = self._failed.get(place)
        if failed is None or now - failed.at > 2 * DELAYS.cap:
            return 0.0
        return max(0.0, failed.at + DELAYS.delay(failed.times - 1) - now)

    def count(self, place: Place, now: float) -> None:
        """Note that a failed pod is being replaced."""
        failed = self._failed.get(place)
        fresh = failed is None or now - failed.at > 2 * DELAYS.cap
        self._failed[place] = _Failed(1 if failed is None or fresh else failed.times + 1, now)

    def forget(self, uid: str) -> None:
        """Forget a DaemonSet that is gone."""
        for place in [place for place in self._failed if place[0] == uid]:
            del self._failed[place]
