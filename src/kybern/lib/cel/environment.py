"""What expressions may speak of, and the way from text to a Program.

In:   variables with their types, libraries of functions, types that expressions may make.
Out:  `Environment.compile(text)` -> Program.
By:   whoever evaluates expressions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.lib.cel import literals, standard
from kybern.lib.cel.checker import LOGIC, Checker
from kybern.lib.cel.compiler import FIRST, Code, Compiler
from kybern.lib.cel.declarations import merged
from kybern.lib.cel.parser import parse
from kybern.lib.cel.source import CompileError, Issue
from kybern.lib.cel.syntax import Call, Ident, Select
from kybern.lib.cel.values import CostExceeded, EvalError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kybern.lib.cel.declarations import Function, Overload
    from kybern.lib.cel.syntax import Node
    from kybern.lib.cel.types import ObjectType, Type

DEEPEST = 150
"""How deep a tree may be: each level is a few Python calls when it is compiled, and Python's stack
has room for a thousand."""
TOO_DEEP = "expression recursion limit exceeded: 250"


def functions(*libraries: dict[str, tuple[Overload, ...]]) -> dict[str, Function]:
    """Return the standard functions and those of some libraries."""
    return merged(standard.OPERATORS, standard.FUNCTIONS, *libraries)


def _no_struct(name: str) -> None:
    del name


class Program:
    """A compiled expression.

    Attributes:
        text: the expression.
        type: the type of its value.
        uses: names of the variables it speaks of.
    """

    __slots__ = ("_code", "text", "type", "uses")

    def __init__(self, text: str, node: Node, code: Code, uses: frozenset[str]) -> None:
        self.text = text
        self.type: Type = node.type
        self.uses = uses
        self._code = code

    def evaluate(self, variables: Mapping[str, Any], limit: int) -> tuple[Any, int]:
        """Return the value and what it cost.

        Raises:
            EvalError: there is no value.
            CostExceeded: it would cost more than the limit.
        """
        code = self._code
        frame: list[Any] = [None] * code.size
        frame[0], frame[1] = code.cost, limit
        for index, name in enumerate(code.names, FIRST):
            frame[index] = variables[name]
        try:
            value = code.run(frame)
        except EvalError as error:
            error.cost = frame[0]  # type: ignore[attr-defined]  # what failed has cost as well
            raise
        except RecursionError:
            raise EvalError("expression recursion limit exceeded") from None
        if frame[0] > limit:
            raise CostExceeded
        return value, frame[0]


class Environment:
    """Variables, functions and types."""

    def __init__(
        self,
        variables: dict[str, Type],
        known: dict[str, Function],
        structs: Callable[[str], ObjectType | None] = _no_struct,
    ) -> None:
        self.variables = variables
        self.functions = known
        self.structs = structs

    def compile(self, text: str) -> Program:
        """Return the program of an expression.

        Raises:
            CompileError: it makes no sense, and where.
        """
        node = self.check(text)
        uses = names(node) & self.variables.keys()
        code = Compiler(self.functions, self.structs).compile(node, tuple(sorted(uses)))
        return Program(text, node, code, frozenset(uses))

    def check(self, text: str) -> Node:
        """Return the checked syntax tree of an expression.

        Raises:
            CompileError.
        """
        try:
            node = parse(text)
            if _too_deep(node):
                raise Issue(0, TOO_DEEP)
            checker = Checker(self.variables, self.functions, self.structs)
            checker.check(node)
            issues = checker.issues or literals.issues(checker.nodes)
        except Issue as issue:
            issues = [issue]
        except RecursionError:
            issues = [Issue(0, TOO_DEEP)]
        if issues:
            raise CompileError(text, issues)
        return node


def _too_deep(node: Any) -> bool:
    waiting: list[tuple[Any, int]] = [(node, 0)]
    while waiting:
        each, depth = waiting.pop()
        if depth > DEEPEST:
            return True
        if isinstance(each, Call) and each.function in LOGIC and len(each.args) == 2:
            left = each.args[0]
            same = isinstance(left, Call) and left.function == each.function
            waiting += [(left, depth if same else depth + 1), (each.args[1], depth + 1)]
            continue
        waiting += ((part, depth + 1) for part in _parts(each))
    return False


def _parts(node: Any) -> list[Any]:
    found: list[Any] = []
    for slot in _PARTS:
        part = getattr(node, slot, None)
        if isinstance(part, list):
            found += part
        elif part is not None and not isinstance(part, str):
            found.append(part)
    return found


def names(node: Any) -> set[str]:
    """Return all names in an expression, those of its own variables among them."""
    found: set[str] = set()
    waiting = [node]
    while waiting:
        each = waiting.pop()
        if isinstance(each, Ident):
            found.add(each.name)
        elif isinstance(each, Select) and each.resolved:
            found.add(each.resolved)
            continue
        waiting += _parts(each)
    return found


_PARTS = ("operand", "target", "args", "items", "entries", "key", "value", "range", "where", "body")
