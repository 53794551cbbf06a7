"""Values that Python does not have as CEL does, and when two values are equal.

In:   what expressions compute with.
Out:  UInt, Timestamp, Duration, Optional, TypeValue; `equal`, `EvalError`.
By:   the compiler and the libraries.

null, bool, int, double, string, bytes, list and map are None, bool, int, float, str, bytes, list
and dict. Times count nanoseconds.
"""

from __future__ import annotations

from typing import Any

INT_MIN, INT_MAX, UINT_MAX = -(1 << 63), (1 << 63) - 1, (1 << 64) - 1
SECOND = 1_000_000_000
TIME_MIN, TIME_MAX = -62135596800 * SECOND, 253402300800 * SECOND - 1


class EvalError(Exception):
    """An expression has no value, for a reason that depends on the data."""


class CostExceeded(Exception):  # not an EvalError: nothing may absorb it
    """An expression was stopped because it costs too much."""

    def __init__(self) -> None:
        super().__init__("operation cancelled: actual cost limit exceeded")


class UInt(int):
    """An unsigned integer: `1u`."""

    __slots__ = ()


class Duration:
    """A length of time."""

    __slots__ = ("ns",)

    def __init__(self, ns: int) -> None:
        if not INT_MIN <= ns <= INT_MAX:
            raise EvalError("range")
        self.ns = ns

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Duration) and self.ns == other.ns

    def __lt__(self, other: Duration) -> bool:
        return self.ns < other.ns

    def __le__(self, other: Duration) -> bool:
        return self.ns <= other.ns

    def __hash__(self) -> int:
        return hash(("duration", self.ns))

    def __str__(self) -> str:
        sign, rest = ("-", -self.ns) if self.ns < 0 else ("", self.ns)
        whole, part = divmod(rest, SECOND)
        fraction = f".{part:09d}".rstrip("0") if part else ""
        return f"{sign}{whole}{fraction}s"


class Timestamp:
    """A point in time, since 1970."""

    __slots__ = ("ns",)

    def __init__(self, ns: int) -> None:
        if not TIME_MIN <= ns <= TIME_MAX:
            raise EvalError("timestamp overflow")
        self.ns = ns

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Timestamp) and self.ns == other.ns

    def __lt__(self, other: Timestamp) -> bool:
        return self.ns < other.ns

    def __le__(self, other: Timestamp) -> bool:
        return self.ns <= other.ns

    def __hash__(self) -> int:
        return hash(("timestamp", self.ns))


class Optional:
    """A value that may be absent: `optional.of(x)`, `map.?key`."""

    __slots__ = ("present", "value")

    def __init__(self, value: Any = None, *, present: bool = True) -> None:
        self.value = value
        self.present = present


NONE = Optional(present=False)


class TypeValue:
    """A type as a value: what `type(x)` returns."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TypeValue) and self.name == other.name

    def __hash__(self) -> int:
        return hash(("type", self.name))


class Message(dict[str, Any]):
    """A struct made by an expression: `Object.spec{replicas: 1}`."""

    __slots__ = ("type_name",)

    def __init__(self, type_name: str, fields: dict[str, Any]) -> None:
        super().__init__(fields)
        self.type_name = type_name


NUMBERS = frozenset((int, UInt, float))


def equal(a: Any, b: Any) -> bool:
    """Return whether two values are equal; those of different types are not, numbers aside."""
    left, right = type(a), type(b)
    if left is right:
        if left is list:
            return len(a) == len(b) and all(map(equal, a, b))
        if isinstance(a, dict):
            return len(a) == len(b) and all(k in b and equal(v, b[k]) for k, v in a.items())
        if left is Optional:
            return a.present == b.present and (not a.present or equal(a.value, b.value))
        return bool(a == b)
    if left in NUMBERS and right in NUMBERS:
        return bool(a == b)
    if isinstance(a, dict) and isinstance(b, dict):
        return len(a) == len(b) and all(k in b and equal(v, b[k]) for k, v in a.items())
    return False


def contains(items: Any, value: Any) -> bool:
    """Return whether a list has an item, or a map has a key."""
    if isinstance(items, dict):
        return has_key(items, value)
    if type(items) is not list:
        raise EvalError("no such overload")
    return any(equal(value, item) for item in items)


def has_key(items: dict[Any, Any], key: Any) -> bool:
    """Return whether a map has a key; true is not 1."""
    try:
        if key not in items:
            return False
    except TypeError:
        raise EvalError("unsupported key type") from None
    if key.__class__ is bool or (key.__class__ in NUMBERS and key in (0, 1)):
        return any(k == key and (type(k) is bool) == (type(key) is bool) for k in items)
    return True


_NAMES = {
    type(None): "null_type", bool: "bool", int: "int", UInt: "uint", float: "double", str: "string",
    bytes: "bytes", list: "list", dict: "map", Duration: "google.protobuf.Duration",
    Timestamp: "google.protobuf.Timestamp", Optional: "optional_type", TypeValue: "type",
}  # fmt: skip


def type_name(value: Any) -> str:
    """Return the name of a value's type."""
    if isinstance(value, Message):
        return value.type_name
    known = _NAMES.get(type(value))
    if known is not None:
        return known
    if isinstance(value, dict):
        return "map"
    return str(getattr(value, "TYPE", type(value).__name__))
