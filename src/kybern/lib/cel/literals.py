"""Literals that can be seen to be wrong before anything is evaluated.

In:   the nodes of a checked tree.
Out:  Issues: durations, timestamps and patterns that are none.
By:   environment. Facts: the validators of cel-go that upstream turns on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kybern.lib.cel import times
from kybern.lib.cel.patterns import compiled
from kybern.lib.cel.source import Issue
from kybern.lib.cel.syntax import Call, Const
from kybern.lib.cel.values import EvalError

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.lib.cel.syntax import Node

CHECKS: dict[str, Callable[[str], object]] = {
    "duration": times.parse_duration, "timestamp": times.parse, "matches": compiled,
}  # fmt: skip


def issues(nodes: list[Node]) -> list[Issue]:
    """Return what is wrong with the literals."""
    return [issue for node in nodes if isinstance(node, Call) for issue in _of_call(node)]


def _of_call(node: Call) -> list[Issue]:
    check = CHECKS.get(node.function)
    last = node.args[-1] if node.args else None
    if check is None or not isinstance(last, Const) or not isinstance(last.value, str):
        return []
    try:
        check(last.value)
    except EvalError:
        return [Issue(last.at, f"invalid {node.function} argument")]
    return []
