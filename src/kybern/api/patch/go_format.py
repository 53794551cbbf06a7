"""Print trees as Go's fmt does, because upstream's messages contain such prints.

In:   a value of a JSON tree.
Out:  the text of `%v`, `%#v` and `%T`.
By:   the error messages of strategic merge and server-side apply.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final

from kybern.api.bad_value import quote

MISTYPED: Final = re.compile(r"json: cannot unmarshal (\S+) into Go .*of type (.+)")
# what JSON calls a value: the Go type it has in a tree, and that type's kind
SOURCES: Final = {
    "number": ("int64", "int64"),
    "string": ("string", "string"),
    "bool": ("bool", "bool"),
    "object": ("map[string]interface {}", "map"),
    "array": ("[]interface {}", "slice"),
}
SCALAR: Final = re.compile(r"(u?int|float)\d*|string|bool")


def plain(value: Any) -> str:
    """`%v`: `map[image:nginx ports:[80]]`."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{k}:{plain(value[k])}" for k in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(map(plain, value)) + "]"
    return number(value) if isinstance(value, float) else str(value)


def syntax(value: Any) -> str:
    """`%#v`: `map[string]interface {}{"image":"nginx"}`."""
    if value is None:
        return "interface {}(nil)"
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, dict):
        items = ", ".join(f"{quote(k)}:{syntax(value[k])}" for k in sorted(value))
        return f"map[string]interface {{}}{{{items}}}"
    if isinstance(value, list):
        return f"[]interface {{}}{{{', '.join(map(syntax, value))}}}"
    return plain(value)


def type_name(value: Any) -> str:
    """`%T`: `map[string]interface {}`."""
    if value is None:
        return "<nil>"
    for kind, name in (
        (bool, "bool"), (int, "int64"), (float, "float64"), (str, "string"),
        (dict, "map[string]interface {}"), (list, "[]interface {}"),
    ):  # fmt: skip
        if isinstance(value, kind):
            return name
    return type(value).__name__


def conversion(text: str) -> str:
    """Say of a tree that does not fit a type what its conversion says, given what a decoder does.

    `json: cannot unmarshal number into … of type string`: `cannot convert int64 to string`.
    """
    match = MISTYPED.fullmatch(text)
    source = SOURCES.get(match[1]) if match else None
    if match is None or source is None:
        return text
    type_, kind = source
    if SCALAR.fullmatch(match[2]):
        return f"cannot convert {type_} to {match[2]}"
    if match[2].startswith("[]"):
        return f"cannot restore slice from {kind}"
    if match[2].startswith("map["):
        return f"cannot restore map from {kind}"
    return f"cannot restore struct from: {kind}"


def number(value: float) -> str:
    """`%v` of a float64: shortest form, with an exponent below 1e-4 and from 1e21 on."""
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if abs(value) < 1e21 and value == int(value):
        return str(int(value))
    mantissa, _, exponent = repr(value).partition("e")
    if not exponent:
        return mantissa
    sign, digits = ("-", exponent[1:]) if exponent[0] == "-" else ("+", exponent.lstrip("+"))
    return f"{mantissa}e{sign}{digits.rjust(2, '0')}"
