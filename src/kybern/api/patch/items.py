"""What tells the items of an associative list apart.

In:   the Node of the list and an item, a Struct or a tree.
Out:  the step to the item, as field sets have it.
By:   everything that walks such lists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kybern.api.patch.field_sets import key, named
from kybern.api.patch.field_sets import value as value_step

if TYPE_CHECKING:
    from kybern.api.patch.schema import Node


class Unkeyed(Exception):
    """An item of a list that cannot be told from the others; the text is upstream's."""


def item_step(node: Node, item: Any) -> str:
    """Return the step that tells an item of an associative list from the others.

    Raises:
        Unkeyed: it cannot be told.
    """
    keys = node.keys
    if not keys:
        return _member_step(item)
    if len(keys) == 1:
        found = _read(item, keys[0])
        if type(found) is str:
            return named(keys[0], found)
    values: dict[str, Any] = {}
    for name in keys:
        found = _read(item, name)
        if found is None:
            found = node.key_defaults.get(name)
        if found is not None:
            values[name] = found
    if not values:
        raise Unkeyed(
            f'associative list with keys has an element that omits key field "{keys[0]}" '
            "(and doesn't have default value)"
        )
    return key(values)


def _read(item: Any, name: str) -> Any:
    if isinstance(item, dict):
        return item.get(name)
    if item is None:
        raise Unkeyed("associative list with keys may not have a null element")
    if isinstance(item, str | int | float | list):
        raise Unkeyed("associative list with keys may not have non-map elements")
    return getattr(item, name)


def _member_step(item: Any) -> str:
    if item is None:
        raise Unkeyed("associative list without keys has an element that's an explicit null")
    if isinstance(item, dict):
        raise Unkeyed("associative list without keys has an element that's a map type")
    if isinstance(item, list):
        raise Unkeyed("not supported: associative list with lists as elements")
    return value_step(item)
