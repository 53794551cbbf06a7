"""From one type to another.

In:   a value.
Out:  the same as another type; or an EvalError with cel-go's text.
By:   standard.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal

from kybern.lib.cel.values import INT_MAX, INT_MIN, UINT_MAX, EvalError, UInt

LONG = 1000
"""Digits from which on nobody has to look at a number; Python would refuse to."""
TRUE = frozenset(("1", "t", "T", "true", "TRUE", "True"))
FALSE = frozenset(("0", "f", "F", "false", "FALSE", "False"))
_WHOLE = re.compile(r"[+-]?[0-9]+")
_REAL = re.compile(
    r"[+-]?(?:[0-9]+\.?[0-9]*(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?|inf|infinity|nan)",
    re.IGNORECASE,
)


def bool_of_text(text: str) -> bool:
    """`bool("true")`."""
    if text in TRUE:
        return True
    if text in FALSE:
        return False
    raise EvalError(f"type conversion error from 'string' to 'bool': {text}")


def int_of_uint(value: UInt) -> int:
    """`int(1u)`."""
    return _ranged(int(value))


def _ranged(value: int) -> int:
    if INT_MIN <= value <= INT_MAX:
        return value
    raise EvalError("integer overflow")


def int_of_double(value: float) -> int:
    """`int(1.5)`, towards zero."""
    if math.isfinite(value) and -(2.0**63) < value < 2.0**63:
        return int(value)
    raise EvalError("integer overflow")


def int_of_text(text: str) -> int:
    """`int("1")`."""
    if _WHOLE.fullmatch(text) is None:
        raise EvalError(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    value = int(text) if len(text) < LONG else INT_MAX + 1
    if not INT_MIN <= value <= INT_MAX:
        raise EvalError(f'strconv.ParseInt: parsing "{text}": value out of range')
    return value


def uint_of_int(value: int) -> UInt:
    """`uint(1)`."""
    if value < 0:
        raise EvalError("unsigned integer overflow")
    return UInt(value)


def uint_of_double(value: float) -> UInt:
    """`uint(1.5)`, towards zero."""
    if math.isfinite(value) and 0 <= value < 2.0**64:
        return UInt(int(value))
    raise EvalError("unsigned integer overflow")


def uint_of_text(text: str) -> UInt:
    """`uint("1")`."""
    if not text.isascii() or not text.isdigit():
        raise EvalError(f'strconv.ParseUint: parsing "{text}": invalid syntax')
    value = int(text) if len(text) < LONG else UINT_MAX + 1
    if value > UINT_MAX:
        raise EvalError(f'strconv.ParseUint: parsing "{text}": value out of range')
    return UInt(value)


def double_of_text(text: str) -> float:
    """`double("1.5")`."""
    if _REAL.fullmatch(text) is None:
        raise EvalError(f'strconv.ParseFloat: parsing "{text}": invalid syntax')
    return float(text)


def text_of_double(value: float) -> str:
    """`string(1.5)`, as Go writes it with %g and the fewest digits."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("+Inf" if value > 0 else "-Inf")
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    power = len(digits) + int(exponent) - 1 if value else 0
    shown = "".join(map(str, digits))
    minus = "-" if sign else ""
    if not -4 <= power < 6:
        fraction = f".{shown[1:]}" if shown[1:] else ""
        return f"{minus}{shown[0]}{fraction}e{'-' if power < 0 else '+'}{abs(power):02d}"
    if power < 0:
        return f"{minus}0.{'0' * (-power - 1)}{shown}"
    shown = shown.ljust(power + 1, "0")
    fraction = f".{shown[power + 1 :]}" if shown[power + 1 :] else ""
    return f"{minus}{shown[: power + 1]}{fraction}"


def text_of_bytes(value: bytes) -> str:
    """`string(b"...")`."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise EvalError("invalid UTF-8 in bytes, cannot convert to string") from None
