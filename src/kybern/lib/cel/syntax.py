"""The syntax tree.

In:   made by the parser.
Out:  nodes; the checker writes `type`, and `function` or `name` where it resolved something.
By:   checker, compiler.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kybern.lib.cel.types import Type


class Node:
    """A part of an expression; `at` is what messages point at."""

    __slots__ = ("at", "type")
    type: Type

    def __init__(self, at: int) -> None:
        self.at = at


class Const(Node):
    """A literal."""

    __slots__ = ("value",)

    def __init__(self, at: int, value: Any) -> None:
        super().__init__(at)
        self.value = value


class Ident(Node):
    """A variable, or a type; `rooted` when it began with a dot."""

    __slots__ = ("name", "rooted")

    def __init__(self, at: int, name: str, *, rooted: bool = False) -> None:
        super().__init__(at)
        self.name = name
        self.rooted = rooted


class Select(Node):
    """`operand.field`, `operand.?field`, or `has(operand.field)` when `test`."""

    __slots__ = ("field", "operand", "optional", "resolved", "test")

    def __init__(
        self, at: int, operand: Node, field: str, *, test: bool = False, optional: bool = False
    ) -> None:
        super().__init__(at)
        self.operand = operand
        self.field = field
        self.test = test
        self.optional = optional
        self.resolved: str = ""


class Call(Node):
    """A call of a function, an operator or, with a target, a member function."""

    __slots__ = ("args", "function", "overloads", "target")

    def __init__(
        self, at: int, function: str, args: list[Node], target: Node | None = None
    ) -> None:
        super().__init__(at)
        self.function = function
        self.args = args
        self.target = target
        self.overloads: list[Any] = []


class ListNode(Node):
    """`[a, ?b]`; `optional` has the places of those with a question mark."""

    __slots__ = ("items", "optional")

    def __init__(self, at: int, items: list[Node], optional: frozenset[int]) -> None:
        super().__init__(at)
        self.items = items
        self.optional = optional


class Entry:
    """One `key: value` of a map or struct."""

    __slots__ = ("at", "key", "optional", "value")

    def __init__(self, at: int, key: Any, value: Node, *, optional: bool) -> None:
        self.at = at
        self.key = key
        self.value = value
        self.optional = optional


class MapNode(Node):
    """`{key: value}`."""

    __slots__ = ("entries",)

    def __init__(self, at: int, entries: list[Entry]) -> None:
        super().__init__(at)
        self.entries = entries


class Struct(Node):
    """`Name{field: value}`."""

    __slots__ = ("entries", "name")

    def __init__(self, at: int, name: str, entries: list[Entry]) -> None:
        super().__init__(at)
        self.name = name
        self.entries = entries


class Fold(Node):
    """A macro over the items of a list or map: `range.all(x, condition)`.

    Attributes:
        kind: all, exists, exists_one, map, filter, transformList, transformMap or
            transformMapEntry.
        names: one or two variables.
        where: which items count; None for all.
        body: what is computed of each; None where only `where` matters.
    """

    __slots__ = ("body", "kind", "names", "range", "where")

    def __init__(
        self,
        at: int,
        kind: str,
        items: Node,
        names: tuple[str, ...],
        where: Node | None,
        body: Node | None,
    ) -> None:
        super().__init__(at)
        self.kind = kind
        self.range = items
        self.names = names
        self.where = where
        self.body = body


class Bind(Node):
    """`optional.optMap(x, body)`, and optFlatMap when `flat`."""

    __slots__ = ("body", "flat", "name", "operand")

    def __init__(self, at: int, operand: Node, name: str, body: Node, *, flat: bool) -> None:
        super().__init__(at)
        self.operand = operand
        self.name = name
        self.body = body
        self.flat = flat
