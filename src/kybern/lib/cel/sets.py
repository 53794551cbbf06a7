"""The `sets` extension of cel-go: lists as sets.

In:   two lists.
Out:  `FUNCTIONS`, a table of overloads.
By:   environments that want it.
"""

from __future__ import annotations

from typing import Any

from kybern.lib.cel.declarations import Overload
from kybern.lib.cel.values import contains


def _contains(items: list[Any], some: list[Any]) -> bool:
    return all(contains(items, each) for each in some)


def _equivalent(one: list[Any], other: list[Any]) -> bool:
    return _contains(one, other) and _contains(other, one)


def _intersects(one: list[Any], other: list[Any]) -> bool:
    return any(contains(one, each) for each in other)


def _product(one: list[Any], other: list[Any], result: Any) -> int:
    del result
    return 1 + len(one) * len(other)


def _twice(one: list[Any], other: list[Any], result: Any) -> int:
    del result
    return 1 + 2 * len(one) * len(other)


FUNCTIONS: dict[str, tuple[Overload, ...]] = {
    "sets.contains": (Overload("list(T), list(T) -> bool", _contains, cost=_product),),
    "sets.equivalent": (Overload("list(T), list(T) -> bool", _equivalent, cost=_twice),),
    "sets.intersects": (Overload("list(T), list(T) -> bool", _intersects, cost=_product),),
}
