"""Parts of a declared object that could only be replaced as a whole.

In:   a schema Node and a declared tree.
Out:  the places of lists, maps and structs that are atomic.
By:   mutating admission policies, which may not touch those. Source: upstream's `findAtomics`.
"""

from __future__ import annotations

from typing import Any

from kybern.api.fields import Shape
from kybern.api.patch.schema import DEDUCED, Node


def atomics(node: Node, value: Any, place: str = "") -> list[str]:
    """Return the places, in the order of the tree."""
    found: list[str] = []
    if isinstance(value, dict) and node.shape in (Shape.STRUCT, Shape.MAP):
        if node.atomic:
            found.append(place)
        for name, held in value.items():
            found += atomics(node.child(name) or DEDUCED, held, f"{place}.{name}")
    elif isinstance(value, list):
        if node.atomic or node.shape is Shape.ANY:
            found.append(place)
        for index, held in enumerate(value):
            found += atomics(node.element or DEDUCED, held, f"{place}[{index}]")
    return found
