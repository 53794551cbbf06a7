"""What a scheduler is told when it is made.

In:   values from flags or from the composition.
Out:  one frozen `SchedulerConfig`; `check` says what is wrong with it.
By:   cmd makes it, loop reads it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerConfig:
    """How one scheduler works.

    Attributes:
        name: the pods it is responsible for carry this in spec.schedulerName.
        bindings: how many bindings may be under way at a time.
        backoff: seconds a pod is left alone after its first failure; doubled with each further one.
        longest_backoff: it is never left alone for longer.
    """

    name: str = "default-scheduler"
    bindings: int = 64
    backoff: float = 1.0
    longest_backoff: float = 10.0

    def check(self) -> list[str]:
        """Return what is wrong, each as a sentence; nothing when all is well."""
        problems = []
        if not self.name:
            problems.append("name cannot be empty")
        if self.bindings < 1:
            problems.append("bindings must be at least 1")
        if not 0 < self.backoff <= self.longest_backoff:
            problems.append("backoff must be positive and at most longest_backoff")
        return problems
