"""A kind that a user defined.

In:   the spec of a CustomResourceDefinition, and one of its versions.
Out:  CustomKind: a Kind like any, with the schema of its objects.
By:   `apiserver/custom`; `reading` and the codec tell it by its type.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kybern.api import codec
from kybern.api.custom.objects import CustomObject, type_of
from kybern.api.custom.structure import Structure
from kybern.api.patch.schema import Node, from_openapi, object_meta
from kybern.api.scheme import Kind

if TYPE_CHECKING:
    from kybern.api.apiextensions.v1 import (
        CustomResourceDefinition,
        CustomResourceDefinitionVersion,
    )

ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


@dataclass(frozen=True, slots=True, eq=False)
class CustomKind(Kind):
    """A kind whose objects are trees.

    Attributes:
        objects: their type.
        list_name: the kind of a list of them.
        structure: what they may hold.
        node: how their fields are owned and merged.
        schema: the same as the author wrote it.
    """

    objects: type[CustomObject] = CustomObject
    list_name: str = ""
    structure: Structure | None = None
    node: Node | None = None
    schema: dict[str, Any] | None = None

    @property
    def struct(self) -> type[Any]:
        """The type of one object."""
        return self.objects

    @property
    def in_protobuf(self) -> bool:
        """They have no field numbers."""
        return False

    @property
    def list_struct(self) -> Any:
        """There is none: lists are put together of bytes."""
        return None

    @property
    def list_kind(self) -> str:
        """`CronTabList`."""
        return self.list_name


def kind_of(
    definition: CustomResourceDefinition, version: CustomResourceDefinitionVersion
) -> CustomKind:
    """Return the kind of one version of a definition."""
    spec = definition.spec
    names = spec.names
    given = version.schema.openAPIV3Schema if version.schema is not None else None
    schema = codec.to_tree(given) if given is not None else ANYTHING
    below = version.subresources
    subresources = [
        name
        for name in ("status", "scale")
        if below is not None and getattr(below, name) is not None
    ]
    return CustomKind(
        group=spec.group,
        version=version.name,
        kind=names.kind,
        plural=names.plural,
        singular=names.singular or names.kind.lower(),
        namespaced=spec.scope == "Namespaced",
        short_names=tuple(names.shortNames or ()),
        categories=tuple(names.categories or ()),
        subresources=tuple(subresources),
        objects=type_of(names.kind),
        list_name=names.listKind or f"{names.kind}List",
        structure=Structure(schema, root=True),
        node=from_openapi(schema, root=object_meta()),
        schema=schema,
    )
