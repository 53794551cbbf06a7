"""`"%s has %d".format([name, count])` and `strings.quote`.

In:   a format and a list of values.
Out:  a string; or an EvalError with cel-go's text.
By:   text.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from kybern.lib.cel import times
from kybern.lib.cel.conversions import text_of_double
from kybern.lib.cel.values import Duration, EvalError, Timestamp, TypeValue, UInt, type_name

if TYPE_CHECKING:
    from collections.abc import Callable

_CLAUSE = re.compile(r"%(?:%|(?:\.(\d+))?([a-zA-Z]))?")
_ESCAPES = {
    "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v",
    "\\": "\\\\", '"': '\\"',
}  # fmt: skip


def quote(text: str) -> str:
    """Return a text in quotes, with what needs it escaped."""
    return f'"{"".join(_ESCAPES.get(each, each) for each in text)}"'


def format_text(pattern: str, values: list[Any]) -> str:
    """Return a text with values put in."""
    out: list[str] = []
    last = used = 0
    for match in _CLAUSE.finditer(pattern):
        out.append(pattern[last : match.start()])
        last = match.end()
        if match[0] == "%%":
            out.append("%")
            continue
        if not match[2]:
            raise EvalError("could not parse formatting clause: unexpected end of string")
        if used >= len(values):
            raise EvalError(f"index {used} out of range")
        if len(match[1] or "") > 3:
            told = "could not parse formatting clause: error parsing precision: value out of range"
            raise EvalError(told)
        out.append(_clause(match[2], match[1], values[used]))
        used += 1
    return "".join([*out, pattern[last:]])


def _clause(verb: str, precision: str | None, value: Any) -> str:
    make = _VERBS.get(verb)
    if make is None:
        told = f'could not parse formatting clause: unrecognized formatting clause "{verb}"'
        raise EvalError(told)
    return str(make(value, 6 if precision is None else int(precision)))


def _wrong(verb: str, value: Any, wanted: str) -> EvalError:
    given = type_name(value)
    return EvalError(
        f"error during formatting: {verb} clause can only be used on {wanted}, was given {given}"
    )


def _string(value: Any, precision: int = 6) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_string(each) for each in value)}]"
    if isinstance(value, dict):
        shown = sorted((_string(k), _string(v)) for k, v in value.items())
        return "{" + ", ".join(f"{k}: {v}" for k, v in shown) + "}"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if not math.isfinite(value):
            return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
        return text_of_double(value)
    if isinstance(value, Timestamp):
        return times.shown(value)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, TypeValue):
        return value.name
    if isinstance(value, (str, int, Duration)):
        return str(int(value)) if isinstance(value, UInt) else str(value)
    wanted = "strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps"
    raise _wrong("string", value, wanted)


def _decimal(value: Any, precision: int) -> str:
    del precision
    if type(value) in (int, UInt):
        return str(int(value))
    if type(value) is float:
        return _string(value)
    raise _wrong("decimal", value, "integers")


def _real(value: Any, precision: int, form: str, name: str) -> str:
    if type(value) not in (float, int, UInt):
        raise _wrong(name, value, "doubles")
    return _string(value) if not math.isfinite(value) else f"{float(value):.{precision}{form}}"


def _hex(value: Any, letters: str) -> str:
    if type(value) in (int, UInt):
        return format(int(value), letters)
    if isinstance(value, str):
        value = value.encode()
    if not isinstance(value, bytes):
        raise _wrong("hex", value, "integers, byte buffers, and strings")
    return value.hex() if letters == "x" else value.hex().upper()


def _whole(value: Any, letters: str, name: str) -> str:
    if type(value) in (int, UInt, bool):
        return format(int(value), letters)
    raise _wrong(name, value, "integers")


_VERBS: dict[str, Callable[[Any, int], str]] = {
    "s": _string,
    "d": _decimal,
    "f": lambda value, precision: _real(value, precision, "f", "fixed-point"),
    "e": lambda value, precision: _real(value, precision, "e", "scientific"),
    "x": lambda value, _: _hex(value, "x"),
    "X": lambda value, _: _hex(value, "X"),
    "b": lambda value, _: _whole(value, "b", "binary"),
    "o": lambda value, _: _whole(value, "o", "octal"),
}
