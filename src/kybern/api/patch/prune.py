"""Take out of an object what its applier no longer declares and nobody else owns.

In:   the merged object, what the applier owned before, what everybody owns now.
Out:  the object without the leftovers.
By:   apply.py. Source of the rules: structured-merge-diff's prune.
"""

from __future__ import annotations

from typing import Any, Final

from kybern.api.fields import Shape
from kybern.api.patch import declared, field_sets
from kybern.api.patch.field_sets import LEAF, SELF, FieldSet
from kybern.api.patch.items import item_step
from kybern.api.patch.schema import DEDUCED, Node

_GONE: Final = object()


def prune(
    node: Node, merged: dict[str, Any], last: FieldSet, mine: FieldSet, others: FieldSet
) -> dict[str, Any]:
    """Return the object without what was in `last` and belongs to nobody now.

    Args:
        node: the schema of the object.
        merged: the live object with everything declared in it.
        last: what the applier owned after its last apply.
        mine: what it declares now.
        others: what the other managers own.
    """
    if not last:
        return merged
    last = _with_named(node, last)
    everything = declared.fields(node, merged)
    named = _with_named(node, everything)
    rest = _named_of(node, remove(node, merged, last))
    kept = field_sets.union(rest, _with_named(node, field_sets.union(mine, others)))
    pruned = remove(node, merged, field_sets.difference(named, kept))
    rest = _named_of(node, pruned)
    gone = field_sets.difference(named, rest)
    return remove(node, merged, field_sets.intersection(gone, last), mine)


def _named_of(node: Node, value: dict[str, Any]) -> FieldSet:
    return _with_named(node, declared.fields(node, value))


def _with_named(node: Node, fields: FieldSet) -> FieldSet:
    """Return the set in which every struct's field that leads on is a member itself."""
    out: FieldSet = {}
    for step, below in fields.items():
        if not below:
            out[step] = below
            continue
        kind, name = step[:2], step[2:]
        child = (node.child(name) if kind == "f:" else node.element) or DEDUCED
        inner = _with_named(child, below)
        if kind == "f:" and node.shape is Shape.STRUCT and name in node.fields:
            inner = {SELF: LEAF, **inner}
        out[step] = inner
    return out


def remove(
    node: Node, value: dict[str, Any], fields: FieldSet, wanted: FieldSet | None = None
) -> dict[str, Any]:
    """Return the object without these fields.

    What is emptied by that is null, and so still there; with `wanted`, it is empty where that is
    how it was declared, and gone elsewhere.
    """
    out = _remove(node, value, fields, wanted)
    return out if isinstance(out, dict) else {}


def _remove(node: Node, value: Any, fields: FieldSet, wanted: FieldSet | None) -> Any:
    if not fields:
        return value
    if node.atomic:
        return _GONE
    if isinstance(value, dict):
        out = {}
        for name, item in value.items():
            child = node.child(name) or DEDUCED
            rest = _part(child, item, "f:" + name, fields, wanted)
            if rest is not _GONE:
                out[name] = rest
        return out or _GONE
    if isinstance(value, list) and node.shape is Shape.LIST:
        element = node.element or DEDUCED
        kept = [_part(element, item, item_step(node, item), fields, wanted) for item in value]
        return [item for item in kept if item is not _GONE] or _GONE
    return value


def _part(node: Node, value: Any, step: str, fields: FieldSet, wanted: FieldSet | None) -> Any:
    """Return what is left of one part."""
    below = fields.get(step)
    if below is None:
        return value
    if field_sets.is_member(below):
        return _GONE
    if wanted is None:
        rest = _remove(node, value, below, None)
        return None if rest is _GONE else rest
    wish = wanted.get(step)
    rest = _remove(node, value, below, wish or LEAF)
    if rest is _GONE and wish is not None and field_sets.is_member(wish):
        return type(value)()
    return rest
