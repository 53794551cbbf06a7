"""Where chance comes from: one seed, for everything.

The code under test makes generators of its own (`random.Random()`, and `SystemRandom` where nobody
may guess), or ask `os.urandom`. Inside `seeded` all of it is drawn from one, so that a run can be
had again.
"""

from __future__ import annotations

import contextlib
import gc
import os
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

Random = random.Random


@contextlib.contextmanager
def seeded(seed: int | str) -> Iterator[Random]:
    """Let everything random come from the seed; yield a generator for the caller's own use."""
    source = Random(f"source {seed}")

    class Drawn(Random):
        def __init__(self, x: int | str | None = None) -> None:
            super().__init__(source.getrandbits(64) if x is None else x)

    kept = random.Random, random.SystemRandom, os.urandom
    state = random.getstate()
    random.Random, random.SystemRandom, os.urandom = Drawn, Drawn, source.randbytes  # type: ignore[misc]
    random.seed(source.getrandbits(64))
    # Cycles are broken at moments of the collector's choosing, and generators end with them.
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield Random(f"own {seed}")
    finally:
        random.Random, random.SystemRandom, os.urandom = kept  # type: ignore[misc]
        random.setstate(state)
        if collecting:
            gc.enable()
