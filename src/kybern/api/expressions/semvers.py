"""`semver("1.2.3")` and what one can do with it.

In:   texts.
Out:  `FUNCTIONS`, a table of overloads.
By:   libraries. Facts: upstream's `apiserver/pkg/cel/library/semverlib.go`; semver.org, section 11.
"""

from __future__ import annotations

import re
from typing import Any

from kybern.lib.cel.declarations import Overload
from kybern.lib.cel.text import once
from kybern.lib.cel.values import EvalError

TYPE = "kubernetes.Semver"
LONGEST = 1_000
_NUMBER = r"(0|[1-9][0-9]*)"
_VERSION = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}"
    r"(?:-((?:0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
    r"(?:\.(?:0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*))*))?"
    r"(?:\+([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?"
)


class Semver:
    """A version; what follows a plus does not count."""

    TYPE = TYPE
    __slots__ = ("numbers", "pre")

    def __init__(self, numbers: tuple[int, ...], pre: tuple[Any, ...]) -> None:
        self.numbers = numbers
        self.pre = pre

    @property
    def key(self) -> tuple[Any, ...]:
        """What versions are ordered by: a release comes after what is said to come before it."""
        return self.numbers, not self.pre, self.pre

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Semver) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


def _parse(text: str, normalize: bool = False) -> Semver:
    match = _VERSION.fullmatch(_normalized(text) if normalize else text)
    if match is None or len(text) > LONGEST:
        raise EvalError(_refusal(text))
    pre = tuple(
        (0, int(each), "") if each.isdigit() else (1, 0, each)
        for each in (match[4] or "").split(".")
        if each
    )
    return Semver(tuple(int(match[at]) for at in (1, 2, 3)), pre)


def _refusal(text: str) -> str:
    if not text:
        return "Version string empty"
    if text.partition("-")[0].count(".") < 2:
        return "No Major.Minor.Patch elements found"
    return f'Invalid character(s) found in version "{text}"'


def _normalized(text: str) -> str:
    text = text.removeprefix("v")
    numbers = re.match(r"[0-9.]*", text)
    head = numbers[0] if numbers else ""
    parts = [each.lstrip("0") or "0" for each in head.split(".") if each]
    return ".".join([*parts, *["0"] * (3 - len(parts))]) + text[len(head) :]


def _is_semver(text: str, normalize: bool = False) -> bool:
    try:
        _parse(text, normalize)
    except EvalError:
        return False
    return True


def _compare(one: Semver, other: Semver) -> int:
    return (one.key > other.key) - (one.key < other.key)


def _member(signature: str, call: Any) -> Overload:
    return Overload(f"{TYPE}{signature}", call, member=True)


FUNCTIONS: dict[str, tuple[Overload, ...]] = {
    "semver": (
        Overload(f"string -> {TYPE}", _parse, cost=once),
        Overload(f"string, bool -> {TYPE}", _parse, cost=once),
    ),
    "isSemver": (
        Overload("string -> bool", _is_semver, cost=once),
        Overload("string, bool -> bool", _is_semver, cost=once),
    ),
    "isGreaterThan": (_member(f", {TYPE} -> bool", lambda a, b: _compare(a, b) > 0),),
    "isLessThan": (_member(f", {TYPE} -> bool", lambda a, b: _compare(a, b) < 0),),
    "compareTo": (_member(f", {TYPE} -> int", _compare),),
    "major": (_member(" -> int", lambda version: version.numbers[0]),),
    "minor": (_member(" -> int", lambda version: version.numbers[1]),),
    "patch": (_member(" -> int", lambda version: version.numbers[2]),),
}
