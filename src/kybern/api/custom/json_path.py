"""JSONPath, as far as definitions use it: `.status.conditions[?(@.type=="Ready")].status`.

In:   a path; trees.
Out:  the values found, in order.
By:   columns of custom kinds, their scale, what they are selected by.
      Facts: client-go/util/jsonpath.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    Step = Callable[[list[Any]], list[Any]]

_TOKEN: Final = re.compile(
    r"\.\.(?P<deep>[\w$-]+)"
    r"|\.(?P<field>(?:[^.\[\]\\]|\\.)+)"
    r"|\[\s*['\"](?P<quoted>[^'\"]*)['\"]\s*\]"
    r"|\[\s*(?P<index>-?\d+)\s*\]"
    r"|\[\s*(?P<slice>-?\d*:-?\d*)\s*\]"
    r"|(?P<all>\[\s*\*\s*\])"
    r"|\[\?\(\s*(?P<filter>[^\]]*?)\s*\)\]"
)
_TEST: Final = re.compile(
    r"@(?P<path>(?:\.[^\s=!<>]+)?)\s*(?:(?P<sign>==|!=|<=|>=|<|>)\s*(?P<value>.+))?"
)
_SIGNS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": lambda a, b: bool(a == b),
    "!=": lambda a, b: bool(a != b),
    "<": lambda a, b: bool(a < b),
    ">": lambda a, b: bool(a > b),
    "<=": lambda a, b: bool(a <= b),
    ">=": lambda a, b: bool(a >= b),
}


class PathError(ValueError):
    """A text is no path that is understood here."""


@functools.lru_cache(1024)
def compiled(text: str) -> tuple[Step, ...]:
    """Return the steps of a path, which may stand in braces.

    Raises:
        PathError: naming what is not understood.
    """
    path = text.strip()
    if path.startswith("{") and path.endswith("}"):
        path = path[1:-1].strip()
    path = path.removeprefix("$")
    steps: list[Step] = []
    at = 0
    while at < len(path):
        found = _TOKEN.match(path, at)
        if found is None:
            if path[at:] == ".":
                break
            raise PathError(f"unrecognized character in action: {path[at:]!r}")
        steps.append(_step(found))
        at = found.end()
    return tuple(steps)


def find(text: str, tree: Any) -> list[Any]:
    """Return every value at a path.

    Raises:
        PathError: it is none.
    """
    values = [tree]
    for step in compiled(text):
        values = step(values)
    return values


def _step(found: re.Match[str]) -> Step:
    kind, text = found.lastgroup, found[found.lastgroup or 0]
    if kind == "field":
        name = text.replace("\\", "")
        return _everything if name == "*" else functools.partial(_field, name)
    if kind == "quoted":
        return functools.partial(_field, text)
    if kind == "deep":
        return functools.partial(_deep, text)
    if kind == "index":
        return functools.partial(_index, int(text))
    if kind == "slice":
        first, _, last = text.partition(":")
        cut = slice(int(first) if first else None, int(last) if last else None)
        return lambda values: [v for each in values if isinstance(each, list) for v in each[cut]]
    if kind == "all":
        return _everything
    return _filter(text)


def _field(name: str, values: list[Any]) -> list[Any]:
    return [each[name] for each in values if isinstance(each, dict) and name in each]


def _index(number: int, values: list[Any]) -> list[Any]:
    lists = (each for each in values if isinstance(each, list))
    return [each[number] for each in lists if -len(each) <= number < len(each)]


def _everything(values: list[Any]) -> list[Any]:
    found: list[Any] = []
    for each in values:
        found += each.values() if isinstance(each, dict) else each if isinstance(each, list) else ()
    return found


def _deep(name: str, values: list[Any]) -> list[Any]:
    found: list[Any] = []
    for each in values:
        if isinstance(each, dict) and name in each:
            found.append(each[name])
        below = _everything([each])
        if below:
            found += _deep(name, below)
    return found


def _filter(text: str) -> Step:
    test = _TEST.fullmatch(text)
    if test is None:
        raise PathError(f"unrecognized filter: {text!r}")
    path, sign = compiled(test["path"]) if test["path"] else (), test["sign"]
    wanted = _literal(test["value"]) if sign else None

    def fits(item: Any) -> bool:
        values = [item]
        for step in path:
            values = step(values)
        if not sign:
            return bool(values)
        try:
            return bool(values) and _SIGNS[sign](values[0], wanted)
        except TypeError:
            return False

    return lambda values: [v for each in values if isinstance(each, list) for v in each if fits(v)]


def _literal(text: str) -> Any:
    text = text.strip()
    if text[:1] in ("'", '"') and text[-1:] == text[:1]:
        return text[1:-1]
    if text in ("true", "false"):
        return text == "true"
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        raise PathError(f"unrecognized value: {text!r}") from None
