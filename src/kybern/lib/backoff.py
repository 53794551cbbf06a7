"""How long to wait before trying again: exponential, capped, jittered, and pure.

In:   the number of failures so far, and a random generator when jitter is wanted.
Out:  seconds.
By:   whoever retries; the caller does the counting and the waiting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random


@dataclass(frozen=True, slots=True)
class Backoff:
    """A schedule of delays.

    Attributes:
        initial: the delay after the first failure, in seconds.
        factor: how much longer each further delay is.
        cap: no delay is longer than this, jitter apart.
        jitter: up to this share of the delay is added at random.
    """

    initial: float
    factor: float = 2.0
    cap: float = 60.0
    jitter: float = 0.0

    def delay(self, attempt: int, rng: Random | None = None) -> float:
        """Return the delay after failure number `attempt`, counted from 0.

        The result lies in [d, d * (1 + jitter)], where d is the capped exponential delay; without
        a generator it is d.
        """
        try:
            delay = min(self.cap, self.initial * self.factor**attempt)
        except OverflowError:
            delay = self.cap
        if rng is not None and self.jitter:
            delay += delay * self.jitter * rng.random()
        return delay
