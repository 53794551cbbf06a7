"""The `strings` extension of cel-go, version 2.

In:   strings.
Out:  `FUNCTIONS`, a table of overloads.
By:   environments that want it.
"""

from __future__ import annotations

from typing import Any

from kybern.lib.cel.declarations import Overload
from kybern.lib.cel.formatting import format_text, quote
from kybern.lib.cel.standard import tenth
from kybern.lib.cel.values import CostExceeded, EvalError

MOST = 100_000_000
"""Characters of the longest text that replacing may make."""

SPACE = (
    "".join(
        map(chr, (*range(9, 14), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029))
    )
    + "\u202f\u205f\u3000"
)
"""What Go calls white space."""


def _char_at(text: str, at: int) -> str:
    if not 0 <= at <= len(text):
        raise EvalError(f"index out of range: {at}")
    return text[at : at + 1]


def _index_of(text: str, part: str, start: int = 0) -> int:
    if not part:
        return start
    if not 0 <= start < max(len(text), 1):
        raise EvalError(f"index out of range: {start}")
    return text.find(part, start)


def _last_index_of(text: str, part: str, start: int | None = None) -> int:
    if not part:
        return len(text) if start is None else start
    if start is None:
        return text.rfind(part)
    if not 0 <= start < max(len(text), 1):
        raise EvalError(f"index out of range: {start}")
    return text.rfind(part, 0, start + len(part))


def _join(items: list[Any], separator: str = "") -> str:
    if not all(type(each) is str for each in items):
        raise EvalError("no such overload")
    return separator.join(items)


def _lower(text: str) -> str:
    return "".join(each.lower() if each.isascii() else each for each in text)


def _upper(text: str) -> str:
    return "".join(each.upper() if each.isascii() else each for each in text)


def _replace(text: str, old: str, new: str, count: int = -1) -> str:
    found = text.count(old) if count < 0 else min(count, text.count(old))
    if found * len(new) > MOST:
        raise CostExceeded  # the cost that upstream counts does not see how long the result is
    return text.replace(old, new, count)


def _split(text: str, separator: str, count: int = -1) -> list[str]:
    if not count:
        return []
    if not separator:
        letters = list(text)
        if count < 0 or len(letters) <= count:
            return letters
        return [*letters[: count - 1], "".join(letters[count - 1 :])]
    return text.split(separator, count - 1 if count > 0 else -1)


def _substring(text: str, start: int, end: int | None = None) -> str:
    last = len(text) if end is None else end
    if not 0 <= start <= len(text):
        raise EvalError(f"index out of range: {start}")
    if not 0 <= last <= len(text):
        raise EvalError(f"index out of range: {last}")
    if start > last:
        raise EvalError(f"invalid substring range. start: {start}, end: {last}")
    return text[start:last]


def once(first: Any, *rest: Any) -> int:
    """Return what it costs to read the first argument."""
    del rest
    return tenth(len(first))


def twice(first: Any, *rest: Any) -> int:
    """Return what it costs to read the first argument and write as much."""
    del rest
    return -(-len(first) * 2 // 10)


def _by_result(*args: Any) -> int:
    return -(-len(args[-1]) * 2 // 10)


def _members(call: Any, *signatures: str, cost: Any = None) -> tuple[Overload, ...]:
    return tuple(Overload(each, call, member=True, cost=cost) for each in signatures)


FUNCTIONS: dict[str, tuple[Overload, ...]] = {
    "charAt": _members(_char_at, "string, int -> string"),
    "indexOf": _members(
        _index_of, "string, string -> int", "string, string, int -> int", cost=once
    ),
    "lastIndexOf": _members(
        _last_index_of, "string, string -> int", "string, string, int -> int", cost=once
    ),
    "join": _members(
        _join, "list(string) -> string", "list(string), string -> string", cost=_by_result
    ),
    "lowerAscii": _members(_lower, "string -> string", cost=once),
    "upperAscii": _members(_upper, "string -> string", cost=once),
    "replace": _members(
        _replace, "string, string, string -> string", "string, string, string, int -> string",
        cost=twice,
    ),
    "split": _members(
        _split, "string, string -> list(string)", "string, string, int -> list(string)", cost=twice
    ),
    "substring": _members(
        _substring, "string, int -> string", "string, int, int -> string", cost=once
    ),
    "trim": _members(lambda text: text.strip(SPACE), "string -> string", cost=once),
    "format": _members(format_text, "string, list(dyn) -> string", cost=once),
    "strings.quote": (Overload("string -> string", quote, cost=once),),
}  # fmt: skip
