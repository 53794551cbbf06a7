"""How long to wait before a driver is called again about the same thing.

In:   keys whose calls failed, or succeeded at last.
Out:  `After` so many seconds: one at first, five minutes at most.
By:   the controllers of storage drivers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kybern.controllers.runtime.reconcile import After
from kybern.lib.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Hashable
    from random import Random

RETRY: Final = Backoff(initial=1.0, factor=2.0, cap=300.0, jitter=0.1)
LOOK_AGAIN: Final = After(30.0)  # for a driver that is there, but does not answer yet


class Patience:
    """Counts failures by key."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._failures: dict[Hashable, int] = {}

    def again(self, key: Any) -> After:
        """Count one more failure."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        return After(RETRY.delay(failures, self._rng))

    def forget(self, key: Any) -> None:
        """Begin anew."""
        self._failures.pop(key, None)
