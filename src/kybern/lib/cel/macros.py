"""Calls that are more than calls: they see their arguments before they are computed.

In:   a call's name, target and arguments.
Out:  the Node it stands for, or None when it is a plain call.
By:   parser.
"""

from __future__ import annotations

from kybern.lib.cel.source import Issue
from kybern.lib.cel.syntax import Bind, Fold, Ident, Node, Select

CONDITIONS = {"all": "all", "exists": "exists", "exists_one": "exists_one", "filter": "filter"}
IN_TWO = {"all": "all", "exists": "exists", "existsOne": "exists_one"}
TRANSFORMS = ("transformList", "transformMap", "transformMapEntry")


def expand(at: int, name: str, target: Node | None, args: list[Node]) -> Node | None:
    """Return what a macro stands for."""
    if target is None:
        return _has(at, args) if name == "has" and len(args) == 1 else None
    if name in ("optMap", "optFlatMap") and len(args) == 2:
        variable = _variable(args[0])
        return Bind(at, target, variable, args[1], flat=name == "optFlatMap")
    return _fold(at, name, target, args)


def _has(at: int, args: list[Node]) -> Node:
    asked = args[0]
    if not isinstance(asked, Select) or asked.optional or asked.test:
        raise Issue(asked.at, "invalid argument to has() macro")
    return Select(at, asked.operand, asked.field, test=True)


def _fold(at: int, name: str, target: Node, args: list[Node]) -> Node | None:
    count = len(args)
    if name in (*CONDITIONS, "existsOne") and count == 2:
        kind = CONDITIONS.get(name, "exists_one")
        return Fold(at, kind, target, (_variable(args[0]),), args[1], None)
    if name == "map" and count in (2, 3):
        where = args[1] if count == 3 else None
        return Fold(at, "map", target, (_variable(args[0]),), where, args[-1])
    if name in IN_TWO and count == 3:
        return Fold(at, IN_TWO[name], target, _two(args), args[2], None)
    if name in TRANSFORMS and count in (3, 4):
        where = args[2] if count == 4 else None
        return Fold(at, name, target, _two(args), where, args[-1])
    return None


def _two(args: list[Node]) -> tuple[str, str]:
    names = _variable(args[0]), _variable(args[1])
    if names[0] == names[1]:
        told = f"duplicate variable name: {names[0]}"
        raise Issue(args[1].at, told)
    return names


def _variable(node: Node) -> str:
    if not isinstance(node, Ident) or node.rooted:
        raise Issue(node.at, "argument must be a simple name")
    return node.name
