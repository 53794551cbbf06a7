"""What differs between two versions of an object, as sets of fields.

In:   a schema Node and one or two values: Structs, or trees, or trees inside Structs.
Out:  the fields that were added, changed and removed.
By:   managed_fields.py on every write, so this is written for speed: equal parts are skipped by
      one comparison in C, and Structs are read field by field without making trees of them.

A field is absent when a Struct has None there, or a tree has no such key. The rules are those of
structured-merge-diff's compare: a leaf counts by itself; whatever has parts counts by its parts,
and by itself too when it came or went as a whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from kybern.api.fields import Shape
from kybern.api.patch.creation import parts, whole
from kybern.api.patch.field_sets import LEAF, SELF, FieldSet, in_order
from kybern.api.patch.items import item_step
from kybern.api.patch.schema import DEDUCED, Node

if TYPE_CHECKING:
    from collections.abc import Iterable


class Changes(NamedTuple):
    """What it takes to get from one version of an object to another; no field is in two sets."""

    removed: FieldSet
    modified: FieldSet
    added: FieldSet

    def __bool__(self) -> bool:
        return bool(self.removed or self.modified or self.added)


_Part = FieldSet | None
_Parts = tuple[_Part, _Part, _Part]


def changes(node: Node, old: Any, new: Any) -> Changes:
    """Return what differs between two versions of an object.

    Raises:
        Unkeyed: an item of an associative list lacks its keys.
    """
    removed, modified, added = _compare_fields(node, old, new)
    return Changes(removed or {}, modified or {}, added or {})


def _compare_fields(node: Node, old: Any, new: Any) -> _Parts:
    """Compare two structs or maps that are both there."""
    if isinstance(old, dict) or isinstance(new, dict):
        return _compare_keys(node, old, new)
    removed: FieldSet = {}
    modified: FieldSet = {}
    added: FieldSet = {}
    plan = node.plan
    for (_, step, child), one, other in zip(
        plan.fields, plan.read(old), plan.read(new), strict=True
    ):
        if one is other or one == other:
            continue
        if one is None:
            added[step] = whole(child, other)
        elif other is None:
            removed[step] = whole(child, one)
        else:
            _note(step, _compare(child, one, other), removed, modified, added)
    return removed or None, modified or None, added or None


def _compare_keys(node: Node, old: Any, new: Any) -> _Parts:
    before = {step: (child, item) for step, child, item in parts(node, old)}
    after = {step: (child, item) for step, child, item in parts(node, new)}
    removed: FieldSet = {}
    modified: FieldSet = {}
    added: FieldSet = {}
    for step in sorted(before | after):
        one, other = before.get(step), after.get(step)
        if one is None and other is not None:
            added[step] = whole(*other)
        elif other is None and one is not None:
            removed[step] = whole(*one)
        elif one is not None and other is not None and one[1] != other[1]:
            _note(step, _compare(one[0], one[1], other[1]), removed, modified, added)
    return removed or None, modified or None, added or None


def _note(step: str, found: _Parts, removed: FieldSet, modified: FieldSet, added: FieldSet) -> None:
    less, other, more = found
    if less is not None:
        removed[step] = less
    if other is not None:
        modified[step] = other
    if more is not None:
        added[step] = more


def _compare(node: Node, old: Any, new: Any) -> _Parts:
    """Compare two values that are both there and differ."""
    if node.leaf or not (old or new):
        return None, LEAF, None
    shape = node.shape
    if shape is Shape.LIST:
        return _compare_items(node, old or [], new or [])
    if shape is Shape.ANY and not (_has_keys(old) and _has_keys(new)):
        return _change_of_shape(old, new)
    return _compare_fields(node, {} if old is None else old, {} if new is None else new)


def _has_keys(value: Any) -> bool:
    return value is None or isinstance(value, dict)


def _change_of_shape(old: Any, new: Any) -> _Parts:
    """A map became a scalar or list, or the other way round: its parts go, it is changed."""
    gone = {s: b for s, b in whole(DEDUCED, old).items() if s != SELF}
    come = {s: b for s, b in whole(DEDUCED, new).items() if s != SELF}
    return gone or None, LEAF, come or None


def _compare_items(node: Node, old: list[Any], new: list[Any]) -> _Parts:
    before, after = _index(node, old), _index(node, new)
    element = node.element or DEDUCED
    removed: FieldSet = {}
    modified: FieldSet = {}
    added: FieldSet = {}
    for step in in_order({**before, **after}):
        one, other = before.get(step, ()), after.get(step, ())
        if one == other:
            continue
        if len(one) > 1 or len(other) > 1:
            found = _compare_repeated(element, one, other)
        elif not one:
            found = None, None, whole(element, other[0])
        elif not other:
            found = whole(element, one[0]), None, None
        else:
            found = _compare(element, one[0], other[0])
        _note(step, found, removed, modified, added)
    return removed or None, modified or None, added or None


def _compare_repeated(element: Node, one: Iterable[Any], other: Iterable[Any]) -> _Parts:
    """Items that repeat count as one leaf."""
    old, new = list(one), list(other)
    if len(old) > 1 and len(new) > 1:
        return None, LEAF, None
    if len(old) > 1:
        return LEAF, None, whole(element, new[0]) if new else None
    return whole(element, old[0]) if old else None, None, LEAF


def _index(node: Node, items: list[Any]) -> dict[str, tuple[Any, ...]]:
    out: dict[str, tuple[Any, ...]] = {}
    for item in items:
        step = item_step(node, item)
        out[step] = (*out[step], item) if step in out else (item,)
    return out
