"""Many seeds, on all processors.

A process runs a few seeds and ends: nothing is collected in it, and its memory goes with it.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.simulation.run import fresh, simulate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.simulation.run import Outcome

BATCH = 20  # seeds in one process


@dataclass(slots=True)
class Summary:
    """What many seeds came to.

    Attributes:
        seeds: how many were run.
        failed: those with violations.
        writes: how many there were in all.
        seconds: of processor time.
        checked: how often an invariant was at stake, by name.
    """

    seeds: int = 0
    failed: list[Outcome] = field(default_factory=list)
    writes: int = 0
    seconds: float = 0.0
    checked: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome, seconds: float) -> None:
        """Take in one seed."""
        self.seeds += 1
        self.writes += outcome.writes
        self.seconds += seconds
        self.checked += outcome.checked
        if outcome.violations:
            self.failed.append(outcome)

    def __str__(self) -> str:
        names = [outcome.seed for outcome in self.failed]
        checked = ", ".join(f"{name} {count}" for name, count in sorted(self.checked.items()))
        return (
            f"{self.seeds} seeds, {len(names)} failed {names or ''}; {self.writes} writes; "
            f"{self.seconds:.1f} s of processor, {1000 * self.seconds / max(1, self.seeds):.0f} ms "
            f"a seed; at stake: {checked}"
        )


def run_many(seeds: range, jobs: int = 0) -> Iterator[tuple[Outcome, float]]:
    """Run seeds and yield what became of them, with the processor time each took."""
    fresh()
    simulate(seeds[0])  # what is loaded and made on first use is inherited
    gc.collect()
    gc.freeze()
    batches = [seeds[start : start + BATCH] for start in range(0, len(seeds), BATCH)]
    context = multiprocessing.get_context("fork")
    try:
        with context.Pool(jobs or os.cpu_count() or 1, maxtasksperchild=1) as pool:
            for outcomes in pool.imap_unordered(_batch, batches):
                yield from outcomes
    finally:
        gc.unfreeze()


def _batch(seeds: range) -> list[tuple[Outcome, float]]:
    gc.disable()
    outcomes = []
    for seed in seeds:
        began = time.process_time()
        outcome = simulate(seed)
        outcomes.append((outcome, time.process_time() - began))
    return outcomes
