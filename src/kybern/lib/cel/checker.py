"""What type everything in an expression has, and whether that makes sense.

In:   a syntax tree; the variables, functions and types of an environment.
Out:  the same tree with `type` on every node, and the overloads that calls may mean; Issues.
By:   environment. Facts: cel-go's `checker` package, whose messages these are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from kybern.lib.cel import types as ty
from kybern.lib.cel.source import Issue
from kybern.lib.cel.syntax import (
    Bind,
    Call,
    Const,
    Entry,
    Fold,
    Ident,
    ListNode,
    MapNode,
    Node,
    Select,
    Struct,
)
from kybern.lib.cel.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DYN,
    ERROR,
    INT,
    NULL,
    STRING,
    UINT,
    ObjectType,
    Substitution,
    Type,
)
from kybern.lib.cel.values import UInt

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.lib.cel.declarations import Function

CONSTANTS: dict[type, Type] = {
    bool: BOOL, int: INT, UInt: UINT, float: DOUBLE, str: STRING, bytes: BYTES, type(None): NULL,
}  # fmt: skip
TYPE_NAMES = {
    "bool": BOOL, "int": INT, "uint": UINT, "double": DOUBLE, "string": STRING, "bytes": BYTES,
    "list": ty.list_of(DYN), "map": ty.map_of(DYN, DYN), "null_type": NULL,
    "type": ty.type_of(DYN), "google.protobuf.Timestamp": ty.TIMESTAMP,
    "google.protobuf.Duration": ty.DURATION, "optional_type": ty.optional_of(DYN),
}  # fmt: skip


LOGIC = frozenset(("_&&_", "_||_"))


def spine(node: Call) -> list[Call]:
    """Return a call and those of the same operator on its left, which it continues."""
    found = [node]
    while isinstance(left := found[-1].args[0], Call) and left.function == node.function:
        found.append(left)
    return found


class Checker:
    """Checks one expression."""

    def __init__(
        self,
        variables: dict[str, Type],
        functions: dict[str, Function],
        structs: Callable[[str], ObjectType | None],
    ) -> None:
        self._variables = variables
        self._functions = functions
        self._structs = structs
        self._scopes: list[dict[str, Type]] = []
        self._known = Substitution()
        self.nodes: list[Node] = []
        self.issues: list[Issue] = []

    def check(self, node: Node) -> None:
        """Give every node its type."""
        self._check(node)
        for each in self.nodes:
            each.type = self._known.apply(each.type, final=True)

    def _check(self, node: Node) -> Type:
        node.type = self.CHECKS[type(node)](self, node)
        self.nodes.append(node)
        return self._known.apply(node.type)

    def _wrong(self, at: int, message: str) -> Type:
        self.issues.append(Issue(at, message))
        return ERROR

    def _shown(self, what: Type) -> str:
        return str(self._known.apply(what, final=True))

    # --- names ----------------------------------------------------------------------------------

    def _const(self, node: Const) -> Type:
        return CONSTANTS[type(node.value)]

    def _ident(self, node: Ident) -> Type:
        found = self._lookup(node.name, rooted=node.rooted)
        return found or self._undeclared(node.at, node.name)

    def _undeclared(self, at: int, name: str) -> Type:
        return self._wrong(at, f"undeclared reference to '{name}' (in container '')")

    def _lookup(self, name: str, *, rooted: bool = False) -> Type | None:
        if not rooted:
            for scope in reversed(self._scopes):
                if name in scope:
                    return scope[name]
        found = self._variables.get(name)
        if found is None and (named := TYPE_NAMES.get(name) or self._structs(name)) is not None:
            return ty.type_of(named)
        return found

    def _select(self, node: Select) -> Type:
        if not (node.optional or node.test) and (name := self._qualified(node)):
            found = self._lookup(name)
            if found is not None:
                node.resolved = name
                return found
        operand = self._check(node.operand)
        wrapped = operand.name == "optional_type"
        result = self._field(node, operand.params[0] if wrapped else operand)
        if node.test:
            return BOOL
        return ty.optional_of(result) if wrapped or node.optional else result

    def _field(self, node: Select, operand: Type) -> Type:
        operand = self._known.apply(operand)
        if isinstance(operand, ObjectType):
            found = operand.field(node.field)
            return found or self._wrong(node.at, f"undefined field '{node.field}'")
        if operand.name == "map":
            return operand.params[1]
        if operand.is_param:
            self._known.accepts((operand,), (DYN,))
            return DYN
        if ty.is_dyn(operand):
            return DYN
        told = f"type '{self._shown(operand)}' does not support field selection"
        return self._wrong(node.at, told)

    def _qualified(self, node: Node) -> str:
        if isinstance(node, Ident):
            local = any(node.name in scope for scope in self._scopes)
            return "" if local else node.name
        if isinstance(node, Select) and not (node.test or node.optional):
            head = self._qualified(node.operand)
            return f"{head}.{node.field}" if head else ""
        return ""

    # --- calls ----------------------------------------------------------------------------------

    def _call(self, node: Call) -> Type:
        if node.function in LOGIC and node.target is None and len(node.args) == 2:
            return self._logic(node)
        target = node.target
        if target is not None and (head := self._qualified(target)):
            name = f"{head}.{node.function}"
            if name in self._functions:
                node.function, node.target, target = name, None, None
        args = [*([target] if target is not None else []), *node.args]
        given = [self._check(each) for each in args]
        function = self._functions.get(node.function)
        if function is None:
            return self._undeclared(node.at, node.function)
        return self._overload(node, function, given)

    def _logic(self, node: Call) -> Type:
        """Check a chain of `&&` or `||`, which may be long, without going down into it."""
        chain = spine(node)
        given = self._check(chain[-1].args[0])
        for each in reversed(chain):
            more = self._check(each.args[1])
            given = self._overload(each, self._functions[each.function], [given, more])
            if each is not node:
                each.type = given
                self.nodes.append(each)
        return given

    def _overload(self, node: Call, function: Function, given: list[Type]) -> Type:
        result: Type | None = None
        member = node.target is not None
        for each in function.overloads:
            if each.member is not member or len(each.params) != len(given):
                continue
            *params, returned = self._known.instance((*each.params, each.result))
            if not self._known.accepts(params, given):
                continue
            node.overloads.append(each)
            returned = self._known.apply(returned)
            if result is None:
                result = returned
            elif not ty.is_dyn(result) and returned != result:
                result = DYN
        if result is not None:
            return result
        shown = [self._shown(each) for each in given]
        if member:
            applied = f"{shown[0]}.({', '.join(shown[1:])})"
        else:
            applied = f"({', '.join(shown)})"
        name = node.function
        told = f"found no matching overload for '{name}' applied to '{applied}'"
        return self._wrong(node.at, told)

    # --- aggregates -----------------------------------------------------------------------------

    def _list(self, node: ListNode) -> Type:
        item: Type | None = None
        for index, each in enumerate(node.items):
            given = self._check(each)
            if index in node.optional:
                given = self._unwrapped(each, given)
            item = self._joined(each.at, item, given)
        return ty.list_of(item or self._known.fresh())

    def _map(self, node: MapNode) -> Type:
        key: Type | None = None
        value: Type | None = None
        for entry in node.entries:
            key = self._joined(entry.key.at, key, self._check(entry.key))
            given = self._check(entry.value)
            if entry.optional:
                given = self._unwrapped(entry.value, given)
            value = self._joined(entry.value.at, value, given)
        return ty.map_of(key or self._known.fresh(), value or self._known.fresh())

    def _joined(self, at: int, known: Type | None, given: Type) -> Type:
        if known is None:
            return given
        joined = self._known.join(known, given)
        if joined is None:
            told = f"expected type '{self._shown(known)}' but found '{self._shown(given)}'"
            self._wrong(at, told)
        return joined or known

    def _unwrapped(self, node: Node, given: Type) -> Type:
        if given.name == "optional_type":
            return given.params[0]
        if not ty.is_dyn(given):
            told = f"expected type '{ty.optional_of(given)}' but found '{self._shown(given)}'"
            self._wrong(node.at, told)
        return DYN

    def _struct(self, node: Struct) -> Type:
        found = self._structs(node.name)
        if found is None:
            return self._undeclared(node.at, node.name)
        for entry in node.entries:
            self._struct_field(entry, found)
        return found

    def _struct_field(self, entry: Entry, struct: ObjectType) -> None:
        given = self._check(entry.value)
        if entry.optional:
            given = self._unwrapped(entry.value, given)
        wanted = struct.field(entry.key)
        if wanted is None:
            self._wrong(entry.at, f"undefined field '{entry.key}'")
        elif not self._known.accepts((wanted,), (given,)):
            told = (
                f"expected type of field '{entry.key}' is '{self._shown(wanted)}' but provided "
                f"type is '{self._shown(given)}'"
            )
            self._wrong(entry.at, told)

    # --- macros ---------------------------------------------------------------------------------

    def _fold(self, node: Fold) -> Type:
        items = self._known.apply(self._check(node.range))
        self._scopes.append(dict(zip(node.names, self._items(node, items), strict=True)))
        if node.where is not None:
            self._must_be_bool(node, node.where)
        body = DYN if node.body is None else self._check(node.body)
        self._scopes.pop()
        return self._result(node, items, body)

    def _items(self, node: Fold, items: Type) -> tuple[Type, ...]:
        first, second = DYN, DYN
        if items.name == "list":
            first, second = INT, items.params[0]
        elif items.name == "map":
            first, second = items.params
        elif not (ty.is_dyn(items) or items.is_param):
            told = (
                f"expression of type '{self._shown(items)}' cannot be range of a comprehension "
                "(must be list, map, or dynamic)"
            )
            self._wrong(node.range.at, told)
        if len(node.names) == 2:
            return first, second
        return (second,) if items.name == "list" else (first,)

    def _must_be_bool(self, node: Fold, where: Node) -> None:
        given = self._check(where)
        if self._known.accepts((BOOL,), (given,)):
            return
        shown = self._shown(given)
        calls = {"all": ("_&&_", "bool"), "exists": ("_||_", "bool")}
        if node.kind in calls:
            applied = f"{calls[node.kind][0]}' applied to '(bool, {shown})'"
        else:
            results = {"exists_one": "int", "transformMap": "map", "transformMapEntry": "map"}
            result = results.get(node.kind, "list(dyn)")
            applied = f"_?_:_' applied to '({shown}, {result}, {result})'"
        self._wrong(node.at, f"found no matching overload for '{applied}")

    def _result(self, node: Fold, items: Type, body: Type) -> Type:
        if node.kind in ("all", "exists", "exists_one"):
            return BOOL
        if node.kind == "filter":
            return ty.list_of(items.params[0] if items.name in ("list", "map") else DYN)
        if node.kind in ("map", "transformList"):
            return ty.list_of(body)
        key = {"list": INT, "map": items.params[0] if items.params else DYN}.get(items.name, DYN)
        if node.kind == "transformMap":
            return ty.map_of(key, body)
        return body if body.name == "map" else ty.map_of(DYN, DYN)

    def _bind(self, node: Bind) -> Type:
        operand = self._known.apply(self._check(node.operand))
        inner = operand.params[0] if operand.name == "optional_type" else DYN
        if operand.name != "optional_type" and not ty.is_dyn(operand):
            name = "optFlatMap" if node.flat else "optMap"
            told = f"{name}() target must be optional, found '{self._shown(operand)}'"
            self._wrong(node.at, told)
        self._scopes.append({node.name: inner})
        body = self._check(node.body)
        self._scopes.pop()
        return body if node.flat else ty.optional_of(body)

    CHECKS: ClassVar[dict[type[Node], Callable[..., Type]]] = {
        Const: _const, Ident: _ident, Select: _select, Call: _call, ListNode: _list, MapNode: _map,
        Struct: _struct, Fold: _fold, Bind: _bind,
    }  # fmt: skip
