"""`quantity("1Gi")` and what one can do with it.

In:   texts.
Out:  `FUNCTIONS`, a table of overloads.
By:   libraries. Facts: upstream's `apiserver/pkg/cel/library/quantity.go`.
"""

from __future__ import annotations

from typing import Any

from kybern.api import quantity
from kybern.lib.cel.declarations import Overload
from kybern.lib.cel.text import once
from kybern.lib.cel.values import INT_MAX, INT_MIN, EvalError

TYPE = "kubernetes.Quantity"
UNIT = 1_000_000_000
REFUSED = (
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
)


class Quantity:
    """An amount."""

    TYPE = TYPE
    __slots__ = ("amount",)

    def __init__(self, amount: quantity.Quantity) -> None:
        self.amount = amount

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantity) and self.amount == other.amount

    def __hash__(self) -> int:
        return hash(self.amount)


def _parse(text: str) -> Quantity:
    try:
        return Quantity(quantity.parse(text))
    except ValueError:
        raise EvalError(REFUSED) from None


def _is_quantity(text: str) -> bool:
    try:
        quantity.parse(text)
    except ValueError:
        return False
    return True


def _is_integer(given: Quantity) -> bool:
    whole, rest = divmod(given.amount.nanos, UNIT)
    return not rest and INT_MIN <= whole <= INT_MAX


def _as_integer(given: Quantity) -> int:
    if not _is_integer(given):
        raise EvalError("cannot convert value to integer")
    return given.amount.nanos // UNIT


def _as_float(given: Quantity) -> float:
    return given.amount.nanos / UNIT


def _sign(given: Quantity) -> int:
    nanos = given.amount.nanos
    return (nanos > 0) - (nanos < 0)


def _amount(given: Quantity | int) -> quantity.Quantity:
    return given.amount if isinstance(given, Quantity) else quantity.Quantity(given * UNIT)


def _compare(one: Quantity, other: Quantity) -> int:
    a, b = one.amount.nanos, other.amount.nanos
    return (a > b) - (a < b)


def _member(signature: str, call: Any) -> Overload:
    return Overload(f"{TYPE}{signature}", call, member=True)


def _sum(one: Quantity, other: Quantity | int) -> Quantity:
    return Quantity(one.amount + _amount(other))


def _difference(one: Quantity, other: Quantity | int) -> Quantity:
    return Quantity(one.amount - _amount(other))


FUNCTIONS: dict[str, tuple[Overload, ...]] = {
    "quantity": (Overload(f"string -> {TYPE}", _parse, cost=once),),
    "isQuantity": (Overload("string -> bool", _is_quantity, cost=once),),
    "sign": (_member(" -> int", _sign),),
    "isInteger": (_member(" -> bool", _is_integer),),
    "asInteger": (_member(" -> int", _as_integer),),
    "asApproximateFloat": (_member(" -> double", _as_float),),
    "isGreaterThan": (_member(f", {TYPE} -> bool", lambda a, b: _compare(a, b) > 0),),
    "isLessThan": (_member(f", {TYPE} -> bool", lambda a, b: _compare(a, b) < 0),),
    "compareTo": (_member(f", {TYPE} -> int", _compare),),
    "add": (_member(f", {TYPE} -> {TYPE}", _sum), _member(f", int -> {TYPE}", _sum)),
    "sub": (_member(f", {TYPE} -> {TYPE}", _difference), _member(f", int -> {TYPE}", _difference)),
}
