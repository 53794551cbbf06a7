"""How the columns of a kind are written down.

In:   a line of names, a function from an object to cells, and a clock for ages.
Out:  Columns as `registry/table.py` asks for them.
By:   the modules beside this one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.apiserver.registry.columns import words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kybern.lib.clock import Clock

    Cells = Callable[[Any], list[Any]]

Tree = dict[str, Any]
WHOLE = {
    "Desired", "Current", "Up-to-date", "Available", "Active", "Data", "Secrets", "Webhooks",
    "Count", "Allowed Disruptions", "Value", "MinPods", "MaxPods", "Replicas", "Drivers",
    "Validations", "MatchingPrecedence", "Revision",
}  # fmt: skip
MOMENTS = {"Created At"}


class Age:
    """Stands for the object's age among the cells; the clock fills it in."""


AGE = Age()


class Columns:
    """The columns of one kind.

    Names are separated by two spaces; those after `|`, or with a star, show with `-o wide` only.
    """

    def __init__(self, names: str, cells: Cells) -> None:
        narrow, _, wide = names.partition("|")
        self._cells = cells
        self._clock: Clock | None = None
        self.definitions: Sequence[Tree] = [
            *(_definition(name, 0) for name in narrow.split("  ") if name.strip()),
            *(_definition(name, 1) for name in wide.split("  ") if name.strip()),
        ]

    def at(self, clock: Clock) -> Columns:
        """Return the same columns with a clock to tell ages by."""
        copy = Columns("", self._cells)
        copy.definitions, copy._clock = self.definitions, clock
        return copy

    def cells(self, obj: Any) -> list[Any]:
        """Return the cells of an object, one for each definition."""
        now = self._clock.now() if self._clock else 0.0
        return [_fill(cell, obj, now) for cell in self._cells(obj)]


def _fill(cell: Any, obj: Any, now: float) -> Any:
    if cell is AGE:
        return words.since(obj.metadata.creationTimestamp, now)
    return cell(now) if callable(cell) else cell


def _definition(name: str, priority: int) -> Tree:
    name = name.strip()
    if name.endswith("*"):
        name, priority = name[:-1], 1
    kind = "integer" if name in WHOLE else "date" if name in MOMENTS else "string"
    return {
        "name": name,
        "type": kind,
        "format": "name" if name == "Name" and not priority else "",
        "description": f"{name} of the object.",
        "priority": priority,
    }
