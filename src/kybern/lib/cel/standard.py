"""The functions every CEL environment has, and the types of the operators.

In:   nothing.
Out:  `OPERATORS` and `FUNCTIONS`, tables of overloads.
By:   environment. Facts: cel-spec's "List of standard definitions"; costs are cel-go's.
"""

from __future__ import annotations

from typing import Any

from kybern.lib.cel import conversions as to
from kybern.lib.cel import times
from kybern.lib.cel.declarations import Overload
from kybern.lib.cel.patterns import compiled
from kybern.lib.cel.values import SECOND, EvalError, TypeValue, type_name

NUMERIC = ("int", "uint", "double")
ORDERED = ("bool", *NUMERIC, "string", "bytes", "timestamp", "duration")


def _operators() -> dict[str, tuple[Overload, ...]]:
    found: dict[str, list[str]] = {
        "_&&_": ["bool, bool -> bool"],
        "_||_": ["bool, bool -> bool"],
        "!_": ["bool -> bool"],
        "-_": ["int -> int", "double -> double"],
        "_?_:_": ["bool, A, A -> A"],
        "_==_": ["A, A -> bool"],
        "_!=_": ["A, A -> bool"],
        "@in": ["A, list(A) -> bool", "A, map(A, B) -> bool"],
        "_[_]": [
            "list(A), int -> A", "map(A, B), A -> B", "optional(list(A)), int -> optional(A)",
            "optional(map(A, B)), A -> optional(B)",
        ],
        "_[?_]": [
            "list(A), int -> optional(A)", "map(A, B), A -> optional(B)",
            "optional(list(A)), int -> optional(A)", "optional(map(A, B)), A -> optional(B)",
        ],
        "_%_": ["int, int -> int", "uint, uint -> uint"],
    }  # fmt: skip
    for name in ("_+_", "_-_", "_*_", "_/_"):
        found[name] = [f"{each}, {each} -> {each}" for each in NUMERIC]
    found["_+_"] += [
        "string, string -> string", "bytes, bytes -> bytes", "list(A), list(A) -> list(A)",
        "duration, duration -> duration", "timestamp, duration -> timestamp",
        "duration, timestamp -> timestamp",
    ]  # fmt: skip
    found["_-_"] += [
        "duration, duration -> duration", "timestamp, duration -> timestamp",
        "timestamp, timestamp -> duration",
    ]  # fmt: skip
    for name in ("_<_", "_<=_", "_>_", "_>=_"):
        found[name] = [f"{each}, {each} -> bool" for each in ORDERED]
        found[name] += [f"{a}, {b} -> bool" for a in NUMERIC for b in NUMERIC if a != b]
    return {name: tuple(map(Overload, lines)) for name, lines in found.items()}


OPERATORS = _operators()


def tenth(size: int) -> int:
    """Return what it costs to read a text of some size."""
    return -(-size // 10)


def _by_first(first: Any, *rest: Any) -> int:
    del rest
    return tenth(len(first))


def _by_second(first: Any, second: Any, *rest: Any) -> int:
    del first, rest
    return tenth(len(second))


def _contains_cost(text: str, part: str, result: Any) -> int:
    del result
    return tenth(len(text)) * tenth(len(part))


def match_cost(text: str, pattern: str, result: Any = None) -> int:
    """Return what it costs to look for a pattern in a text."""
    del result
    return tenth(len(text) + 1) * -(-len(pattern) // 4)


def _matches(text: str, pattern: str) -> bool:
    return compiled(pattern).search(text) is not None


def _prepare_match(pattern: str) -> Any:
    search = compiled(pattern).search

    def call(text: Any) -> bool:
        if type(text) is not str:
            raise EvalError("no such overload")
        return search(text) is not None

    return call


_matches.prepare = _prepare_match  # type: ignore[attr-defined]  # constant patterns are read once


def _size(value: Any) -> int:
    return len(value)


def _same(value: Any) -> Any:
    return value


SIZED = ("string", "bytes", "list(A)", "map(A, B)")
CONVERSIONS = {
    "bool": (("bool", _same), ("string", to.bool_of_text)),
    "int": (
        ("int", _same), ("uint", to.int_of_uint), ("double", to.int_of_double),
        ("string", to.int_of_text), ("timestamp", lambda t: t.ns // SECOND),
        ("duration", lambda d: d.ns),
    ),
    "uint": (
        ("uint", _same), ("int", to.uint_of_int), ("double", to.uint_of_double),
        ("string", to.uint_of_text),
    ),
    "double": (
        ("double", _same), ("int", float), ("uint", float), ("string", to.double_of_text),
    ),
    "string": (
        ("string", _same), ("bool", lambda b: "true" if b else "false"), ("int", str),
        ("uint", lambda u: str(int(u))), ("double", to.text_of_double), ("bytes", to.text_of_bytes),
        ("timestamp", times.shown), ("duration", str),
    ),
    "bytes": (("bytes", _same), ("string", str.encode)),
    "timestamp": (("timestamp", _same), ("string", times.parse), ("int", times.of_seconds)),
    "duration": (("duration", _same), ("string", times.parse_duration), ("int", times.of_ns)),
}  # fmt: skip
LINEAR = frozenset((("bytes", "string"), ("string", "bytes")))


def _conversions() -> dict[str, tuple[Overload, ...]]:
    return {
        name: tuple(
            Overload(
                f"{given} -> {name}", call, cost=_by_first if (name, given) in LINEAR else None
            )
            for given, call in lines
        )
        for name, lines in CONVERSIONS.items()
    }


def _times() -> dict[str, tuple[Overload, ...]]:
    found: dict[str, list[Overload]] = {}
    for name, get in times.PARTS.items():
        found[name] = [
            Overload("timestamp -> int", get, member=True),
            Overload("timestamp, string -> int", get, member=True),
        ]
    for name, ns in times.UNITS.items():
        found[name].append(Overload("duration -> int", times.whole(ns), member=True))
    return {name: tuple(lines) for name, lines in found.items()}


FUNCTIONS: dict[str, tuple[Overload, ...]] = {
    **_conversions(),
    **_times(),
    "size": tuple(
        Overload(f"{each} -> int", _size, member=member)
        for member in (False, True)
        for each in SIZED
    ),
    "dyn": (Overload("A -> dyn", _same),),
    "type": (Overload("A -> type(A)", lambda value: TypeValue(type_name(value))),),
    "contains": (
        Overload("string, string -> bool", lambda a, b: b in a, member=True, cost=_contains_cost),
    ),
    "startsWith": (
        Overload("string, string -> bool", str.startswith, member=True, cost=_by_second),
    ),
    "endsWith": (Overload("string, string -> bool", str.endswith, member=True, cost=_by_second),),
    "matches": (
        Overload("string, string -> bool", _matches, member=True, cost=match_cost),
        Overload("string, string -> bool", _matches, cost=match_cost),
    ),
}
