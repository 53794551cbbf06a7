"""Which fields creating an object sets.

In:   a schema Node and a value that was not there before: a Struct, a tree, or trees in a Struct.
Out:  the set of its fields.
By:   managed_fields.py on every create, and compare.py for parts that came or went as a whole.

For Structs the walk is compiled: a pod has 200 fields of which 40 are set, and asking for each in
straight-line code takes a tenth of the time that a loop over the schema takes. The code of a type
is made when the first object of it is created.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from kybern.api import codec
from kybern.api.fields import Shape
from kybern.api.patch.field_sets import LEAF, SELF, FieldSet, in_order
from kybern.api.patch.items import item_step
from kybern.api.patch.schema import DEDUCED, Node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_KNOWN_STEPS: Final = 4096
"""Steps to items that a list remembers, before it starts over."""
_TEMPLATED: Final = "PodSpec"
"""The Struct of which the same one comes again and again, as pods come from templates."""
_KNOWN_SPECS: Final = 256
"""Field sets of specs that are remembered by the bytes of the spec; the oldest go first."""


def created(node: Node, value: Any) -> FieldSet:
    """Return the fields that creating this object sets.

    Upstream compares with its empty object, in which some structs and lists are there already
    (`solid`): nobody comes to own those by themselves, only what is in them.
    """
    if isinstance(value, dict):
        return _solid(node, value)
    walk = _SOLID.get(node)
    if walk is None:
        walk = _SOLID[node] = _compile(node, solid=True)
    return walk(value)


def whole(node: Node, value: Any) -> FieldSet:
    """Return what is below the step to a value that came or went as a whole."""
    if node.leaf or not value:
        return LEAF
    if isinstance(value, list):
        return _whole_list(node, value)
    if isinstance(value, dict):
        return _whole_map(node, value)
    if node.struct is None:
        return LEAF  # a scalar where anything may stand
    walk = _WHOLE.get(node)
    if walk is None:
        walk = _WHOLE[node] = _compile(node, solid=False)
    return walk(value)


_SOLID: Final[dict[Node, Callable[[Any], FieldSet]]] = {}
_WHOLE: Final[dict[Node, Callable[[Any], FieldSet]]] = {}


def _whole_map(node: Node, value: dict[str, Any]) -> FieldSet:
    out: FieldSet = {SELF: LEAF}
    for step, child, item in _keys(node, value):
        out[step] = LEAF if child.leaf else whole(child, item)
    return out


def _whole_list(node: Node, items: list[Any]) -> FieldSet:
    if node.shape is not Shape.LIST:
        return LEAF  # ANY: lists in it are atomic
    element = node.element or DEDUCED
    out: FieldSet = {SELF: LEAF}
    for item in items:
        step = item_step(node, item)
        out[step] = LEAF if step in out else whole(element, item)  # repeated ones are one leaf
    return in_order(out) if len(out) > 2 else out


def _solid(node: Node, value: Any) -> FieldSet:
    """Return what `value` sets where the empty object has a value already."""
    out: FieldSet = {}
    for step, child, item in parts(node, value):
        if not child.solid:
            out[step] = whole(child, item)
        elif child.shape is Shape.STRUCT and not child.leaf:
            if below := created(child, item):
                out[step] = below
        elif _is_set(child, item):
            out[step] = _inside(whole(child, item))
    return out


def _is_set(child: Node, value: Any) -> bool:
    """Whether a value is not the zero that the empty object has."""
    if child.struct is None:
        return bool(value)
    zero = child.struct()
    if isinstance(value, dict):
        return bool(value) and value != msgspec.to_builtins(zero)
    return bool(value != zero)


def _inside(below: FieldSet) -> FieldSet:
    return {step: under for step, under in below.items() if step != SELF}


def parts(node: Node, value: Any) -> Iterable[tuple[str, Node, Any]]:
    """Yield step, Node and value of each part there is of a struct or map, in order of steps."""
    if isinstance(value, dict):
        return _keys(node, value)
    plan = node.plan
    return [
        (step, child, item)
        for (_, step, child), item in zip(plan.fields, plan.read(value), strict=True)
        if item is not None
    ]


def _keys(node: Node, value: dict[str, Any]) -> Iterator[tuple[str, Node, Any]]:
    skip = node.skip
    if node.shape is Shape.MAP:
        element = node.element or DEDUCED
        for name in sorted(value):
            yield "f:" + name, element, value[name]
        return
    for name in sorted(value):
        if name not in skip:
            yield "f:" + name, node.child(name) or DEDUCED, value[name]


def _compile(node: Node, *, solid: bool) -> Callable[[Any], FieldSet]:
    """Make the function that walks the Structs of one Node."""
    names: dict[str, Any] = {
        "LEAF": LEAF, "whole": whole, "created": created, "inside": _inside, "is_set": _is_set,
        "map_of": _map_of, "known": _known,
    }  # fmt: skip
    lines = ["def walk(o):", "    out = {}" if solid else "    out = {'.': LEAF}"]
    for number, (attr, step, child) in enumerate(node.plan.fields):
        names[f"n{number}"] = child
        lines += [f"    v = o.{attr}", *_visit(number, step, child, names, solid=solid)]
    lines.append("    return out" if solid else "    return out if len(out) > 1 else LEAF")
    exec("\n".join(lines), names)  # noqa: S102 - our own text, of names in our own schemas
    walk: Callable[[Any], FieldSet] = names["walk"]
    return walk


def _visit(number: int, step: str, child: Node, names: dict[str, Any], *, solid: bool) -> list[str]:
    """Return the lines that deal with one field, whose value is `v`."""
    below = _below(number, child, names)
    if not (solid and child.solid):
        return ["    if v is not None:", f"        out[{step!r}] = {below}"]
    if child.shape is Shape.STRUCT and not child.leaf:
        return [
            f"    w = v is not None and {_step_in(child)}(n{number}, v)",
            "    if w:",
            f"        out[{step!r}] = w",
        ]
    given = f"is_set(n{number}, v)" if child.struct else "v"
    if child.leaf:
        return [f"    if {given}:", f"        out[{step!r}] = LEAF"]
    return [f"    if {given}:", f"        out[{step!r}] = inside({below})"]


def _step_in(child: Node) -> str:
    return "known" if child.struct and child.struct.__name__ == _TEMPLATED else "created"


_SPECS: Final[dict[bytes, FieldSet]] = {}


def _known(node: Node, value: Any) -> FieldSet:
    """Return `created`, from memory where possible: encoding is an eighth of the walk."""
    key = codec.encode(value)
    fields = _SPECS.get(key)
    if fields is None:
        if len(_SPECS) >= _KNOWN_SPECS:
            del _SPECS[next(iter(_SPECS))]
        fields = _SPECS[key] = created(node, value)
    return fields


def _below(number: int, child: Node, names: dict[str, Any]) -> str:
    if child.leaf:
        return "LEAF"
    element = child.element
    if child.shape is Shape.MAP and element is not None and element.leaf:
        return "map_of(v)"
    if child.shape is Shape.LIST and child.keys and element is not None and element.struct:
        names[f"w{number}"] = _compile_items(child, element)
        return f"w{number}(v)"
    return f"whole(n{number}, v)"


def _map_of(value: dict[str, Any]) -> FieldSet:
    if not value:
        return LEAF
    out: FieldSet = {SELF: LEAF}
    for name in sorted(value):
        out["f:" + name] = LEAF
    return out


def _compile_items(node: Node, element: Node) -> Callable[[list[Any]], FieldSet]:
    """Make the function that walks the items of a keyed list of Structs."""
    known: dict[Any, str] = {}

    def step_of(item: Any, values: Any) -> str:
        if len(known) >= _KNOWN_STEPS:
            known.clear()
        step = known[values] = item_step(node, item)
        return step

    names: dict[str, Any] = {
        "LEAF": LEAF, "whole": whole, "in_order": in_order, "element": element,
        "known": known.get, "step_of": step_of,
    }  # fmt: skip
    values = ", ".join(f"o.{name}" for name in node.keys)
    below = "LEAF" if element.leaf else "whole(element, o)"
    lines = [
        "def walk(items):",
        "    if not items: return LEAF",
        "    out = {'.': LEAF}",
        "    for o in items:",
        f"        k = {values if len(node.keys) == 1 else f'({values})'}",
        "        s = known(k) or step_of(o, k)",
        f"        out[s] = LEAF if s in out else {below}",
        "    return in_order(out) if len(out) > 2 else out",
    ]
    exec("\n".join(lines), names)  # noqa: S102 - our own text, of names in our own schemas
    walk: Callable[[list[Any]], FieldSet] = names["walk"]
    return walk
