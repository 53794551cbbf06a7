"""Objects as rows: what `kubectl get` shows.

In:   a resource and the stored bytes of objects.
Out:  a meta.k8s.io Table as a tree.
By:   handlers that answer with one object, a list or a watch.

What a kind's columns are and how a cell is computed is `Resource.columns`; kinds without any have
their name and age, as upstream's default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from kybern.api import codec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kybern.apiserver.registry.resource import Resource

Tree = dict[str, Any]


class Columns(Protocol):
    """How a kind is shown."""

    @property
    def definitions(self) -> Sequence[Tree]:
        """The TableColumnDefinitions."""

    def cells(self, obj: Any) -> list[Any]:
        """Return the cells of an object, decoded; one for each definition."""
        ...


class NameAndAge:
    """For kinds that nobody has made columns for."""

    definitions: Sequence[Tree] = (
        {
            "name": "Name", "type": "string", "format": "name",
            "description": "Name must be unique within a namespace.", "priority": 0,
        },
        {
            "name": "Created At", "type": "date", "format": "",
            "description": "When this object was created.", "priority": 0,
        },
    )  # fmt: skip

    def cells(self, obj: Any) -> list[Any]:
        """Return name and time of creation."""
        return [obj.metadata.name or "", obj.metadata.creationTimestamp]


DEFAULT: Columns = NameAndAge()


def render(
    resource: Resource,
    wires: Sequence[bytes],
    include_object: str,
    *,
    version: str = "v1",
    meta: Tree | None = None,
) -> Tree:
    """Return objects as a Table.

    Args:
        resource: whose columns to use.
        wires: the objects as clients get them.
        include_object: `Metadata`, `Object` or `None`: what comes with each row.
        version: of meta.k8s.io.
        meta: the list's metadata; without it, that of the only object.
    """
    columns: Columns = resource.columns or DEFAULT
    rows = []
    for wire in wires:
        obj = codec.decode(wire, resource.struct)
        row: Tree = {"cells": columns.cells(obj)}
        if include_object == "Object":
            row["object"] = obj
        elif include_object != "None":
            row["object"] = {
                "kind": "PartialObjectMetadata",
                "apiVersion": f"meta.k8s.io/{version}",
                "metadata": obj.metadata,
            }
        rows.append(row)
        if meta is None:
            meta = {"resourceVersion": obj.metadata.resourceVersion or ""}
    return {
        "kind": "Table", "apiVersion": f"meta.k8s.io/{version}", "metadata": meta or {},
        "columnDefinitions": list(columns.definitions), "rows": rows,
    }  # fmt: skip
