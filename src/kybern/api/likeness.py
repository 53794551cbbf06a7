"""Whether two parts of objects mean the same, and if not, how they differ.

In:   two values out of objects of one kind.
Out:  `same`: yes or no;  `difference`: lines with `-` for the old and `+` for the new.
By:   validation of updates, where a part may not change.

Upstream compares Go values: no list, an empty list and an empty map are one, and so are "" and an
absent string, false and an absent flag. Numbers are compared strictly, for 0 may be meant.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from kybern.api.bad_value import go_name, quote
from kybern.api.fields import fields_of

# Numbers which are not pointers upstream: their absence is zero.
PLAIN_NUMBERS: Final = frozenset(("hostPort", "initialDelaySeconds", "nodePort", "partition"))


def _absent(value: Any) -> bool:
    return value is None or value is False or value == "" or value == [] or value == {}


def same(one: Any, other: Any) -> bool:
    """Whether both mean the same."""
    if one is other or one == other:
        return True
    if isinstance(one, msgspec.Struct) and type(one) is type(other):
        return all(_same_field(n, one, other) for n in one.__struct_fields__)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    return _absent(one) and _absent(other)


def _same_field(name: str, one: msgspec.Struct, other: msgspec.Struct) -> bool:
    left, right = getattr(one, name), getattr(other, name)
    if name in PLAIN_NUMBERS:
        return bool((left or 0) == (right or 0))
    return same(left, right)


def difference(old: Any, new: Any) -> str:
    """What changed, in the manner of Go's `cmp.Diff`: unchanged fields are only counted."""
    package = type(old).__module__.split(".")[-2]
    return "\n".join([f"  {package}.{type(old).__name__}{{", *_fields(old, new, "  \t"), "  }", ""])


def _fields(old: Any, new: Any, indent: str) -> list[str]:
    lines: list[str] = []
    unchanged = 0
    # Go's order of fields is that of their numbers.
    struct: type[msgspec.Struct] = type(old)
    for info in sorted(fields_of(struct).values(), key=lambda each: each.meta.number):
        name = info.attr
        if _same_field(name, old, new):
            unchanged += 1
            continue
        if unchanged:
            lines.append(_count(unchanged, "field", indent))
            unchanged = 0
        lines += _change(f"{go_name(info.name)}: ", getattr(old, name), getattr(new, name), indent)
    if unchanged:
        lines.append(_count(unchanged, "field", indent))
    return lines


def _count(number: int, noun: str, indent: str) -> str:
    return f"{indent}... // {number} identical {noun}{'' if number == 1 else 's'}"


def _change(label: str, old: Any, new: Any, indent: str) -> list[str]:
    if isinstance(old, msgspec.Struct) and type(old) is type(new):
        inner = _fields(old, new, indent + "\t")
        return [f"{indent}{label}{type(old).__name__}{{", *inner, f"{indent}}},"]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [f"{indent}{label}[]{{", *_items(old, new, indent + "\t"), f"{indent}}},"]
    lines = [] if _absent(old) else [f"-{indent[1:]}{label}{_text(old)},"]
    return lines if _absent(new) else [*lines, f"+{indent[1:]}{label}{_text(new)},"]


def _items(old: list[Any], new: list[Any], indent: str) -> list[str]:
    lines: list[str] = []
    unchanged = 0
    for left, right in zip(old, new, strict=True):
        if same(left, right):
            unchanged += 1
            continue
        if unchanged:
            lines.append(_count(unchanged, "element", indent))
            unchanged = 0
        lines += _change("", left, right, indent)
    if unchanged:
        lines.append(_count(unchanged, "element", indent))
    return lines


def _text(value: Any) -> str:
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, msgspec.Struct):
        known = ((n, getattr(value, n)) for n in value.__struct_fields__)
        told = ", ".join(f"{go_name(n)}: {_text(v)}" for n, v in known if not _absent(v))
        return f"{type(value).__name__}{{{told}}}"
    if isinstance(value, list):
        return f"{{{', '.join(map(_text, value))}}}"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_text(k)}: {_text(v)}' for k, v in sorted(value.items()))}}}"
    return str(value)
