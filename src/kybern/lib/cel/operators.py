"""What the operators do with two values.

In:   values of any types.
Out:  a value; or an EvalError with cel-go's text.
By:   compiler.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from kybern.lib.cel.values import (
    INT_MAX,
    INT_MIN,
    NONE,
    NUMBERS,
    UINT_MAX,
    Duration,
    EvalError,
    Optional,
    Timestamp,
    UInt,
    has_key,
)

if TYPE_CHECKING:
    from collections.abc import Callable

ORDERED = frozenset((bool, str, bytes, Timestamp, Duration))


def no_overload() -> EvalError:
    """Return the error of an operation on values it is not for."""
    return EvalError("no such overload")


def ranged(value: int) -> int:
    """Return an int that fits in 64 bits."""
    if INT_MIN <= value <= INT_MAX:
        return value
    raise EvalError("integer overflow")


def ranged_unsigned(value: int) -> UInt:
    """Return a uint that fits in 64 bits."""
    if 0 <= value <= UINT_MAX:
        return UInt(value)
    raise EvalError("unsigned integer overflow")


def add(a: Any, b: Any) -> Any:
    """`a + b`."""
    left, right = type(a), type(b)
    if left is right:
        if left is int:
            return ranged(a + b)
        if left in (str, float, list, bytes):
            return a + b
        if left is UInt:
            return ranged_unsigned(int(a) + int(b))
        if left is Duration:
            return Duration(_ranged_time(a.ns + b.ns))
    if left is Timestamp and right is Duration:
        return Timestamp(a.ns + b.ns)
    if left is Duration and right is Timestamp:
        return Timestamp(a.ns + b.ns)
    raise no_overload()


def subtract(a: Any, b: Any) -> Any:
    """`a - b`."""
    left, right = type(a), type(b)
    if left is right:
        if left is int:
            return ranged(a - b)
        if left is float:
            return a - b
        if left is UInt:
            return ranged_unsigned(int(a) - int(b))
        if left is Duration or left is Timestamp:
            return Duration(_ranged_time(a.ns - b.ns))
    if left is Timestamp and right is Duration:
        return Timestamp(a.ns - b.ns)
    raise no_overload()


def _ranged_time(ns: int) -> int:
    if INT_MIN <= ns <= INT_MAX:
        return ns
    raise EvalError("integer overflow")


def multiply(a: Any, b: Any) -> Any:
    """`a * b`."""
    if type(a) is type(b):
        if type(a) is int:
            return ranged(a * b)
        if type(a) is float:
            return a * b
        if type(a) is UInt:
            return ranged_unsigned(int(a) * int(b))
    raise no_overload()


def divide(a: Any, b: Any) -> Any:
    """`a / b`, towards zero."""
    if type(a) is not type(b):
        raise no_overload()
    if type(a) is float:
        return _divide_floats(a, b)
    if type(a) is not int and type(a) is not UInt:
        raise no_overload()
    if b == 0:
        raise EvalError("division by zero")
    quotient = abs(int(a)) // abs(int(b))
    if type(a) is UInt:
        return UInt(quotient)
    return ranged(quotient if (a < 0) == (b < 0) else -quotient)


def _divide_floats(a: float, b: float) -> float:
    if b:
        return a / b
    if not a or math.isnan(a):
        return math.nan
    return math.copysign(math.inf, a) * math.copysign(1.0, b)


def modulo(a: Any, b: Any) -> Any:
    """`a % b`, with the sign of a."""
    if type(a) is not type(b) or type(a) not in (int, UInt):
        raise no_overload()
    if b == 0:
        raise EvalError("modulus by zero")
    if type(a) is int and a == INT_MIN and b == -1:
        raise EvalError("integer overflow")
    rest = abs(int(a)) % abs(int(b))
    return UInt(rest) if type(a) is UInt else (-rest if a < 0 else rest)


def negate(a: Any) -> Any:
    """`-a`."""
    if type(a) is int:
        return ranged(-a)
    if type(a) is float:
        return -a
    raise no_overload()


def invert(a: Any) -> bool:
    """`!a`."""
    if type(a) is bool:
        return not a
    raise no_overload()


def comparable(a: Any, b: Any) -> bool:
    """Return whether two values have an order."""
    left, right = type(a), type(b)
    return (left is right and left in ORDERED) or (left in NUMBERS and right in NUMBERS)


def less(a: Any, b: Any) -> bool:
    """`a < b`."""
    if comparable(a, b):
        return bool(a < b)
    raise no_overload()


def less_or_equal(a: Any, b: Any) -> bool:
    """`a <= b`."""
    if comparable(a, b):
        return bool(a <= b)
    raise no_overload()


def greater(a: Any, b: Any) -> bool:
    """`a > b`."""
    return less(b, a)


def greater_or_equal(a: Any, b: Any) -> bool:
    """`a >= b`."""
    return less_or_equal(b, a)


BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "_+_": add, "_-_": subtract, "_*_": multiply, "_/_": divide, "_%_": modulo, "_<_": less,
    "_<=_": less_or_equal, "_>_": greater, "_>=_": greater_or_equal,
}  # fmt: skip


def index(value: Any, key: Any) -> Any:
    """`value[key]`."""
    if isinstance(value, dict):
        if has_key(value, key):
            return value[key]
        raise EvalError(f"no such key: {shown_key(key)}")
    if type(value) is list:
        at = _position(key)
        if 0 <= at < len(value):
            return value[at]
        raise EvalError(f"index out of bounds: {at}")
    if type(value) is Optional:
        return optional_index(value, key)
    raise no_overload()


def _position(key: Any) -> int:
    if type(key) in NUMBERS and key == int(key):
        return int(key)
    raise EvalError(f"unsupported index value: {shown_key(key)}")


def shown_key(key: Any) -> str:
    """Return a key as messages show it."""
    if type(key) is bool:
        return str(key).lower()
    return str(key)


def optional_index(value: Any, key: Any) -> Optional:
    """`value[?key]`."""
    if type(value) is Optional:
        return optional_index(value.value, key) if value.present else NONE
    if isinstance(value, dict):
        return Optional(value[key]) if has_key(value, key) else NONE
    if type(value) is list:
        at = _position(key)
        return Optional(value[at]) if 0 <= at < len(value) else NONE
    raise no_overload()


def select(value: Any, field: str) -> Any:
    """`value.field` where it was not as easy as a key of a map."""
    if isinstance(value, dict):
        raise EvalError(f"no such key: {field}")
    if type(value) is Optional:
        return optional_select(value, field)
    raise no_overload()


def optional_select(value: Any, field: str) -> Optional:
    """`value.?field`."""
    if type(value) is Optional:
        return optional_select(value.value, field) if value.present else NONE
    if isinstance(value, dict):
        return Optional(value[field]) if field in value else NONE
    raise no_overload()


def present(value: Any, field: str) -> bool:
    """`has(value.field)`."""
    if isinstance(value, dict):
        return field in value
    if type(value) is Optional:
        return value.present and present(value.value, field)
    raise no_overload()
