"""Print trees as Go's fmt does, because upstream's messages contain such prints.

In:   a value of a JSON tree.
Out:  the text of `%v`, `%#v` and `%T`.
By:   the error messages of strategic merge and server-side apply.
"""

from __future__ import annotations

from typing import Any

from kybern.api.bad_value import quote


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


def number(value: float) -> str:
    """`%v` of a float64: shortest form, with an exponent below 1e-4 and from 1e21 on."""
    if value == int(value) and abs(value) < 1e21:
        return str(int(value))
    mantissa, _, exponent = repr(value).partition("e")
    if not exponent:
        return mantissa
    sign, digits = ("-", exponent[1:]) if exponent[0] == "-" else ("+", exponent.lstrip("+"))
    return f"{mantissa}e{sign}{digits.rjust(2, '0')}"
