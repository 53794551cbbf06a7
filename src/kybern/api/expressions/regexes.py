"""`find` and `findAll`.

In:   a text and a pattern.
Out:  `FUNCTIONS`, a table of overloads.
By:   libraries. Facts: upstream's `apiserver/pkg/cel/library/regex.go`.
"""

from __future__ import annotations

from kybern.lib.cel.declarations import Overload
from kybern.lib.cel.patterns import compiled
from kybern.lib.cel.standard import match_cost


def _find(text: str, pattern: str) -> str:
    match = compiled(pattern).search(text)
    return "" if match is None else match[0]


def _find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    found = [match[0] for match in compiled(pattern).finditer(text)]
    return found if limit < 0 else found[:limit]


def _cost(text: str, pattern: str, *rest: object) -> int:
    del rest
    return match_cost(text, pattern)


FUNCTIONS: dict[str, tuple[Overload, ...]] = {
    "find": (Overload("string, string -> string", _find, member=True, cost=_cost),),
    "findAll": (
        Overload("string, string -> list(string)", _find_all, member=True, cost=_cost),
        Overload("string, string, int -> list(string)", _find_all, member=True, cost=_cost),
    ),
}
