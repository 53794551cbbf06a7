"""What somebody declares: is it in the schema, and which fields does it name?

In:   a schema Node and the tree of an apply request.
Out:  the problems with it (`problems`), the set of fields in it (`fields`).
By:   apply.py. Texts and rules: structured-merge-diff's validation and ToFieldSet.
"""

from __future__ import annotations

from typing import Any, Final

from kybern.api.fields import Shape
from kybern.api.patch import go_format
from kybern.api.patch.field_sets import LEAF, SELF, FieldSet, in_order, step_text
from kybern.api.patch.items import Unkeyed, item_step
from kybern.api.patch.schema import DEDUCED, UNTYPED, Node

_SCALARS: Final = {"string": str, "boolean": bool, "numeric": int | float}


def problems(node: Node, value: Any) -> list[str]:
    """Return what is wrong with a declared value: `.spec.replicas: expected numeric ...`."""
    return [f"{place}: {text}" if place else text for place, text in _problems(node, value)]


def _problems(node: Node, value: Any) -> list[tuple[str, str]]:
    if value is None or node.shape is Shape.ANY:
        return []
    if node.shape is Shape.SCALAR:
        text = _scalar_problem(node.scalar, value)
        return [("", text)] if text else []
    if node.shape is Shape.LIST:
        if not isinstance(value, list):
            return [("", f"expected list, got &{{{go_format.plain(value)}}}")]
        return _item_problems(node, value)
    if not isinstance(value, dict):
        return [("", f"expected map, got &{{{go_format.plain(value)}}}")]
    return _field_problems(node, value)


def _scalar_problem(kind: str, value: Any) -> str:
    if kind == UNTYPED:
        ok = isinstance(value, str | bool | int | float)
        return "" if ok else f"expected any scalar, got &{{{go_format.plain(value)}}}"
    if isinstance(value, _SCALARS[kind]) and isinstance(value, bool) == (kind == "boolean"):
        return ""
    if kind == "numeric":
        return f"expected numeric (int or float), got {go_format.type_name(value)}"
    if kind == "string":
        return f"expected string, got &value.valueUnstructured{{Value:{go_format.syntax(value)}}}"
    return f"expected boolean, got &{{{go_format.plain(value)}}}"


def _item_problems(node: Node, items: list[Any]) -> list[tuple[str, str]]:
    element = node.element or DEDUCED
    found: list[tuple[str, str]] = []
    seen: set[str] = set()
    for index, item in enumerate(items):
        step = f"i:{index}"
        if not node.atomic:
            try:
                step = item_step(node, item)
            except Unkeyed as error:
                found.append(("", f"element {index}: {error}"))
                return found
            if step in seen:
                found.append(("", f"duplicate entries for key {step_text(step)}"))
            seen.add(step)
        found += [(step_text(step) + place, text) for place, text in _problems(element, item)]
    return found


def _field_problems(node: Node, value: dict[str, Any]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name in sorted(value):
        child = node.child(name)
        if child is None:
            found.append((f".{name}", "field not declared in schema"))
            break
        found += [(f".{name}{place}", text) for place, text in _problems(child, value[name])]
    return found


def fields(node: Node, value: Any) -> FieldSet:
    """Return the set of fields that a declared object names."""
    return _below(node, value)


def _below(node: Node, value: Any) -> FieldSet:
    if node.leaf or not value:
        return LEAF
    if isinstance(value, dict):
        return _named(node, value)
    if isinstance(value, list) and node.shape is Shape.LIST:
        return _listed(node, value)
    return LEAF


def _named(node: Node, value: dict[str, Any]) -> FieldSet:
    out: FieldSet = {}
    for name in sorted(value):
        if name in node.skip:
            continue
        item = value[name]
        child = node.child(name) or DEDUCED
        known = node.shape is Shape.STRUCT and name in node.fields
        below = _below(child, item)
        if below:
            out[f"f:{name}"] = below if known else {SELF: LEAF, **below}
        elif not (known and child.shape is Shape.LIST and not child.leaf and item is not None):
            out[f"f:{name}"] = LEAF  # an empty associative list names nothing
    return out


def _listed(node: Node, items: list[Any]) -> FieldSet:
    element = node.element or DEDUCED
    out: FieldSet = {}
    for item in items:
        step = item_step(node, item)
        below = LEAF if step in out else _below(element, item)
        out[step] = {SELF: LEAF, **below} if below else LEAF
    return in_order(out)
