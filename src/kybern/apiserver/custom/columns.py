"""Rows of custom kinds: the columns a definition names.

In:   `additionalPrinterColumns` of a version.
Out:  Columns, as registry/table.py asks for them.
By:   custom.resource. Facts: apiextensions-apiserver/pkg/registry/customresource/tableconvertor.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from kybern.api import codec
from kybern.api.custom import json_path
from kybern.apiserver.registry.columns import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kybern.api.apiextensions.v1 import CustomResourceColumnDefinition
    from kybern.lib.clock import Clock

    Tree = dict[str, Any]

NAME: Final = {
    "name": "Name", "type": "string", "format": "name", "priority": 0,
    "description": "Name must be unique within a namespace. Is required when creating resources, "
    "although some resources may allow a client to request the generation of an appropriate name "
    "automatically.",
}  # fmt: skip
AGE: Final = {
    "name": "Age", "type": "date", "format": "", "priority": 0,
    "description": "When the object was created.",
}  # fmt: skip


class CustomColumns:
    """Name, and what the definition names; the age where it names nothing."""

    def __init__(
        self, columns: Sequence[CustomResourceColumnDefinition] | None, clock: Clock
    ) -> None:
        self._clock = clock
        self._paths = [(each.jsonPath, each.type) for each in columns or ()]
        if not columns:
            self._paths = [(".metadata.creationTimestamp", "date")]
        named = [
            {
                "name": each.name, "type": each.type, "format": each.format or "",
                "description": each.description or _described(each), "priority": each.priority or 0,
            }
            for each in columns or ()
        ]  # fmt: skip
        self.definitions: Sequence[Tree] = [NAME, *(named or [AGE])]

    def cells(self, obj: Any) -> list[Any]:
        """Return the cells of an object."""
        tree, now = codec.to_tree(obj), self._clock.now()
        return [obj.metadata.name or "", *(_cell(tree, p, kind, now) for p, kind in self._paths)]


def _described(column: CustomResourceColumnDefinition) -> str:
    return f"Custom resource definition column (in JSONPath format): {column.jsonPath}"


def _cell(tree: Tree, path: str, kind: str, now: float) -> Any:
    """Return what a column shows of an object; None when there is nothing of its type."""
    found = json_path.find(path, tree)
    if not found:
        return None
    value = found[0]
    if kind == "date":
        return words.since(value, now) if isinstance(value, str) else None
    if kind == "string":
        text = [each if isinstance(each, str) else _text(each) for each in found]
        return " ".join(text) if value is not None else None
    if kind == "boolean":
        return value if isinstance(value, bool) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return int(value) if kind == "integer" else value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
