"""`isSorted`, `sum`, `min`, `max`, `indexOf` and `lastIndexOf` of lists.

In:   lists.
Out:  `FUNCTIONS`, a table of overloads.
By:   libraries. Facts: upstream's `apiserver/pkg/cel/library/lists.go`.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from kybern.lib.cel import operators
from kybern.lib.cel.declarations import Overload
from kybern.lib.cel.standard import tenth
from kybern.lib.cel.values import EvalError, equal

if TYPE_CHECKING:
    from collections.abc import Callable

COMPARABLE = ("int", "uint", "double", "bool", "duration", "timestamp", "string", "bytes")
SUMMABLE = ("int", "uint", "double", "duration")


def _is_sorted(items: list[Any]) -> bool:
    return all(operators.less_or_equal(a, b) for a, b in itertools.pairwise(items))


def _sum(items: list[Any]) -> Any:
    if not items:
        return 0
    total = items[0]
    for each in items[1:]:
        total = operators.add(total, each)
    return total


def _extreme(name: str, better: Callable[[Any, Any], bool]) -> Callable[[list[Any]], Any]:
    def find(items: list[Any]) -> Any:
        if not items:
            raise EvalError(f"{name} called on empty list")
        best = items[0]
        for each in items[1:]:
            if better(each, best):
                best = each
        return best

    return find


def _index_of(items: list[Any], wanted: Any) -> int:
    return next((at for at, each in enumerate(items) if equal(each, wanted)), -1)


def _last_index_of(items: list[Any], wanted: Any) -> int:
    at = _index_of(items[::-1], wanted)
    return at if at < 0 else len(items) - 1 - at


def _cost(items: list[Any], *rest: Any) -> int:
    del rest
    return sum(tenth(len(each)) if isinstance(each, (str, bytes)) else 1 for each in items) or 1


def _over(names: tuple[str, ...], call: Any, result: str) -> tuple[Overload, ...]:
    return tuple(
        Overload(f"list({name}) -> {result or name}", call, member=True, cost=_cost)
        for name in names
    )


FUNCTIONS: dict[str, tuple[Overload, ...]] = {
    "isSorted": _over(COMPARABLE, _is_sorted, "bool"),
    "sum": _over(SUMMABLE, _sum, ""),
    "min": _over(COMPARABLE, _extreme("min", operators.less), ""),
    "max": _over(COMPARABLE, _extreme("max", operators.greater), ""),
    "indexOf": (Overload("list(T), T -> int", _index_of, member=True, cost=_cost),),
    "lastIndexOf": (Overload("list(T), T -> int", _last_index_of, member=True, cost=_cost),),
}
