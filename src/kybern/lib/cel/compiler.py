"""From a checked syntax tree to closures over a frame.

In:   a tree with types and overloads.
Out:  `Code`: a function of a frame; how long frames are; what it costs at least.
By:   environment.

A frame is a list: [cost so far, most it may cost, variables...]. What a part costs is added up
here, for all that is computed together; only loops, branches and functions whose cost depends on
their arguments count while they run. The costs are those of cel-go's `runtimecost.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from kybern.lib.cel import operators
from kybern.lib.cel.checker import spine
from kybern.lib.cel.folds import FOLDS
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
from kybern.lib.cel.values import (
    NONE,
    NUMBERS,
    CostExceeded,
    EvalError,
    Message,
    Optional,
    TypeValue,
    contains,
    equal,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from kybern.lib.cel.declarations import Function

    Frame = list[Any]
    Eval = Callable[[Frame], Any]

FIRST = 2
"""Where variables begin in a frame."""
LIST_COST, MAP_COST, STRUCT_COST = 10, 30, 40
ABSORBING = {"_&&_": False, "_||_": True}


class Code(NamedTuple):
    """A compiled expression."""

    run: Eval
    size: int
    cost: int
    names: tuple[str, ...]


class Compiler:
    """Compiles one expression."""

    def __init__(self, functions: dict[str, Function], structs: Callable[[str], Any]) -> None:
        self._functions = functions
        self._structs = structs
        self._slots: dict[str, int] = {}
        self._scopes: list[dict[str, int]] = []
        self._size = 0
        self._cost = 0

    def compile(self, node: Node, names: tuple[str, ...]) -> Code:
        """Return the code of an expression over some variables."""
        self._slots = {name: FIRST + index for index, name in enumerate(names)}
        self._size = FIRST + len(names)
        run, cost = self._block(node)
        return Code(run, self._size, cost, names)

    def _block(self, node: Node) -> tuple[Eval, int]:
        """Compile what is computed all or not at all; return what it costs as well."""
        before, self._cost = self._cost, 0
        run = self._compile(node)
        cost, self._cost = self._cost, before
        return run, cost

    def _compile(self, node: Node) -> Eval:
        return self.COMPILERS[type(node)](self, node)

    # --- names ----------------------------------------------------------------------------------

    def _const(self, node: Const) -> Eval:
        value = node.value
        return lambda _: value

    def _ident(self, node: Ident) -> Eval:
        return self._variable(node.name, node)

    def _variable(self, name: str, node: Node) -> Eval:
        self._cost += 1
        for scope in reversed(self._scopes):
            if name in scope:
                return _slot(scope[name])
        slot = self._slots.get(name)
        if slot is not None:
            return _slot(slot)
        value = TypeValue(_name_of_type(name, node))
        return lambda _: value

    def _select(self, node: Select) -> Eval:
        if node.resolved:
            return self._variable(node.resolved, node)
        operand = self._compile(node.operand)
        field = node.field
        if node.test:
            return _test(operand, field)
        self._cost += 1
        if node.optional:
            return lambda f: operators.optional_select(operand(f), field)
        return _field(operand, field)

    # --- calls ----------------------------------------------------------------------------------

    def _call(self, node: Call) -> Eval:
        name = node.function
        if name in ABSORBING:
            return self._logic(node, ABSORBING[name])
        if name == "_?_:_":
            return self._conditional(node)
        special = self.OPERATORS.get(name)
        if special is not None:
            return special(self, node)
        self._cost += 1
        if name in operators.BINARY:
            return self._binary(node, operators.BINARY[name])
        return self._function(node)

    def _logic(self, node: Call, decisive: bool) -> Eval:
        chain = spine(node)
        parts = [chain[-1].args[0], *(each.args[1] for each in reversed(chain))]
        first = self._compile(parts[0])
        rest = tuple(self._block(each) for each in parts[1:])
        return _any_of(first, rest, decisive)

    def _conditional(self, node: Call) -> Eval:
        test = self._compile(node.args[0])
        yes, cost_yes = self._block(node.args[1])
        no, cost_no = self._block(node.args[2])

        def run(f: Frame) -> Any:
            chosen = test(f)
            if chosen is True:
                f[0] += cost_yes
                return yes(f)
            if chosen is False:
                f[0] += cost_no
                return no(f)
            raise operators.no_overload()

        return run

    def _binary(self, node: Call, operate: Callable[[Any, Any], Any]) -> Eval:
        left, right = self._compile(node.args[0]), self._compile(node.args[1])
        if operate is operators.add:
            return _adding(left, right)
        compare = _COMPARISONS.get(node.function)
        if compare is not None and isinstance(node.args[1], Const):
            return compare(left, node.args[1].value)
        return lambda f: operate(left(f), right(f))

    def _unary(self, node: Call) -> Eval:
        self._cost += 1
        operate = operators.invert if node.function == "!_" else operators.negate
        operand = self._compile(node.args[0])
        return lambda f: operate(operand(f))

    def _equality(self, node: Call) -> Eval:
        wanted = node.function == "_==_"
        left = self._compile(node.args[0])
        self._cost += 1
        if isinstance(node.args[1], Const):
            return _equal_to(left, node.args[1].value, wanted)
        right = self._compile(node.args[1])
        return _equal(left, right, wanted)

    def _in(self, node: Call) -> Eval:
        left = self._compile(node.args[0])
        held = node.args[1]
        constants = _constants(held)
        if constants is not None:
            self._cost += len(constants)
            return _one_of(left, constants)
        right = self._compile(held)

        def run(f: Frame) -> bool:
            value, items = left(f), right(f)
            f[0] += len(items) if type(items) is list else 1
            return contains(items, value)

        return run

    def _index(self, node: Call) -> Eval:
        self._cost += 1
        operand, key = self._compile(node.args[0]), self._compile(node.args[1])
        if node.function == "_[?_]":
            return lambda f: operators.optional_index(operand(f), key(f))
        if isinstance(node.args[1], Const) and type(node.args[1].value) is str:
            return _field(operand, node.args[1].value)
        return lambda f: operators.index(operand(f), key(f))

    def _function(self, node: Call) -> Eval:
        args = ([node.target] if node.target is not None else []) + node.args
        values = tuple(self._compile(each) for each in args)
        function, member = self._functions[node.function], node.target is not None
        prepared = node.overloads[0].call if len(node.overloads) == 1 else None
        prepare = getattr(prepared, "prepare", None)
        if prepare is not None and isinstance(node.args[-1], Const):
            return _prepared(values[0], prepare(node.args[-1].value), node.overloads[0].cost, node)
        return _APPLY[min(len(values), 3)](function, member, values)

    # --- aggregates -----------------------------------------------------------------------------

    def _list(self, node: ListNode) -> Eval:
        self._cost += LIST_COST
        items = tuple(self._compile(each) for each in node.items)
        if not node.optional:
            return lambda f: [item(f) for item in items]
        optional = node.optional

        def run(f: Frame) -> list[Any]:
            out: list[Any] = []
            for index, item in enumerate(items):
                value = item(f)
                if index not in optional:
                    out.append(value)
                elif _must_be_optional(value).present:
                    out.append(value.value)
            return out

        return run

    def _map(self, node: MapNode) -> Eval:
        self._cost += MAP_COST
        entries = tuple(
            (self._compile(entry.key), self._compile(entry.value), entry.optional)
            for entry in node.entries
        )

        def run(f: Frame) -> dict[Any, Any]:
            out: dict[Any, Any] = {}
            for key, value, optional in entries:
                name, held = key(f), value(f)
                if optional:
                    if not _must_be_optional(held).present:
                        continue
                    held = held.value
                if type(name) not in _KEYS:
                    raise EvalError("unsupported key type")
                if name in out:
                    raise EvalError(f"Failed with repeated key: {operators.shown_key(name)}")
                out[name] = held
            return out

        return run

    def _struct(self, node: Struct) -> Eval:
        self._cost += STRUCT_COST
        name = node.name
        entries = tuple(self._struct_field(entry) for entry in node.entries)

        def run(f: Frame) -> Message:
            out: dict[str, Any] = {}
            for key, value, optional in entries:
                held = value(f)
                if optional:
                    if not _must_be_optional(held).present:
                        continue
                    held = held.value
                out[key] = held
            return Message(name, out)

        return run

    def _struct_field(self, entry: Entry) -> tuple[str, Eval, bool]:
        return entry.key, self._compile(entry.value), entry.optional

    # --- macros ---------------------------------------------------------------------------------

    def _fold(self, node: Fold) -> Eval:
        items = self._compile(node.range)
        slots = tuple(self._new_slot() for _ in node.names)
        self._scopes.append(dict(zip(node.names, slots, strict=True)))
        where, cost = (None, 0) if node.where is None else self._block(node.where)
        body, more = (None, 0) if node.body is None else self._block(node.body)
        self._scopes.pop()
        self._cost += 1
        return FOLDS[node.kind](items, slots, where, cost, body, more)

    def _bind(self, node: Bind) -> Eval:
        operand = self._compile(node.operand)
        slot = self._new_slot()
        self._scopes.append({node.name: slot})
        body, cost = self._block(node.body)
        self._scopes.pop()
        flat = node.flat

        def run(f: Frame) -> Optional:
            found = _must_be_optional(operand(f))
            if not found.present:
                return NONE
            f[slot] = found.value
            f[0] += cost
            value = body(f)
            return _must_be_optional(value) if flat else Optional(value)

        return run

    def _new_slot(self) -> int:
        self._size += 1
        return self._size - 1

    OPERATORS: ClassVar[dict[str, Callable[..., Eval]]] = {
        "!_": _unary, "-_": _unary, "_==_": _equality, "_!=_": _equality, "@in": _in,
        "_[_]": _index, "_[?_]": _index,
    }  # fmt: skip
    COMPILERS: ClassVar[dict[type[Node], Callable[..., Eval]]] = {
        Const: _const, Ident: _ident, Select: _select, Call: _call, ListNode: _list, MapNode: _map,
        Struct: _struct, Fold: _fold, Bind: _bind,
    }  # fmt: skip


_KEYS = frozenset((int, bool, str, *NUMBERS)) - {float}


def _slot(slot: int) -> Eval:
    return lambda f: f[slot]


def _name_of_type(name: str, node: Node) -> str:
    return node.type.params[0].name if name not in _TYPE_VALUES else name


_TYPE_VALUES = frozenset(
    (
        "bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type", "type",
        "google.protobuf.Timestamp", "google.protobuf.Duration", "optional_type",
    )
)  # fmt: skip


def _field(operand: Eval, field: str) -> Eval:
    def run(f: Frame) -> Any:
        value = operand(f)
        try:
            return value[field]
        except (KeyError, TypeError):
            return operators.select(value, field)

    return run


def _test(operand: Eval, field: str) -> Eval:
    def run(f: Frame) -> bool:
        value = operand(f)
        return field in value if type(value) is dict else operators.present(value, field)

    return run


def _must_be_optional(value: Any) -> Optional:
    if type(value) is Optional:
        return value
    raise operators.no_overload()


def _any_of(first: Eval, rest: tuple[tuple[Eval, int], ...], decisive: bool) -> Eval:
    """Return `&&` or `||`: one decisive part hides what went wrong in the others."""
    neutral = not decisive

    def run(f: Frame) -> bool:
        wrong: EvalError | None = None
        try:
            value = first(f)
        except EvalError as error:
            wrong = error
        else:
            if value is decisive:
                return not neutral
            if value is not neutral:
                wrong = operators.no_overload()
        for part, cost in rest:
            f[0] += cost
            try:
                value = part(f)
            except EvalError as error:
                wrong = wrong or error
                continue
            if value is decisive:
                return not neutral
            if value is not neutral:
                wrong = wrong or operators.no_overload()
        if wrong is not None:
            raise wrong
        return neutral

    return run


def _compare_with(
    compare: Callable[[Any, Any], Any], operate: Callable[[Any, Any], bool]
) -> Callable[[Eval, Any], Eval]:
    def make(left: Eval, constant: Any) -> Eval:
        kind = type(constant)

        def run(f: Frame) -> bool:
            value = left(f)
            if type(value) is kind and kind is int:
                return bool(compare(value, constant))
            return operate(value, constant)

        return run

    return make


_COMPARISONS = {
    "_<_": _compare_with(int.__lt__, operators.less),
    "_<=_": _compare_with(int.__le__, operators.less_or_equal),
    "_>_": _compare_with(int.__gt__, operators.greater),
    "_>=_": _compare_with(int.__ge__, operators.greater_or_equal),
}


def _adding(left: Eval, right: Eval) -> Eval:
    def run(f: Frame) -> Any:
        value = operators.add(left(f), right(f))
        if type(value) is str or type(value) is bytes:
            # One was counted as for every call; making text costs by its length.
            f[0] += -(-len(value) // 10) - 1
            if f[0] > f[1]:
                raise CostExceeded
        return value

    return run


def _equal_to(left: Eval, constant: Any, wanted: bool) -> Eval:
    kind = type(constant)

    def run(f: Frame) -> bool:
        value = left(f)
        if type(value) is kind:
            return bool(value == constant) is wanted
        return equal(value, constant) is wanted

    return run


def _equal(left: Eval, right: Eval, wanted: bool) -> Eval:
    def run(f: Frame) -> bool:
        a, b = left(f), right(f)
        if type(a) in _SIZED and type(b) in _SIZED:
            f[0] += -(-min(len(a), len(b)) // 10) - 1
        return equal(a, b) is wanted

    return run


_SIZED = frozenset((str, bytes, list, dict))


def _constants(node: Node) -> list[Any] | None:
    """Return the items of a list of literals, or None."""
    if not isinstance(node, ListNode) or node.optional:
        return None
    values = [each.value for each in node.items if isinstance(each, Const)]
    return values if len(values) == len(node.items) else None


def _one_of(left: Eval, constants: list[Any]) -> Eval:
    if all(type(each) is str for each in constants):
        known = frozenset(constants)

        def among(f: Frame) -> bool:
            value = left(f)
            return type(value) is str and value in known

        return among
    return lambda f: contains(constants, left(f))


def _prepared(target: Eval, call: Callable[[Any], Any], cost: Any, node: Call) -> Eval:
    constant = node.args[-1].value if isinstance(node.args[-1], Const) else None

    def run(f: Frame) -> Any:
        value = target(f)
        result = call(value)
        if cost is not None:
            f[0] += cost(value, constant, result) - 1
        return result

    return run


def _apply_1(function: Function, member: bool, values: tuple[Eval, ...]) -> Eval:
    (first,) = values
    return lambda f: _invoke(function, member, f, (first(f),))


def _apply_2(function: Function, member: bool, values: tuple[Eval, ...]) -> Eval:
    first, second = values
    return lambda f: _invoke(function, member, f, (first(f), second(f)))


def _apply_n(function: Function, member: bool, values: tuple[Eval, ...]) -> Eval:
    return lambda f: _invoke(function, member, f, tuple(value(f) for value in values))


_APPLY = (_apply_n, _apply_1, _apply_2, _apply_n)


def _invoke(function: Function, member: bool, f: Frame, args: tuple[Any, ...]) -> Any:
    overload = function.find(args, member)
    result = overload.call(*args)  # type: ignore[misc]  # find returns only those that have one
    if overload.cost is not None:
        f[0] += overload.cost(*args, result) - 1
        if f[0] > f[1]:
            raise CostExceeded
    return result
