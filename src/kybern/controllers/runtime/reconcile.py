"""The words of reconciliation.

In:   nothing.
Out:  `Key`, and what a `reconcile` may answer: DONE, `After`, or the exception `Terminal`.
By:   every controller.

Any other exception means: again, later and later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple


class Key(NamedTuple):
    """Which object to look at; the namespace is '' for cluster-wide kinds."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


@dataclass(frozen=True, slots=True)
class After:
    """Everything is as it should be for now; look again after so many seconds."""

    delay: float


DONE: After | None = None
"""Everything is as it should be until something changes."""

Outcome = After | None


class Terminal(Exception):
    """This key cannot be reconciled, and trying again would not help until it changes."""


def key_of(obj: Any) -> Key:
    """Return the key of an object."""
    return Key(obj.metadata.namespace or "", obj.metadata.name)
