"""Types of API objects, for expressions that are checked before there is an object.

In:   a Struct.
Out:  its type; fields are looked at when somebody asks for them, because Structs recurse.
By:   the controller that checks the types of policies.

What upstream's OpenAPI documents leave open (quantities, numbers or strings, raw extensions) can be
anything. Times are timestamps, though admission itself sees them as strings: upstream has that
difference as well.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from kybern.api.fields import FieldInfo, Shape, fields_of
from kybern.lib.cel import types as ty
from kybern.lib.cel.types import DYN, ObjectType, Type

if TYPE_CHECKING:
    import msgspec

WIRES = {
    "string": ty.STRING, "int32": ty.INT, "int64": ty.INT, "bool": ty.BOOL, "bytes": ty.BYTES,
    "double": ty.DOUBLE, "Time": ty.TIMESTAMP, "MicroTime": ty.TIMESTAMP,
}  # fmt: skip


def type_of(struct: type[msgspec.Struct]) -> ObjectType:
    """Return the type of the objects of a Struct."""
    found = _TYPES.get(struct)
    if found is None:
        found = _TYPES[struct] = _made(struct)
    return found


_TYPES: dict[type[msgspec.Struct], ObjectType] = {}


def _made(struct: type[msgspec.Struct]) -> ObjectType:
    infos = fields_of(struct)

    @functools.cache
    def field(name: str) -> Type | None:
        info = infos.get(name)
        return None if info is None else _field(info)

    return ObjectType(struct.__name__, field)


def _field(info: FieldInfo) -> Type:
    if info.shape is Shape.LIST:
        return ty.list_of(_item(info))
    if info.shape is Shape.MAP:
        return ty.map_of(ty.STRING, _item(info))
    return _item(info)


def _item(info: FieldInfo) -> Type:
    if info.element is not None:
        return type_of(info.element)
    if info.item is not Shape.SCALAR:
        return DYN
    return WIRES.get(info.meta.wire, DYN)
