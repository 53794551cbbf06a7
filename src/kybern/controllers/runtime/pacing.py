"""How often something large is looked at.

In:   how many objects a look at a key took in, the time.
Out:  how long to leave the key alone.
By:   controller. Pure.

Ten thousand pods that become ready one after the other are ten thousand events, and counting all
of the pods after each would be a hundred million steps. So a key is left alone for as long as makes
its looks a small part of the time; what happens meanwhile is seen by the next one. Small keys
never wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable

K = TypeVar("K", bound="Hashable")

EACH = 20e-6  # seconds of peace for each object: some twenty times what it takes to look at it
LEAST, MOST = 0.01, 1.0  # shorter ones are not worth a timer, longer ones would be noticed


class Pacing(Generic[K]):
    """When keys may be looked at again."""

    def __init__(self) -> None:
        self._due: dict[K, float] = {}

    def wait(self, key: K, now: float) -> float:
        """Return the seconds until the next look; 0 for now."""
        due = self._due.get(key)
        if due is None:
            return 0.0
        if due > now:
            return due - now
        del self._due[key]
        return 0.0

    def looked(self, key: K, objects: int, now: float) -> None:
        """Note a look that took in so many objects."""
        pause = objects * EACH
        if pause >= LEAST:
            self._due[key] = now + min(pause, MOST)

    def forget(self, key: K) -> None:
        """Let the next look be at once."""
        self._due.pop(key, None)
